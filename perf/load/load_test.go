package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar/gateway"
	"hangar/orders"
	"hangar/products"
	"hangar/sqlite"
)

const root = "../.."

// The tests of this file run k6 itself.

func TestRunAgainstTheStore(t *testing.T) {
	requireK6(t)
	out := filepath.Join(t.TempDir(), "run")
	var created ids
	text := wantExit(t, 0, "-target", startStore(t, created.note), "-users", "2", "-ramp", "1s", "-hold", "2s", "-out", out)
	if created.twice != "" {
		t.Errorf("two journeys created the product %s", created.twice)
	}

	sum, err := readSummary(out)
	wantNil(t, err)
	if sum.Ended != "completed" || sum.ExitCode != 0 {
		t.Errorf("the summary says %s with %d, want completed with 0", sum.Ended, sum.ExitCode)
	}
	var labels []string
	for _, l := range sum.Labels {
		labels = append(labels, l.Label)
		if l.Count == 0 || l.Errors != 0 || l.Median <= 0 || l.Max < l.Median {
			t.Errorf("%s: %d requests, %d errors, median %v, maximum %v; want some without errors, with times",
				l.Label, l.Count, l.Errors, l.Median, l.Max)
		}
		if !strings.Contains(text, l.Label) {
			t.Errorf("the table that is printed has no %s:\n%s", l.Label, text)
		}
	}
	if diff := cmp.Diff(journeySteps, labels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if !slices.ContainsFunc(sum.Users, func(n int) bool { return n > 0 }) { // at the end k6 may count them when they have gone
		t.Errorf("users over time: %v, want some", sum.Users)
	}
	want := []threshold{{"checks", "rate>=0.99", true}, {"failed_steps", "rate<=0.01", true}}
	if diff := cmp.Diff(want, sum.Bounds); diff != "" {
		t.Errorf("thresholds (-want +got):\n%s", diff)
	}
	if _, err := os.Stat(filepath.Join(out, "report.html")); err != nil {
		t.Error(err)
	}
}

func TestRunOnAScheduleMissesABound(t *testing.T) {
	requireK6(t)
	out := filepath.Join(t.TempDir(), "run")
	wantExit(t, exitThresholds, "-target", startStore(t, nil), "-rate", "20", "-ramp", "0s", "-hold", "2s", "-p95", "1ns", "-out", out,
		"-steps", "product-get,products-create")
	sum, err := readSummary(out)
	wantNil(t, err)
	if n := sum.Total.Count; n < 2 || n > 42 {
		t.Errorf("%d requests at 20 a second in 2 s, want up to 40, give or take a journey of 2", n)
	}
	missed := 0
	for _, b := range sum.Bounds {
		if !b.OK && strings.HasPrefix(b.Metric, "http_req_duration") { // a busy machine may be late with journeys, too
			missed++
		}
	}
	if missed != 2 || len(sum.Labels) != 2 {
		t.Errorf("thresholds of %d of %d labels missed, want of each of two: %v", missed, len(sum.Labels), sum.Bounds)
	}
}

func TestRunCountsWrongAnswers(t *testing.T) {
	requireK6(t)
	const hostile = `{"id": "</script><script>alert(1)</script>"}`
	broken := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			switch r.Method + " " + r.URL.Path {
			case "POST /orders":
				w.WriteHeader(http.StatusInternalServerError)
				_, _ = w.Write([]byte(hostile))
			default:
				next.ServeHTTP(w, r)
			}
		})
	}
	out := filepath.Join(t.TempDir(), "run")
	wantExit(t, exitThresholds, "-target", startStore(t, broken), "-users", "1", "-ramp", "0s", "-hold", "1s", "-out", out)
	sum, err := readSummary(out)
	wantNil(t, err)
	for i := range sum.Failures {
		sum.Failures[i].Count = min(sum.Failures[i].Count, 1)
	}
	want := []failure{{Label: "orders-create", Check: "status is 200", Status: "500", Count: 1, Examples: []string{hostile}}}
	if diff := cmp.Diff(want, sum.Failures); diff != "" {
		t.Errorf("failures (-want +got):\n%s", diff)
	}
	for _, l := range sum.Labels {
		if l.Label == "order-get" && l.Count != 0 {
			t.Errorf("%d orders were asked for that were never placed", l.Count)
		}
	}
	report, err := os.ReadFile(filepath.Join(out, "report.html"))
	wantNil(t, err)
	if strings.Contains(string(report), "<script>alert") {
		t.Error("the report contains a script of the target's")
	}
}

