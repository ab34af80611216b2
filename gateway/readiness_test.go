package gateway_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"hangar/gateway"
)

func TestProbes(t *testing.T) {
	s := newStore(t)
	if r := s.want(t, 200, "GET", "/livez", ""); r.body != `{"live":true}`+"\n" {
		t.Errorf("GET /livez: %s", r.body)
	}
	if r := s.want(t, 200, "GET", "/readyz", ""); r.body != `{"ready":true,"checks":{"gateway":"serving"}}`+"\n" {
		t.Errorf("GET /readyz: %s", r.body)
	}
	s.want(t, 200, "HEAD", "/readyz", "")
	if r := s.want(t, 405, "POST", "/readyz", ""); r.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST /readyz is answered with Allow %q, want GET, HEAD", r.header.Get("Allow"))
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	s.ready.Drain(stopped)
	r := s.want(t, 503, "GET", "/readyz", "")
	if r.body != `{"ready":false,"checks":{"gateway":"draining"}}`+"\n" || r.header.Get("Retry-After") == "" {
		t.Errorf("GET /readyz while draining: %s with %v, want Retry-After too", r.body, r.header)
	}
	s.want(t, 200, "GET", "/livez", "")
	s.want(t, 200, "GET", "/products", "")
	if log := s.log.String(); strings.Contains(log, "livez") || strings.Contains(log, "readyz") {
		t.Errorf("the log has the probes:\n%s", log)
	}
}

// How long requests are still taken depends on who asks whether they are.
func TestDrainOfReadiness(t *testing.T) {
	ago := func(d time.Duration) func(probe func() int) {
		return func(probe func() int) { probe(); time.Sleep(d) }
	}
	for name, test := range map[string]struct {
		before   func(probe func() int) // what happens before draining begins
		next     time.Duration          // when it is asked again; 0 is never
		duration time.Duration
	}{
		"never asked":              {func(func() int) {}, 0, 0},
		"asked long ago":           {ago(30 * time.Second), time.Millisecond, 0},
		"asked lately, and again":  {ago(29 * time.Second), 500 * time.Millisecond, 1500 * time.Millisecond},
		"asked again rather late":  {ago(time.Second), 2500 * time.Millisecond, 3 * time.Second},
		"asked lately, then never": {ago(time.Second), 0, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ready := new(gateway.Readiness)
				handler := gateway.New(gateway.Config{Readiness: ready, Log: slog.New(slog.DiscardHandler)})
				probe := func() int {
					w := httptest.NewRecorder()
					handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
					return w.Code
				}
				test.before(probe)
				if test.next > 0 {
					time.AfterFunc(test.next, func() {
						for range 2 {
							if status := probe(); status != http.StatusServiceUnavailable {
								t.Errorf("GET /readyz while draining: %d, want 503", status)
							}
						}
					})
				}
				begin := time.Now()
				ready.Drain(t.Context())
				if got := time.Since(begin); got != test.duration { // of the bubble's clock, which is exact
					t.Errorf("draining took %v, want %v", got, test.duration)
				}
				time.Sleep(test.next)
			})
		})
	}
}
