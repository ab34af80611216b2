// Command bench measures the store against bare limits of the machine that it
// runs on, and prints a table of ratios.
//
// Machines differ and are noisy: each ratio is of two things measured in turn,
// several times, within one run, and the median of those is what counts. The
// samples are kept in the format of Go's benchmarks and compared with those of
// the run before. The program asserts nothing; it exits 1 only if something
// answered wrongly.
//
// With the argument curves it measures response times against what is stored
// instead, and draws them.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"time"
)

// plan says how long and on how much to measure.
type plan struct {
	rounds  int           // samples of each row
	round   time.Duration // length of one measurement
	stored  int           // products and orders in the grown store
	only    string        // the one group to measure; "" for all
	samples string        // file that gets the samples; "" for none
	base    string        // file of samples to compare with; "" for the run before
	table   string        // file that gets the table as Markdown; "" for none
	workDir string
}

func main() {
	debug.SetGCPercent(400) // as the command does, so that both sides of a ratio have it
	// Set, so that it stays when the load generator is bound to half of the
	// processors: whoever keeps a schedule of arrivals blocks one.
	runtime.GOMAXPROCS(max(2, runtime.NumCPU()))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := do(ctx, os.Stdout, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func do(ctx context.Context, out io.Writer, args []string) error {
	if len(args) == 2 && args[0] == "bare" {
		return serveBare(out, args[1])
	}
	if len(args) > 0 && args[0] == "curves" {
		return curves(ctx, out, args[1:])
	}
	p := plan{}
	flags := flag.NewFlagSet("bench", flag.ExitOnError)
	flags.IntVar(&p.rounds, "rounds", 8, "samples of each row; fewer than 6 are too few to compare")
	flags.DurationVar(&p.round, "round", 2*time.Second, "length of one measurement")
	flags.IntVar(&p.stored, "stored", 1_000_000, "products and orders in the grown store; the grown services hold a fifth")
	flags.StringVar(&p.only, "only", "", "measure just http, durable, grown, memory, overload, services, services-grown or services-overload")
	flags.StringVar(&p.samples, "samples", filepath.Join("bin", "bench", "samples.txt"), "file that gets the samples; those of the run before are kept beside it")
	flags.StringVar(&p.base, "base", "", "file of samples to compare with, instead of the run before")
	flags.StringVar(&p.table, "table", "", "file that gets the table as Markdown")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if p.rounds < 1 || p.round <= 0 || p.stored < small {
		return fmt.Errorf("-rounds %d -round %v -stored %d: there must be at least one round, of some length, and %d stored", p.rounds, p.round, p.stored, small)
	}
	if err := checkBase(p); err != nil {
		return err
	}
	return run(ctx, out, p)
}

func run(ctx context.Context, out io.Writer, p plan) error {
	table, err := measure(ctx, p)
	if err != nil {
		return err
	}
	if err := printTable(out, table); err != nil {
		return err
	}
	if p.table != "" {
		if err := os.MkdirAll(filepath.Dir(p.table), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(p.table, []byte(markdown(table)), 0o644); err != nil {
			return err
		}
	}
	if p.samples == "" {
		return nil
	}
	before, err := keepSamples(p.samples, table)
	if err != nil {
		return err
	}
	if p.base != "" {
		before = p.base
	}
	if before == "" {
		return nil
	}
	return compare(ctx, out, before, p.samples)
}

func measure(ctx context.Context, p plan) ([]row, error) {
	dir, err := os.MkdirTemp("", "hangar-bench-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	p.workDir = dir
	binary, err := build(ctx, dir)
	if err != nil {
		return nil, err
	}
	var table []row
	for _, group := range []struct {
		name    string
		measure func(context.Context, plan, string) ([]row, error)
	}{
		{"http", measureHTTP}, {"durable", measureDurable}, {"grown", measureGrown}, {"memory", measureMemory},
		{"overload", measureOverload},
		{"services", measureServices}, {"services-grown", measureServicesGrown}, {"services-overload", measureServicesOverload},
	} {
		if p.only != "" && p.only != group.name {
			continue
		}
		rows, err := group.measure(ctx, p, binary)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", group.name, err)
		}
		table = append(table, rows...)
	}
	if len(table) == 0 {
		return nil, fmt.Errorf("there is no group %q", p.only)
	}
	return table, nil
}
