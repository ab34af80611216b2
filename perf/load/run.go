package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"
)

// Exit codes of k6, see https://github.com/grafana/k6/blob/master/errext/exitcodes.
const (
	exitThresholds  = 99
	exitInterrupted = 105
)

// run loads the target and leaves a report. It returns k6's exit code, and an error
// only for what is not k6's to report.
func run(ctx context.Context, s settings, root string, interrupts <-chan os.Signal, out io.Writer) (int, error) {
	started := time.Now()
	if err := buildK6(root, out); err != nil {
		return 0, err
	}
	probing, stop := interruptible(ctx, interrupts)
	have, lack, err := probe(probing, s.target)
	stop()
	if errors.Is(context.Cause(probing), errInterrupted) {
		fmt.Fprintln(out, errInterrupted)
		return exitInterrupted, nil
	}
	if err != nil {
		return 0, err
	}
	if s.steps != nil {
		lack = nil // what was asked for is tried
	} else {
		s.steps = have
	}
	for _, step := range lack {
		fmt.Fprintf(out, "left out: %s, because %s\n", step.Step, step.Why)
	}
	if s.out == "" {
		s.out, err = timedFolder(filepath.Join(root, "perf", "results"), started)
	} else {
		err = newFolder(s.out)
	}
	if err != nil {
		return 0, err
	}
	times := newSeries(s.steps, s.interval())
	now := func() summary {
		sum := describe(s, lack, started)
		times.fill(&sum)
		return sum
	}
	exit, bounds, err := load(s, root, strconv.FormatInt(started.UnixMilli(), 36), interrupts, out, times, now)
	if err != nil {
		return 0, err
	}
	sum := now()
	sum.Bounds, sum.ExitCode, sum.Ended = bounds, exit, endedHow(exit)
	return exit, leave(s.out, sum, out)
}

var errInterrupted = errors.New("interrupted before it began: there is no report")

// interruptible returns a context that the first interrupt before stop ends.
func interruptible(ctx context.Context, interrupts <-chan os.Signal) (_ context.Context, stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		select {
		case <-interrupts:
			cancel(errInterrupted)
		case <-ctx.Done():
		}
	})
	return ctx, func() { cancel(nil); waiting.Wait() }
}

// load runs k6 and shows its progress.
func load(s settings, root, name string, interrupts <-chan os.Signal, out io.Writer, times *series, now func() summary) (int, []threshold, error) {
	defer times.end()
	dir, err := os.MkdirTemp("", "hangar-load-")
	if err != nil {
		return 0, nil, err
	}
	defer os.RemoveAll(dir)
	if err := prepare(dir, name, s); err != nil {
		return 0, nil, err
	}
	page, err := serveLive(now)
	if err != nil {
		return 0, nil, err
	}
	defer page.close()
	dashboard, err := freeAddress("127.0.0.1:5665")
	if err != nil {
		return 0, nil, err
	}
	fmt.Fprintf(out, "loading %s for %v\nlive charts by label  http://%s/\nk6's own dashboard    http://%s/\n",
		s.target.Redacted(), s.planned(), page.address, dashboard)
	binary, err := filepath.Abs(k6Path(root))
	if err != nil {
		return 0, nil, err
	}
	stop := report(out, s.planned(), now)
	exit, err := runK6(newK6(binary, dir, dashboard), interrupts, out, times.add)
	stop()
	if err != nil {
		return 0, nil, err
	}
	bounds, err := readThresholds(dir)
	return exit, bounds, err
}

// timedFolder makes a folder that is named after the time, and by a number if another
// run has begun in the same second.
func timedFolder(parent string, t time.Time) (string, error) {
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return "", err
	}
	name := filepath.Join(parent, t.Format("2006-01-02T15-04-05"))
	dir := name
	for n := 2; ; n++ {
		err := os.Mkdir(dir, 0o755)
		if !errors.Is(err, fs.ErrExist) {
			return dir, err
		}
		dir = fmt.Sprintf("%s-%d", name, n)
	}
}

