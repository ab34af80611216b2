package gateway

import (
	"cmp"
	"context"
	"net/http"
	"sync"
	"time"
)

const (
	livePath  = "/livez"
	readyPath = "/readyz"
)

const (
	// probeMemory is how long ago a load balancer may have asked and still be one
	// to wait for.
	probeMemory = 30 * time.Second

	// noticeTimeout bounds the wait for a load balancer to notice.
	noticeTimeout = 3 * time.Second

	// actTime is how long one that was told has to send its requests elsewhere. It
	// is also time for a second one to ask, and for the first to ask again.
	actTime = time.Second
)

// Readiness is whether a process takes requests, as GET /readyz tells it. The
// zero value does.
type Readiness struct {
	Name string // of what takes them; "" is gateway

	mu       sync.Mutex
	draining bool
	asked    time.Time     // when it was last asked
	told     chan struct{} // takes one value, once it was answered that it drains
}

// Drain makes the answer no, and returns when requests may be refused. If nobody
// has asked in the last 30 s, that is at once: nobody would notice. Else it is a
// second after the first no, for a load balancer to act on it, and at the latest
// after 3 s or when ctx is done. It is called once.
func (r *Readiness) Drain(ctx context.Context) {
	told, watched := r.begin()
	if !watched {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, noticeTimeout)
	defer cancel()
	select {
	case <-ctx.Done():
		return
	case <-told:
	}
	act := time.NewTimer(actTime)
	defer act.Stop()
	select {
	case <-ctx.Done():
	case <-act.C:
	}
}

// Refuse makes the answer no, and waits for nobody.
func (r *Readiness) Refuse() { r.begin() }

// begin makes the answer no. It reports whether anybody asks.
func (r *Readiness) begin() (told <-chan struct{}, watched bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.draining = true
	if r.told == nil {
		r.told = make(chan struct{}, 1)
	}
	return r.told, !r.asked.IsZero() && time.Since(r.asked) < probeMemory
}

// answer notes that somebody asks, and reports whether requests are taken.
func (r *Readiness) answer() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked = time.Now()
	if !r.draining {
		return true
	}
	select {
	case r.told <- struct{}{}:
	default: // somebody else was told before
	}
	return false
}

// liveBody answers whether the process serves at all.
type liveBody struct {
	Live bool `json:"live"`
}

// readyBody answers whether requests should be sent. Checks has the state of each
// part that they need.
type readyBody struct {
	Ready  bool              `json:"ready"`
	Checks map[string]string `json:"checks"`
}

func live(*http.Request) (answer, error) { return answer{body: liveBody{true}}, nil }

// Health tells whether what a process stands on lets it do its work, and what is
// the state of each part of that. It is asked often, and must answer at once. The
// map belongs to who asked.
type Health func() (ready bool, states map[string]string)

// ready waits for nobody else, so that it answers whatever hangs.
func (g *gateway) ready(*http.Request) (answer, error) {
	body := readyBody{Ready: true}
	if g.Health != nil {
		body.Ready, body.Checks = g.Health()
	}
	if body.Checks == nil {
		body.Checks = make(map[string]string)
	}
	state := "serving"
	if !g.Readiness.answer() {
		body.Ready, state = false, "draining"
	}
	body.Checks[cmp.Or(g.Readiness.Name, "gateway")] = state
	if body.Ready {
		return answer{body: body}, nil
	}
	return answer{status: http.StatusServiceUnavailable, body: body}, nil
}

// NewProbes returns a handler that answers to probes only, for those who ask
// elsewhere than at a gateway. Nil is as in Config.
func NewProbes(r *Readiness, h Health) http.Handler {
	g := &gateway{Config{Readiness: r, Health: h}}
	return g.mux(g.probes(), nil)
}
