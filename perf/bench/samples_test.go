package main

import (
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestBenchmarksHaveALineForEachSample(t *testing.T) {
	want := "goos: " + runtime.GOOS + "\ngoarch: " + runtime.GOARCH + `
pkg: hangar/perf/bench
Unit ratio better=higher
Unit slowdown better=lower
Unit ms better=lower
Unit MiB better=lower
BenchmarkGet 1 0.9 ratio
BenchmarkGet 1 0.7 ratio
BenchmarkGet 1 0.79 ratio
BenchmarkGrown 1 1.2 slowdown
BenchmarkGrown 1 1.1 slowdown
BenchmarkGrown 1 1.15 slowdown
BenchmarkReady 1 12.4 ms
BenchmarkReady 1 300 ms
BenchmarkReady 1 11 ms
BenchmarkMemory 1 100 MiB
BenchmarkMemory 1 201 MiB
BenchmarkMemory 1 100 MiB
BenchmarkTail 1 7 slowdown
`
	if diff := cmp.Diff(want, benchmarks(table())); diff != "" {
		t.Errorf("the samples differ (-want +got):\n%s", diff)
	}
}

func TestSamplesOfTheRunBeforeAreKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bench", "samples.txt")
	first, second := table()[:1], table()[1:2]
	before, err := keepSamples(path, first)
	if err != nil || before != "" {
		t.Fatalf("the first run found %q before it, %v; want nothing", before, err)
	}
	before, err = keepSamples(path, second)
	if err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{before: benchmarks(first), path: benchmarks(second)} {
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file, diff)
		}
	}
}

func TestBaseThatTheRunReplaces(t *testing.T) {
	dir := t.TempDir()
	samples := filepath.Join(dir, "samples.txt")
	for _, name := range []string{"samples.txt", "samples-before.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for base, want := range map[string]string{
		samples:                                  "is replaced by this run",
		filepath.Join(dir, "samples-before.txt"): "is replaced by this run",
		filepath.Join(dir, "missing.txt"):        "-base: stat",
	} {
		err := do(t.Context(), io.Discard, []string{"-only", "nothing", "-samples", samples, "-base", base})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("-base %s: %v, want %q before anything is measured", base, err, want)
		}
	}
}
