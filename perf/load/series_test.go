package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// TestSeriesOfARun reads lines in the format in which k6 writes them.
func TestSeriesOfARun(t *testing.T) {
	f, err := os.Open("testdata/metrics.jsonl")
	wantNil(t, err)
	defer f.Close()
	s := newSeries([]string{"products-create", "orders-create"}, time.Second)
	var words strings.Builder
	wantNil(t, readSamples(f, &words, s.add))
	s.end()
	var got summary
	s.fill(&got)

	want := summary{
		Seconds: 2.5, NotStarted: 3, Interval: 1, Users: []int{1, 2, 2},
		Labels: []labelTimes{
			{Label: "products-create", Count: 4, PerSecond: 1.6, Median: 3, P95: 9, P99: 9, Max: 9, Points: points{
				Count: []int64{2, 0, 2}, Errors: []int64{0, 0, 0},
				Median: []float64{1, 0, 4}, P95: []float64{3, 0, 9}, P99: []float64{3, 0, 9},
			}},
			{Label: "orders-create", Count: 3, Errors: 2, PerSecond: 1.2, Median: 5, P95: 20, P99: 20, Max: 20, Points: points{
				Count: []int64{1, 1, 1}, Errors: []int64{0, 1, 1},
				Median: []float64{5, 20, 0}, P95: []float64{5, 20, 0}, P99: []float64{5, 20, 0},
			}},
		},
		Total: labelTimes{Label: "total", Count: 7, Errors: 2, PerSecond: 2.8, Median: 4, P95: 20, P99: 20, Max: 20, Points: points{
			Count: []int64{3, 1, 3}, Errors: []int64{0, 1, 1},
			Median: []float64{3, 20, 4}, P95: []float64{5, 20, 9}, P99: []float64{5, 20, 9},
		}},
		Failures: []failure{
			{Label: "orders-create", Check: "status is 200", Status: "0", Count: 1, Examples: []string{"request timeout"}},
			{Label: "orders-create", Check: "status is 200", Status: "503", Count: 1, Examples: []string{`{"error":"UNAVAILABLE"}`}},
		},
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0.001, 0)); diff != "" {
		t.Errorf("summary (-want +got):\n%s", diff)
	}
	if words.String() != "k6 has something to say\n" {
		t.Errorf("for the user: %q, want the line that is no metric", &words)
	}
}

func TestReadSamplesRefusesBrokenLines(t *testing.T) {
	for _, line := range []string{`{"metric":"step","type":"Point","data":{"time":"x"}}`, `{"metric":"step","type":"Point"`, strings.Repeat("x", 2<<20)} {
		if err := readSamples(strings.NewReader(line), &strings.Builder{}, func(sample) {}); err == nil {
			t.Errorf("%.60s…: no error", line)
		}
	}
}

func TestSeriesTakesLateSamples(t *testing.T) {
	s := newSeries([]string{"order-get"}, time.Second)
	for _, after := range []time.Duration{0, 5 * time.Second, time.Second, -time.Minute} {
		s.add(step("order-get", after, 1))
	}
	s.end()
	var got summary
	s.fill(&got)
	wantNil(t, got.validate())
	var sum int64
	for _, n := range got.Total.Points.Count {
		sum += n
	}
	if sum != 4 || got.Total.Count != 4 {
		t.Errorf("the points have %d requests and the total %d, want all 4: %v", sum, got.Total.Count, got.Total.Points.Count)
	}
}

func TestSeriesShowsClosedIntervalsWhileItRuns(t *testing.T) {
	s := newSeries([]string{"order-get"}, time.Second)
	var got summary
	s.fill(&got)
	wantNil(t, got.validate())
	for i := range 10 {
		s.add(step("order-get", time.Duration(i)*time.Second, 1))
	}
	s.fill(&got)
	wantNil(t, got.validate())
	if n := len(got.Users); n != 10-openIntervals || got.Total.Count != 10 {
		t.Errorf("%d points of %d requests, want %d of 10", n, got.Total.Count, 10-openIntervals)
	}
}

func TestSeriesQuantiles(t *testing.T) {
	s := newSeries([]string{"order-get"}, time.Second)
	for i := range 1000 {
		s.add(step("order-get", 0, float64(i+1)))
	}
	s.end()
	var got summary
	s.fill(&got)
	point := got.Total.Points
	for i, figures := range [][]float64{
		{got.Total.Median, got.Total.P95, got.Total.P99, got.Total.Max},
		{point.Median[0], point.P95[0], point.P99[0], 1000},
	} {
		if diff := cmp.Diff([]float64{500, 950, 990, 1000}, figures, cmpopts.EquateApprox(0.001, 0)); diff != "" {
			t.Errorf("%d: quantiles of 1 to 1000 ms (-want +got):\n%s", i, diff)
		}
	}
}

func TestSeriesBoundsFailures(t *testing.T) {
	s := newSeries([]string{"order-get"}, time.Second)
	for i := range 1000 {
		x := step("order-get", 0, 1)
		x.Data.Tags.Outcome = "failed"
		x.Data.Metadata.Status = fmt.Sprint(i % 500)
		x.Data.Metadata.Answer = fmt.Sprint(i)
		s.add(x)
	}
	for i := range 10 {
		x := step("order-get", 0, 1)
		x.Data.Tags.Outcome = "failed"
		x.Data.Metadata.Status = "1"
		x.Data.Metadata.Answer = fmt.Sprint(-i)
		s.add(x)
	}
	var got summary
	s.fill(&got)
	if len(got.Failures) != maxFailureKinds || got.Total.Errors != 1010 {
		t.Errorf("%d kinds of %d failures, want %d of 1010", len(got.Failures), got.Total.Errors, maxFailureKinds)
	}
	if f := got.Failures[0]; f.Status != "1" || f.Count != 12 || len(f.Examples) != maxExamples {
		t.Errorf("the most frequent failure is %+v, want status 1, 12 times, with %d examples", f, maxExamples)
	}
}

func step(label string, after time.Duration, milliseconds float64) sample {
	x := sample{Metric: "step"}
	x.Data.Time = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC).Add(after)
	x.Data.Value = milliseconds
	x.Data.Tags.Label = label
	x.Data.Tags.Outcome = "ok"
	return x
}
