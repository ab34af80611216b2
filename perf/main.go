// Command perf measures the store against bare limits of the machine that it
// runs on, and prints a table of ratios.
//
// Machines differ and are noisy: each ratio is of two things measured in turn,
// several times, within one run, and the median of those is what counts. The
// program asserts nothing; it exits 1 only if something answered wrongly.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"text/tabwriter"
	"time"
)

// result is a row of the table.
type result struct {
	what   string
	target string
	ratio  float64
	detail string
}

// plan says how long and on how much to measure.
type plan struct {
	rounds  int           // pairs of measurements
	round   time.Duration // length of one
	stored  int           // products and orders in the grown store
	only    string        // the one group to measure; "" for all
	workDir string
}

func main() {
	debug.SetGCPercent(400) // as the command does, so that both sides of a ratio have it
	if len(os.Args) == 3 && os.Args[1] == "bare" {
		fail(serveBare(os.Stdout, os.Args[2]))
		return
	}
	p := plan{}
	flag.IntVar(&p.rounds, "rounds", 5, "pairs of measurements for each ratio")
	flag.DurationVar(&p.round, "round", 2*time.Second, "length of one measurement")
	flag.IntVar(&p.stored, "stored", 1_000_000, "products and orders in the grown store; the grown services hold a fifth")
	flag.StringVar(&p.only, "only", "", "measure just http, durable, grown, overload, services, services-grown or services-overload")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	fail(run(ctx, os.Stdout, p))
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "perf:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, p plan) error {
	dir, err := os.MkdirTemp("", "hangar-perf-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p.workDir = dir
	binary, err := build(ctx, dir)
	if err != nil {
		return err
	}
	var table []result
	for _, group := range []struct {
		name    string
		measure func(context.Context, plan, string) ([]result, error)
	}{
		{"http", measureHTTP}, {"durable", measureDurable}, {"grown", measureGrown},
		{"overload", measureOverload},
		{"services", measureServices}, {"services-grown", measureServicesGrown}, {"services-overload", measureServicesOverload},
	} {
		if p.only != "" && p.only != group.name {
			continue
		}
		rows, err := group.measure(ctx, p, binary)
		if err != nil {
			return err
		}
		table = append(table, rows...)
	}
	return print(out, table)
}

func print(out io.Writer, table []result) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "what\ttarget\tmeasured\t")
	for _, r := range table {
		fmt.Fprintf(w, "%s\t%s\t%.2f\t%s\n", r.what, r.target, r.ratio, r.detail)
	}
	return w.Flush()
}

// median returns the middle value; it sorts values.
func median[T float64 | time.Duration](values []T) T {
	slices.Sort(values)
	return values[len(values)/2]
}

// inTurn measures a and b one after the other, several times, and returns the
// medians of a/b, a and b.
func inTurn(rounds int, a, b func() (float64, error)) (ratio, medianA, medianB float64, err error) {
	var ratios, as, bs []float64
	for i := range rounds + 1 {
		x, err := a()
		if err != nil {
			return 0, 0, 0, err
		}
		y, err := b()
		if err != nil {
			return 0, 0, 0, err
		}
		if i == 0 {
			continue // warm-up
		}
		ratios, as, bs = append(ratios, x/y), append(as, x), append(bs, y)
	}
	return median(ratios), median(as), median(bs), nil
}
