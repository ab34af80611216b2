package main

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// k6 makes the load. It is a program of its own, under the AGPL, and no part of
// hangar: nothing here imports it. This is the one place that names its version.
const (
	k6Module  = "go.k6.io/k6"
	k6Version = "v1.8.1"
)

//go:embed script.js
var script []byte

// k6Path returns where k6 is, in the folder of hangar's source.
func k6Path(root string) string { return filepath.Join(root, "bin", "k6-"+k6Version) }

// missingK6 says that k6 is not there, nil if it is.
func missingK6(root string) error {
	if _, err := os.Stat(k6Path(root)); err != nil {
		return fmt.Errorf("there is no %s; \"make deps\" builds it", k6Path(root))
	}
	return nil
}

// buildK6 builds k6 unless it is there. That takes minutes the first time.
func buildK6(root string, out io.Writer) error {
	if missingK6(root) == nil {
		return nil
	}
	if err := os.MkdirAll(filepath.Join(root, "bin"), 0o755); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(filepath.Join(root, "bin"), "k6-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "building k6 %s, once: this takes some minutes\n", k6Version)
	build := exec.Command("go", "install", k6Module+"@"+k6Version)
	build.Env = append(os.Environ(), "GOBIN="+dir)
	build.Stdout, build.Stderr = out, out
	if err := build.Run(); err != nil {
		return fmt.Errorf("build k6: %w", err)
	}
	return os.Rename(filepath.Join(dir, "k6"), k6Path(root))
}

// scriptSettings is run.json, which script.js reads.
type scriptSettings struct {
	Name     string   `json:"name"` // part of the products' ids, so that no two runs share any
	Target   string   `json:"target"`
	Users    int      `json:"users"`
	MaxUsers int      `json:"max_users"`
	Ramp     float64  `json:"ramp_seconds"`
	Hold     float64  `json:"hold_seconds"`
	Rate     int      `json:"rate"`
	MayDrop  int      `json:"may_drop"` // journeys: one percent of those of an open schedule
	P95      float64  `json:"p95_ms"`
	Steps    []string `json:"steps"`
}

// prepare writes what k6 needs to run the settings' steps into the folder.
func prepare(dir, name string, s settings) error {
	journeys := float64(s.rate) * (s.ramp.Seconds()/2 + s.hold.Seconds()) / float64(len(s.steps))
	run, err := json.Marshal(scriptSettings{
		Name: name, Target: s.target.String(), Users: s.users,
		// A user is busy for as long as a request takes: this many will do up to a second.
		MaxUsers: max(s.users, min(s.rate, maxUsers)),
		Ramp:     s.ramp.Seconds(), Hold: s.hold.Seconds(), Rate: s.rate, MayDrop: int(journeys / 100),
		P95: milliseconds(s.p95), Steps: s.steps,
	})
	if err != nil {
		return err
	}
	products, err := json.Marshal(s.products)
	if err != nil {
		return err
	}
	for file, content := range map[string][]byte{"script.js": script, "run.json": run, "products.json": products} {
		if err := os.WriteFile(filepath.Join(dir, file), content, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// newK6 returns the command that runs what prepare wrote. It writes its metrics to
// its standard output and shows its own dashboard at the address.
func newK6(binary, dir, dashboard string) *exec.Cmd {
	host, port, _ := strings.Cut(dashboard, ":")
	cmd := exec.Command(binary, "run", "--quiet", "--out", "json", "--address", "", "--no-usage-report", "script.js")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(),
		"K6_WEB_DASHBOARD=true", "K6_WEB_DASHBOARD_HOST="+host, "K6_WEB_DASHBOARD_PORT="+port,
		"K6_AUTO_EXTENSION_RESOLUTION=false") // it would fetch another k6 if a script asked for it
	// A group of its own, because Ctrl-C is passed on: twice would end it at once.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// runK6 runs the command to its end, and returns its exit code. Each interrupt is
// passed on: at the first k6 ends in order, at the second at once. It fails if k6
// could not be run or wrote what is no metric.
func runK6(cmd *exec.Cmd, interrupts <-chan os.Signal, words io.Writer, add func(sample)) (int, error) {
	metrics, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	cmd.Stderr = words
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start k6: %w", err)
	}
	ended := make(chan struct{})
	passedOn := make(chan struct{})
	go func() {
		defer close(passedOn)
		for {
			select {
			case <-interrupts:
				_ = cmd.Process.Signal(os.Interrupt) // it may have ended
			case <-ended:
				return
			}
		}
	}()
	readErr := readSamples(metrics, words, add)
	if readErr != nil {
		_ = cmd.Process.Kill() // else it waits until somebody reads on
	}
	err = cmd.Wait()
	close(ended)
	<-passedOn
	var exit *exec.ExitError
	if readErr != nil || err != nil && !errors.As(err, &exit) {
		return 0, errors.Join(readErr, err)
	}
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() && status.Signal() == syscall.SIGINT { // it had not begun to listen to it
		return exitInterrupted, nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// readThresholds reads what script.js leaves at the end; without it there are none.
func readThresholds(dir string) ([]threshold, error) {
	text, err := os.ReadFile(filepath.Join(dir, "thresholds.json"))
	if errors.Is(err, os.ErrNotExist) {
		return []threshold{}, nil
	}
	if err != nil {
		return nil, err
	}
	bounds := []threshold{}
	if err := json.Unmarshal(text, &bounds); err != nil {
		return nil, fmt.Errorf("thresholds.json: %w", err)
	}
	slices.SortFunc(bounds, func(a, b threshold) int {
		return cmp.Or(cmp.Compare(a.Metric, b.Metric), cmp.Compare(a.Bound, b.Bound))
	})
	return bounds, nil
}