func TestRunIsInterrupted(t *testing.T) {
	requireK6(t)
	interrupts := make(chan os.Signal, 1)
	var created atomic.Int32
	working := func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == "POST" && created.Add(1) == 20 { // some of them are answered
				interrupts <- os.Interrupt
			}
			next.ServeHTTP(w, r)
		})
	}
	out := filepath.Join(t.TempDir(), "run")
	args := []string{"run", "-target", startStore(t, working), "-ramp", "0s", "-hold", "1h", "-out", out}
	var text, errs strings.Builder
	if exit := command(args, root, interrupts, &text, &errs); exit != exitInterrupted {
		t.Fatalf("an interrupted run ended with %d, want %d\n%s%s", exit, exitInterrupted, &text, &errs)
	}
	sum, err := readSummary(out)
	wantNil(t, err)
	if sum.Ended != "interrupted" || sum.Total.Count == 0 {
		t.Errorf("the summary says %s after %d requests, want interrupted after some", sum.Ended, sum.Total.Count)
	}
}

func TestRunIsInterruptedBeforeItBegins(t *testing.T) {
	requireK6(t)
	interrupts := make(chan os.Signal, 1)
	silent := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		interrupts <- os.Interrupt
		<-r.Context().Done()
	})
	out := filepath.Join(t.TempDir(), "run")
	var text, errs strings.Builder
	exit := command([]string{"run", "-target", silent.String(), "-out", out}, root, interrupts, &text, &errs)
	if exit != exitInterrupted || errs.String() != "" || !strings.Contains(text.String(), "interrupted before it began") {
		t.Errorf("ended with %d: %s%s, want %d and why", exit, &text, &errs, exitInterrupted)
	}
	if _, err := os.Stat(out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder of the run: %v, want that there is none", err)
	}
}

// An interrupt that comes before k6 listens to it ends it.
func TestInterruptThatComesTooEarlyForK6(t *testing.T) {
	early := exec.Command("sh", "-c", "kill -INT $$")
	exit, err := runK6(early, nil, io.Discard, func(sample) {})
	if exit != exitInterrupted || err != nil {
		t.Errorf("ended with %d, %v, want %d", exit, err, exitInterrupted)
	}
}

// ids notes the ids of the products that are created.
type ids struct {
	mu    sync.Mutex
	seen  map[string]bool
	twice string
}

func (i *ids) note(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == "POST" && r.URL.Path == "/products" {
			body, _ := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(body))
			var p product
			_ = json.Unmarshal(body, &p) // the store complains of what is no product
			i.mu.Lock()
			if i.seen[p.ID] {
				i.twice = p.ID
			}
			if i.seen == nil {
				i.seen = map[string]bool{}
			}
			i.seen[p.ID] = true
			i.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// wantExit runs a load test and returns what it printed.
func wantExit(t *testing.T, want int, args ...string) string {
	t.Helper()
	var text, errs strings.Builder
	if exit := command(append([]string{"run"}, args...), root, nil, &text, &errs); exit != want {
		t.Fatalf("load run %q ended with %d, want %d\n%s%s", args, exit, want, &text, &errs)
	}
	return text.String()
}

// startStore serves an empty store over HTTP, behind the layer if there is one.
func startStore(t *testing.T, layer func(http.Handler) http.Handler) string {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	wantNil(t, err)
	p := products.NewService(file.Products, log)
	o := orders.NewService(file.Orders, p, log)
	o.CreateWith(file.Orders)
	var api http.Handler = gateway.New(gateway.Config{Orders: o, Products: p, Log: log})
	if layer != nil {
		api = layer(api)
	}
	server := httptest.NewServer(api)
	t.Cleanup(func() {
		server.Close()
		wantNil(t, file.Close())
	})
	return server.URL
}

// requireK6 skips the test where k6 is missing; in CI it fails.
func requireK6(t *testing.T) {
	t.Helper()
	err := missingK6(root)
	switch {
	case err == nil:
	case os.Getenv("CI") != "":
		t.Fatal(err)
	default:
		t.Skip(err)
	}
}

func wantNil(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