// newFolder makes the folder, and refuses one that has a run in it already.
func newFolder(dir string) error {
	if _, err := os.Stat(filepath.Join(dir, "summary.json")); err == nil {
		return fmt.Errorf("%s holds a run already; remove it, or name another folder with OUT=", dir)
	}
	return os.MkdirAll(dir, 0o755)
}

// freeAddress returns the address, or if it is taken, one that the system chooses.
func freeAddress(address string) (string, error) {
	l, err := listen(address)
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

func listen(address string) (net.Listener, error) {
	if l, err := net.Listen("tcp", address); err == nil {
		return l, nil
	}
	return net.Listen("tcp", "127.0.0.1:0")
}

// report prints a line every ten seconds until the returned function is called.
func report(out io.Writer, planned time.Duration, now func() summary) (stop func()) {
	ended := make(chan struct{})
	var lines sync.WaitGroup
	lines.Go(func() {
		tick := time.NewTicker(10 * time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				sum := now()
				users := 0
				if n := len(sum.Users); n > 0 {
					users = sum.Users[n-1]
				}
				fmt.Fprintf(out, "%.0f of %.0f s: %d users, %d requests, %.0f a second, median %.2f ms, %d errors\n",
					sum.Seconds, planned.Seconds(), users, sum.Total.Count, sum.Total.PerSecond, sum.Total.Median, sum.Total.Errors)
			}
		}
	})
	return func() { close(ended); lines.Wait() }
}

// describe returns a summary of what is known before the first sample.
func describe(s settings, lack []leftOut, started time.Time) summary {
	if lack == nil {
		lack = []leftOut{}
	}
	return summary{
		Format: format, Started: started.UTC(), Bounds: []threshold{},
		Settings: ranWith{
			Target: s.target.Redacted(), Users: s.users, RampSeconds: s.ramp.Seconds(), HoldSeconds: s.hold.Seconds(),
			Rate: s.rate, P95: milliseconds(s.p95), Products: len(s.products), Steps: s.steps, LeftOut: lack,
		},
		Machine: machine{OS: runtime.GOOS, Arch: runtime.GOARCH, CPUs: runtime.NumCPU(), CPU: cpuName(), K6: k6Version},
	}
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// cpuName returns the processor's name where Linux tells it.
func cpuName() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if key, value, _ := strings.Cut(lines.Text(), ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

func endedHow(exit int) string {
	switch exit {
	case 0, exitThresholds:
		return "completed"
	case exitInterrupted:
		return "interrupted"
	}
	return "failed"
}

// leave prints the table of the run, and writes its files.
func leave(dir string, sum summary, out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "label\trequests\ta second\tmedian ms\tp95 ms\tp99 ms\tmax ms\terrors\t")
	for _, l := range append(sum.Labels, sum.Total) {
		fmt.Fprintf(w, "%s\t%d\t%.1f\t%.2f\t%.2f\t%.2f\t%.2f\t%d\t\n",
			l.Label, l.Count, l.PerSecond, l.Median, l.P95, l.P99, l.Max, l.Errors)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if sum.NotStarted > 0 {
		fmt.Fprintf(out, "%d journeys were not begun at their time, because all users were busy\n", sum.NotStarted)
	}
	for _, f := range sum.Failures {
		fmt.Fprintf(out, "%d times %s: not %q, status %s, such as %.200q\n", f.Count, f.Label, f.Check, f.Status, f.Examples)
	}
	for _, b := range sum.Bounds {
		if !b.OK {
			fmt.Fprintf(out, "missed: %s %s\n", b.Metric, b.Bound)
		}
	}
	page := filepath.Join(dir, "report.html")
	err := errors.Join(
		writeSummary(filepath.Join(dir, "summary.json"), sum),
		writePage(page, reportPage("Load test of "+sum.Settings.Target, sum)))
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s; the report is %s\n", sum.Ended, page)
	return err
}
