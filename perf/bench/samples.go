package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// benchstat compares samples. It is a program of its own, nothing of hangar.
const benchstat = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"

// alpha is below which probability of being noise a difference counts. A table
// has some twenty rows: at the usual 0.05 one of them would differ in each
// comparison of equals.
const alpha = "0.01"

// benchmarks returns the samples in the format of Go's benchmarks
// (golang.org/design/14313-benchmark-format), with a line for each round, and
// says of each unit which way is better.
func benchmarks(table []row) string {
	var b strings.Builder
	fmt.Fprintf(&b, "goos: %s\ngoarch: %s\npkg: hangar/perf/bench\n", runtime.GOOS, runtime.GOARCH)
	for _, u := range units {
		fmt.Fprintf(&b, "Unit %s better=%s\n", u.name, u.better)
	}
	for _, r := range table {
		for _, sample := range r.samples {
			fmt.Fprintf(&b, "Benchmark%s 1 %s %s\n", r.name, strconv.FormatFloat(sample, 'g', 6, 64), r.goal.unit.name)
		}
	}
	return b.String()
}

// keepSamples writes the samples to a file. Those of the run before are kept
// beside it, and their path is returned, if there were any.
func keepSamples(path string, table []row) (before string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	before = beside(path)
	if err := os.Rename(path, before); errors.Is(err, fs.ErrNotExist) {
		before = ""
	} else if err != nil {
		return "", err
	}
	return before, os.WriteFile(path, []byte(benchmarks(table)), 0o644)
}

// checkBase refuses samples to compare with that are not there, or will not be when
// the run has ended: its own take their place.
func checkBase(p plan) error {
	if p.base == "" {
		return nil
	}
	base, err := os.Stat(p.base)
	if err != nil {
		return fmt.Errorf("-base: %w", err)
	}
	for _, path := range []string{p.samples, beside(p.samples)} {
		if kept, err := os.Stat(path); err == nil && os.SameFile(base, kept) {
			return fmt.Errorf("-base %s is replaced by this run; copy it and name the copy", p.base)
		}
	}
	return nil
}

// beside returns where the samples of the run before are kept.
func beside(samples string) string { return strings.TrimSuffix(samples, ".txt") + "-before.txt" }

// compare prints what differs between two files of samples; benchstat marks
// with ~ what may well be noise.
func compare(ctx context.Context, out io.Writer, base, samples string) error {
	fmt.Fprintf(out, "\n%s against %s, ~ where the difference may be noise:\n\n", samples, base)
	cmd := exec.CommandContext(ctx, "go", "run", benchstat, "-alpha", alpha, "base="+base, "now="+samples)
	cmd.Stdout, cmd.Stderr = out, os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("compare %s with %s by %s: %w", samples, base, benchstat, err)
	}
	return nil
}
