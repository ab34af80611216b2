package main

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// table has a row of each unit, and one without a goal.
func table() []row {
	return []row{
		{"Get", "get", goal{ratio, 0.8}, []float64{0.9, 0.7, 0.79}, "9/s against 10/s"},
		{"Grown", "grown", goal{slowdown, 1.15}, []float64{1.2, 1.1, 1.15}, "as much"},
		{"Ready", "ready", goal{milliseconds, 200}, []float64{12.4, 300, 11}, ""},
		{"Memory", "memory", goal{mebibytes, 200}, []float64{100, 201, 100}, ""},
		{"Tail", "tail", goal{unit: slowdown}, []float64{7}, "informs"},
	}
}

func TestMarkdownIsBoldWhereItFallsShort(t *testing.T) {
	want := `| | wanted | measured | samples | |
|---|---|---|---|---|
| get | >= 0.80 | **0.79** | 0.70 to 0.90 | 9/s against 10/s |
| grown | <= 1.15 | 1.15 | 1.10 to 1.20 | as much |
| ready | <= 200 ms | 12 ms | 11 ms to 300 ms |  |
| memory | <= 200 MiB | **201 MiB** | 100 MiB to 201 MiB |  |
| tail | - | 7.00 | 7.00 to 7.00 | informs |
`
	if diff := cmp.Diff(want, markdown(table())); diff != "" {
		t.Errorf("the table differs (-want +got):\n%s", diff)
	}
}

func TestPrintedTableHasEveryRow(t *testing.T) {
	var out bytes.Buffer
	if err := printTable(&out, table()); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 6 {
		t.Fatalf("printed %d lines, want a heading and 5 rows:\n%s", len(lines), &out)
	}
	for _, cell := range []string{"memory", "<= 200 MiB", "201 MiB", "100 MiB to 201 MiB"} {
		if !strings.Contains(lines[4], cell) {
			t.Errorf("the row of the memory is %q, want %q in it", lines[4], cell)
		}
	}
}

func TestQuantile(t *testing.T) {
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	for _, c := range []struct {
		values []float64
		part   float64
		want   float64
	}{
		{nil, 0.5, 0},
		{[]float64{7}, 0.99, 7},
		{[]float64{3, 1, 2}, 0.5, 2},
		{hundred, 0.99, 100},
		{hundred, 0.5, 51},
	} {
		if got := quantile(c.values, c.part); got != c.want {
			t.Errorf("quantile %v of %v is %v, want %v", c.part, c.values, got, c.want)
		}
	}
}

func TestInTurnDropsTheWarmUp(t *testing.T) {
	var asked string
	as, bs := []float64{100, 2, 6, 4}, []float64{1, 2, 2, 2}
	measure := func(name string, values []float64) func() (float64, error) {
		return func() (float64, error) {
			asked += name
			return values[strings.Count(asked, name)-1], nil
		}
	}
	got, err := inTurn(3, measure("a", as), measure("b", bs))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(turns{ratios: []float64{1, 3, 2}, a: 4, b: 2}, got, cmp.AllowUnexported(turns{})); diff != "" {
		t.Errorf("measured (-want +got):\n%s", diff)
	}
	if asked != "abababab" {
		t.Errorf("measured in the order %s, want abababab", asked)
	}
}
