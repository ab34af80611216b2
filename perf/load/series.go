package main

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// series adds up a run's samples: for each label the times of the whole run and
// of each interval. It keeps histograms for the whole and for the intervals that
// may still grow, and six numbers for each other interval, so that its size does
// not depend on how many requests there are. It may be used concurrently.
type series struct {
	mu         sync.Mutex
	interval   time.Duration
	start      time.Time // of the first sample
	last       time.Time
	users      []int
	rows       []*row // the labels', then the total's
	failures   map[failureKind]*failure
	notStarted int
}

// openIntervals may still grow: k6 writes samples every 200 ms, not quite in order.
const openIntervals = 2

// maxFailureKinds bounds what the target can make the series keep.
const (
	maxFailureKinds = 100
	maxExamples     = 3
)

type failureKind struct{ label, check, status string }

// row is one label.
type row struct {
	label  string
	count  int64
	errors int64
	whole  *hdrhistogram.Histogram
	closed points
	open   []*bucket // the intervals after the closed ones
}

// bucket is an interval that may still grow.
type bucket struct {
	count  int64
	errors int64
	times  *hdrhistogram.Histogram
}

// newTimes returns a histogram of microseconds, exact to 0.1 percent.
func newTimes() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, (10 * time.Minute).Microseconds(), 3)
}

func newSeries(labels []string, interval time.Duration) *series {
	s := &series{interval: interval, failures: map[failureKind]*failure{}}
	for _, label := range append(slices.Clone(labels), "total") {
		s.rows = append(s.rows, &row{label: label, whole: newTimes()})
	}
	return s
}

func (s *series) add(x sample) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := x.Data.Time
	if s.start.IsZero() {
		s.start, s.last = at, at
	}
	if at.After(s.last) {
		s.last = at
	}
	i := max(0, int(at.Sub(s.start)/s.interval))
	s.grow(i)
	switch x.Metric {
	case "vus":
		s.users[i] = int(x.Data.Value)
	case "dropped_iterations":
		s.notStarted += int(x.Data.Value)
	case "step":
		s.addStep(i, x)
	}
}

// grow makes room for interval i.
func (s *series) grow(i int) {
	if i < len(s.users) {
		return
	}
	for len(s.users) <= i {
		users := 0
		if n := len(s.users); n > 0 {
			users = s.users[n-1] // until k6 says otherwise, which it does once a second
		}
		s.users = append(s.users, users)
	}
	for _, r := range s.rows {
		r.closeBefore(i - openIntervals + 1)
		for r.intervals() <= i {
			r.open = append(r.open, &bucket{times: newTimes()})
		}
	}
}

func (s *series) addStep(i int, x sample) {
	for _, r := range s.rows {
		if r.label == x.Data.Tags.Label || r == s.rows[len(s.rows)-1] {
			r.add(i, x.Data.Value, x.Data.Tags.Outcome)
		}
	}
	if x.Data.Tags.Outcome == "ok" {
		return
	}
	kind := failureKind{x.Data.Tags.Label, x.Data.Metadata.Check, x.Data.Metadata.Status}
	f := s.failures[kind]
	if f == nil {
		if len(s.failures) == maxFailureKinds {
			return
		}
		f = &failure{Label: kind.label, Check: kind.check, Status: kind.status}
		s.failures[kind] = f
	}
	f.Count++
	if answer := x.Data.Metadata.Answer; len(f.Examples) < maxExamples && !slices.Contains(f.Examples, answer) {
		f.Examples = append(f.Examples, answer)
	}
}

func (r *row) intervals() int { return len(r.closed.Count) + len(r.open) }

// add counts a request of interval i. One that comes so late that its interval is
// closed belongs to the first that is not.
func (r *row) add(i int, milliseconds float64, outcome string) {
	b := r.open[max(0, i-len(r.closed.Count))]
	b.count++
	r.count++
	if outcome != "ok" {
		b.errors++
		r.errors++
	}
	if outcome == "unanswered" {
		return
	}
	us := min(max(int64(math.Round(milliseconds*1000)), 1), r.whole.HighestTrackableValue())
	_ = b.times.RecordValue(us) // it is within the bounds
	_ = r.whole.RecordValue(us)
}

// closeBefore closes the intervals before i.
func (r *row) closeBefore(i int) {
	for len(r.open) > 0 && len(r.closed.Count) < i {
		r.closed.append(r.open[0])
		r.open = r.open[1:]
	}
}

func (p *points) append(b *bucket) {
	p.Count = append(p.Count, b.count)
	p.Errors = append(p.Errors, b.errors)
	p.Median = append(p.Median, quantile(b.times, 50))
	p.P95 = append(p.P95, quantile(b.times, 95))
	p.P99 = append(p.P99, quantile(b.times, 99))
}

// quantile returns milliseconds, 0 if there are no times.
func quantile(times *hdrhistogram.Histogram, percent float64) float64 {
	return float64(times.ValueAtQuantile(percent)) / 1000
}

// end closes all intervals: no sample comes any more.
func (s *series) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.rows {
		r.closeBefore(len(s.users))
	}
}

// fill puts what was added so far into the summary; of the intervals, those that
// are closed.
func (s *series) fill(to *summary) {
	s.mu.Lock()
	defer s.mu.Unlock()
	to.Seconds = s.last.Sub(s.start).Seconds()
	to.NotStarted = s.notStarted
	to.Interval = int(s.interval / time.Second)
	to.Labels = []labelTimes{}
	for _, r := range s.rows {
		to.Labels = append(to.Labels, r.times(to.Seconds))
	}
	to.Total = to.Labels[len(to.Labels)-1]
	to.Labels = to.Labels[:len(to.Labels)-1]
	to.Users = slices.Clone(s.users[:len(to.Total.Points.Count)])
	if to.Users == nil {
		to.Users = []int{}
	}
	to.Failures = []failure{}
	for _, f := range s.failures {
		shown := *f
		shown.Examples = slices.Clone(f.Examples)
		to.Failures = append(to.Failures, shown)
	}
	slices.SortFunc(to.Failures, func(a, b failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Label, b.Label), cmp.Compare(a.Check, b.Check),
			cmp.Compare(a.Status, b.Status))
	})
}

func (r *row) times(seconds float64) labelTimes {
	t := labelTimes{
		Label: r.label, Count: r.count, Errors: r.errors,
		Median: quantile(r.whole, 50), P95: quantile(r.whole, 95), P99: quantile(r.whole, 99),
		Max: float64(r.whole.Max()) / 1000,
		Points: points{
			Count: some(r.closed.Count), Errors: some(r.closed.Errors),
			Median: some(r.closed.Median), P95: some(r.closed.P95), P99: some(r.closed.P99),
		},
	}
	if seconds > 0 {
		t.PerSecond = float64(r.count) / seconds
	}
	return t
}

// some copies values; of none it makes [], which JSON does not take for null.
func some[T any](values []T) []T { return append([]T{}, values...) }
