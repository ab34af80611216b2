package faults_test

import (
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// F15: each process is ended by SIGTERM and started again while the other one of
// its service works on. Clients come through a load balancer and see nothing.
func TestF15RollingRestart(t *testing.T) {
	f, r := startFleet(t, fleetOption{replicas: 2})
	b := newBalancer(t, f.urls)
	r.url = "http://store"
	r.client = &http.Client{Timeout: http1.Timeout, Transport: b}
	r.noneOpen = true
	stop := r.keepBuying(t, 300)
	defer stop()
	restarts := 0
	for range runs(2, 20) {
		for _, p := range f.programs() {
			r.flows(t, 50)
			p.drain(t)
			p.start(t)
			b.awaitReady(t)
			f.awaitConsumers(t)
			restarts++
		}
	}
	r.flows(t, 50)
	stop()
	row{"F15: rolling restart of two replicas of each service", restarts, f.heal(t, r), nil, "every request succeeded"}.report(t)
}

// balancer sends requests to the gateways that are ready, in turn. What never
// reached one goes to the next.
type balancer struct {
	gateways []*gateway
	next     atomic.Int64
	over     http.RoundTripper
}

type gateway struct {
	url   string
	ready atomic.Bool
}

func newBalancer(t *testing.T, urls []string) *balancer {
	t.Helper()
	b := &balancer{over: &http.Transport{MaxIdleConnsPerHost: 64}}
	stop := make(chan struct{})
	var probing sync.WaitGroup
	for _, url := range urls {
		g := &gateway{url: url}
		b.gateways = append(b.gateways, g)
		probing.Go(func() { g.probe(stop) })
	}
	t.Cleanup(func() {
		close(stop)
		probing.Wait()
	})
	b.awaitReady(t)
	return b
}

// probe asks again and again whether the gateway is ready.
func (g *gateway) probe(stop <-chan struct{}) {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		resp, err := http1.Get(g.url + "/readyz")
		g.ready.Store(err == nil && resp.StatusCode == http.StatusOK)
		if err == nil {
			resp.Body.Close()
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

func (b *balancer) awaitReady(t *testing.T) {
	t.Helper()
	waitFor(t, "all gateways are ready", func() bool {
		for _, g := range b.gateways {
			if !g.ready.Load() {
				return false
			}
		}
		return true
	})
}

// RoundTrip implements http.RoundTripper.
func (b *balancer) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	first := int(b.next.Add(1))
	for _, anyone := range []bool{false, true} {
		for i := range b.gateways {
			g := b.gateways[(first+i)%len(b.gateways)]
			if !anyone && !g.ready.Load() {
				continue
			}
			resp, err = b.send(r, g)
			if dialing, ok := errors.AsType[*net.OpError](err); !ok || dialing.Op != "dial" {
				return resp, err
			}
		}
	}
	return resp, err
}

func (b *balancer) send(r *http.Request, g *gateway) (*http.Response, error) {
	out := r.Clone(r.Context())
	out.GetBody = nil // with it, net/http repeats a request that has a key by itself
	out.URL.Host = g.url[len("http://"):]
	out.Host = out.URL.Host
	if r.GetBody != nil {
		body, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = body
	}
	return b.over.RoundTrip(out)
}
