package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// format names the shape of a summary.json. A change that old readers would
// misread gets another number.
const format = "hangar-load/1"

// summary is one run: what a report shows and summary.json holds. Times are in
// milliseconds unless the name says seconds.
type summary struct {
	Format   string       `json:"format"`
	Started  time.Time    `json:"started"`
	Seconds  float64      `json:"seconds"` // from the first metric to the last
	Ended    string       `json:"ended"`   // "" while it runs, completed, interrupted or failed
	ExitCode int          `json:"exit_code"`
	Settings ranWith      `json:"settings"`
	Machine  machine      `json:"machine"` // the load generator's
	Bounds   []threshold  `json:"thresholds"`
	Labels   []labelTimes `json:"labels"` // one for each step, in a journey's order
	Total    labelTimes   `json:"total"`
	Failures []failure    `json:"failures"`

	// NotStarted counts journeys of an open schedule for which there was no user.
	NotStarted int `json:"not_started"`

	// Interval is the length of a point in seconds; Users has the users at once at the
	// end of each.
	Interval int   `json:"interval_seconds"`
	Users    []int `json:"users"`
}

type ranWith struct {
	Target      string    `json:"target"`
	Users       int       `json:"users"`
	RampSeconds float64   `json:"ramp_seconds"`
	HoldSeconds float64   `json:"hold_seconds"`
	Rate        int       `json:"rate"` // requests a second; 0 is a closed loop
	P95         float64   `json:"p95_ms"`
	Products    int       `json:"products"` // different ones in the CSV file
	Steps       []string  `json:"steps"`
	LeftOut     []leftOut `json:"left_out"`
}

type machine struct {
	OS   string `json:"os"`
	Arch string `json:"arch"`
	CPUs int    `json:"cpus"`
	CPU  string `json:"cpu"` // its name, "" if the system does not tell
	K6   string `json:"k6"`
}

type threshold struct {
	Metric string `json:"metric"`
	Bound  string `json:"bound"`
	OK     bool   `json:"ok"`
}

// labelTimes are the response times of one label, and of all together. They are of
// the requests that were answered, whatever the answer was; Errors are those
// without an answer or with a wrong one.
type labelTimes struct {
	Label     string  `json:"label"`
	Count     int64   `json:"count"`
	Errors    int64   `json:"errors"`
	PerSecond float64 `json:"per_second"` // requests, errors included, over the whole run
	Median    float64 `json:"median_ms"`
	P95       float64 `json:"p95_ms"`
	P99       float64 `json:"p99_ms"`
	Max       float64 `json:"max_ms"`
	Points    points  `json:"points"`
}

// points has one value for each interval of the run. Where Count equals Errors
// there may be no times; they are 0 then.
type points struct {
	Count  []int64   `json:"count"`
	Errors []int64   `json:"errors"`
	Median []float64 `json:"median_ms"`
	P95    []float64 `json:"p95_ms"`
	P99    []float64 `json:"p99_ms"`
}

// failure is one way in which a step went wrong. Examples hold what the target
// answered, cut off after 300 characters, or why there was no answer.
type failure struct {
	Label    string   `json:"label"`
	Check    string   `json:"check"`
	Status   string   `json:"status"` // "0" is no answer
	Count    int64    `json:"count"`
	Examples []string `json:"examples"`
}

// writeSummary writes the file summary.json.
func writeSummary(file string, s summary) error {
	text, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

// readSummary reads a summary.json, or the one in the folder of that name.
func readSummary(path string) (summary, error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "summary.json")
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return summary{}, fmt.Errorf("there is no %s; a run of \"make perf\" leaves one in its folder", path)
	}
	if err != nil {
		return summary{}, err
	}
	defer f.Close()
	const largest = 64 << 20
	text, err := io.ReadAll(io.LimitReader(f, largest))
	if err != nil {
		return summary{}, fmt.Errorf("%s: %w", path, err)
	}
	var s summary
	if err := json.Unmarshal(text, &s); err != nil || s.Format != format {
		return summary{}, fmt.Errorf("%s is no summary.json of a load test in the format %s", path, format)
	}
	if err := s.validate(); err != nil {
		return summary{}, fmt.Errorf("%s is damaged: %w", path, err)
	}
	return s, nil
}

// validate checks what the pages rely on.
func (s summary) validate() error {
	if s.Interval < 1 {
		return fmt.Errorf("interval_seconds is %d", s.Interval)
	}
	for _, l := range append(s.Labels, s.Total) {
		n := len(s.Users)
		if len(l.Points.Count) != n || len(l.Points.Errors) != n || len(l.Points.Median) != n ||
			len(l.Points.P95) != n || len(l.Points.P99) != n {
			return fmt.Errorf("%s has not as many points as users", l.Label)
		}
	}
	return nil
}
