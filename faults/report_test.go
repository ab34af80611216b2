package faults_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"hangar/hangartest"
)

// row is a line of the table: what was done, and what came out.
type row struct {
	fault      string
	runs       int
	counts     *counts
	recoveries []time.Duration
	note       string
}

var report struct {
	mu        sync.Mutex
	rows      []row
	sabotages []string
}

func TestMain(m *testing.M) {
	code := hangartest.WithServers(m).Run()
	if binary, err := buildHangar(); err == nil {
		os.RemoveAll(filepath.Dir(binary))
	}
	if err := printReport(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func printReport() error {
	report.mu.Lock()
	defer report.mu.Unlock()
	if len(report.rows)+len(report.sabotages) == 0 {
		return nil
	}
	var b strings.Builder
	b.WriteString("| fault | runs | orders acknowledged | lost | doubled | oversold | recovery, median | p99 | |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range report.rows {
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %d | %d | %s | %s | %s |\n", r.fault, r.runs, r.counts.acknowledged,
			r.counts.lost+r.counts.phantom, r.counts.doubled, r.counts.oversold+r.counts.inexact,
			quantile(r.recoveries, 0.5), quantile(r.recoveries, 0.99), r.note)
	}
	b.WriteString("\n| turned off | what the checker says |\n|---|---|\n")
	for _, s := range report.sabotages {
		b.WriteString(s + "\n")
	}
	fmt.Println(b.String())
	if path := os.Getenv("HANGAR_FAULTS_TABLE"); path != "" {
		return os.WriteFile(path, []byte(b.String()), 0o644)
	}
	return nil
}

// quantile returns the smallest of the times that so large a part does not
// exceed.
func quantile(times []time.Duration, part float64) string {
	if len(times) == 0 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(times))
	i := min(len(sorted)-1, int(part*float64(len(sorted))))
	return sorted[i].Round(10 * time.Millisecond).String()
}

// report adds a line to the table, and fails the test if anything is wrong.
func (r row) report(t *testing.T) {
	t.Helper()
	t.Logf("%s: %s", r.fault, r.counts)
	for _, d := range r.counts.details {
		t.Log(d)
	}
	if r.counts.wrong() > 0 {
		t.Errorf("%d things are wrong, want none", r.counts.wrong())
	}
	if r.counts.acknowledged == 0 {
		t.Error("no order was acknowledged, so nothing was shown")
	}
	report.mu.Lock()
	defer report.mu.Unlock()
	report.rows = append(report.rows, r)
}

// runs returns how often a fault is to be, in CI or where time is no matter.
func runs(short, long int) int {
	if os.Getenv("HANGAR_FAULTS") == "long" {
		return long
	}
	return short
}
