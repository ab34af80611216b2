package main

import (
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// row is a line of the table: what was measured, and what is wanted of it.
type row struct {
	name    string // of the benchmark in the samples, the same in every run
	what    string
	goal    goal
	samples []float64 // at least one, one a round, in the goal's unit
	detail  string
}

// unit is what samples are counted in.
type unit struct {
	name   string
	better string // higher or lower
	suffix string // in the table
	worst  bool   // the worst sample counts, not the median
}

var (
	ratio        = unit{name: "ratio", better: "higher"}
	slowdown     = unit{name: "slowdown", better: "lower"} // a time against a shorter one
	milliseconds = unit{name: "ms", better: "lower", suffix: " ms"}
	mebibytes    = unit{name: "MiB", better: "lower", suffix: " MiB", worst: true}
)

var units = []unit{ratio, slowdown, milliseconds, mebibytes}

// goal is what is wanted: at least the bound where higher is better, at most
// the bound where lower is. A bound of 0 is none: the row informs.
type goal struct {
	unit  unit
	bound float64
}

func (g goal) String() string {
	switch {
	case g.bound == 0:
		return "-"
	case g.unit.better == "higher":
		return ">= " + g.format(g.bound)
	default:
		return "<= " + g.format(g.bound)
	}
}

func (g goal) metBy(value float64) bool {
	switch {
	case g.bound == 0:
		return true
	case g.unit.better == "higher":
		return value >= g.bound
	default:
		return value <= g.bound
	}
}

// format writes a value of the goal's unit: those with a name of their own are
// large.
func (g goal) format(value float64) string {
	decimals := 2
	if g.unit.suffix != "" {
		decimals = 0
	}
	return strconv.FormatFloat(value, 'f', decimals, 64) + g.unit.suffix
}

// value is what counts of the samples.
func (r row) value() float64 {
	if r.goal.unit.worst {
		return slices.Max(r.samples)
	}
	return median(r.samples)
}

// cells returns what is wanted, what came out, and the least and the largest
// sample.
func (r row) cells() (wanted, measured, samples string) {
	return r.goal.String(), r.goal.format(r.value()),
		r.goal.format(slices.Min(r.samples)) + " to " + r.goal.format(slices.Max(r.samples))
}

func printTable(out io.Writer, table []row) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\twanted\tmeasured\tsamples\t")
	for _, r := range table {
		wanted, measured, samples := r.cells()
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", r.what, wanted, measured, samples, r.detail)
	}
	return w.Flush()
}

// markdown returns the table as Markdown. What falls short is bold.
func markdown(table []row) string {
	var b strings.Builder
	b.WriteString("| | wanted | measured | samples | |\n|---|---|---|---|---|\n")
	for _, r := range table {
		wanted, measured, samples := r.cells()
		if !r.goal.metBy(r.value()) {
			measured = "**" + measured + "**"
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | %s |\n", r.what, wanted, measured, samples, r.detail)
	}
	return b.String()
}

// median sorts values and returns the middle one.
func median[T float64 | time.Duration](values []T) T { return quantile(values, 0.5) }

// quantile sorts values and returns the one that so large a part of them does
// not exceed; 0 of none.
func quantile[T float64 | time.Duration](values []T, part float64) T {
	if len(values) == 0 {
		return 0
	}
	slices.Sort(values)
	return values[min(len(values)-1, int(part*float64(len(values))))]
}
