package main

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// texts returns what an SVG says, in its order.
func texts(t *testing.T, svg []byte) []string {
	t.Helper()
	var found []string
	for d := xml.NewDecoder(strings.NewReader(string(svg))); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("the picture is not XML: %v", err)
		}
		if text, ok := token.(xml.CharData); ok {
			found = append(found, string(text))
		}
	}
}

func TestPictureSaysWhatItShows(t *testing.T) {
	p := picture{
		title: "A store", axis: "products stored", amounts: []int{10, 1000, 1_000_000}, labels: []string{"get", "create"},
		panels: []panel{{"median", [][]float64{{1, 1, 1}, {2, 2, 2}}}, {"p99", [][]float64{{10, 10, 10}, {20, 20, 21}}}},
	}
	svg, err := p.svg()
	if err != nil {
		t.Fatal(err)
	}
	got := texts(t, svg)
	axes := []string{"products stored", "10", "1k", "1M"}
	want := slices.Concat([]string{"A store", "get", "create"},
		[]string{"median", "2.5", "2", "1.5", "1", "0.5", "0"}, axes,
		[]string{"p99", "25", "20", "15", "10", "5", "0"}, axes)
	slices.Sort(got)
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the picture says (-want +got):\n%s", diff)
	}
	for _, color := range []string{"rgb(0,114,178)", "rgb(213,94,0)"} { // of the two lines, and of their samples in the legend
		if n := strings.Count(string(svg), "stroke-width:2;stroke:"+color+";fill:none"); n != 2 {
			t.Errorf("%d lines are %s, want one in each panel", n, color)
		}
	}
	if _, ground, ok := strings.Cut(string(svg), "<path"); !ok || !strings.Contains(strings.SplitN(ground, ">", 2)[0], "fill:white") {
		t.Error("the picture does not begin with a white ground; it would not be seen on a dark page")
	}
}

func TestCeilingIsAboveAllLinesAndRound(t *testing.T) {
	for largest, want := range map[float64]float64{0: 1, 0.04: 0.05, 0.05: 0.05, 0.9: 1, 1.55: 2.5, 2.6: 5, 5.1: 10, 18.6: 25, 533: 1000} {
		if got := ceiling([][]float64{{largest / 2}, {largest}}); got-want > 1e-9 || want-got > 1e-9 {
			t.Errorf("an axis for %v ends at %v, want %v", largest, got, want)
		}
	}
}

func TestShortly(t *testing.T) {
	for n, want := range map[int]string{10: "10", 1000: "1k", 1500: "1500", 10_000: "10k", 100_000: "100k", 1_000_000: "1M", 1_500_000: "1500k"} {
		if got := shortly(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}
