package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// balancer sends requests to those gateways that want them.
type balancer struct {
	mu      sync.Mutex
	ready   []string // URLs
	next    int
	watched sync.WaitGroup
}

// watch asks a gateway whether it is ready until it is gone.
func (b *balancer) watch(t *testing.T, url string) {
	b.watched.Go(func() {
		defer b.set(url, false)
		for t.Context().Err() == nil {
			resp, err := http.Get(url + "/readyz")
			if err != nil {
				return
			}
			resp.Body.Close()
			b.set(url, resp.StatusCode == http.StatusOK)
			time.Sleep(20 * time.Millisecond) // as load balancers do
		}
	})
}

func (b *balancer) set(url string, ready bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ready = slices.DeleteFunc(b.ready, func(known string) bool { return known == url })
	if ready {
		b.ready = append(b.ready, url)
	}
}

func (b *balancer) has(url string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Contains(b.ready, url)
}

func (b *balancer) pick() (string, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.ready) == 0 {
		return "", errors.New("no gateway is ready")
	}
	b.next++
	return b.ready[b.next%len(b.ready)], nil
}

// order places an order, and reads it; neither is tried again.
func (b *balancer) order(ctx context.Context, client *http.Client) error {
	url, err := b.pick()
	if err != nil {
		return err
	}
	body := `{"order_details": [{"product_id": "x", "price": "1.50", "quantity": 1}]}`
	req, err := http.NewRequestWithContext(ctx, "POST", url+"/orders", strings.NewReader(body))
	if err != nil {
		return err
	}
	req.GetBody = nil // or the client would hide a loss behind a retry
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("POST /orders: %d %s", resp.StatusCode, answer)
	}
	return err
}

// One process of each service after the other is replaced under load. No request
// fails.
func TestRollingRestartFailsNoRequest(t *testing.T) {
	f := newFleet(t)
	services := []string{"products", "orders", "gateway"}
	running := make(map[string]*store)
	for _, service := range services {
		running[service] = f.serve(t, service)
	}
	f.waitUntilServed(t)
	product := `{"id": "x", "title": "X", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 1000000}`
	if status, answer := request(t, "POST", running["gateway"].url+"/products", product); status != 200 {
		t.Fatalf("POST /products: %d %s", status, answer)
	}
	b := new(balancer)
	b.watch(t, running["gateway"].url)
	waitFor(t, "the gateway is ready", func() bool { return b.has(running["gateway"].url) })

	var placed atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var clients sync.WaitGroup
	for range 16 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{}}
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				if err := b.order(t.Context(), client); err != nil {
					t.Errorf("a request failed: %v", err)
					return
				}
				placed.Add(1)
			}
		})
	}
	flows := func(what string) {
		t.Helper()
		want := placed.Load() + 100
		waitFor(t, what, func() bool { return placed.Load() >= want || t.Failed() })
	}
	for range 2 {
		for _, service := range services {
			replacement := f.serve(t, service)
			if service == "gateway" {
				b.watch(t, replacement.url)
				waitFor(t, "the other gateway is ready", func() bool { return b.has(replacement.url) })
			}
			flows("orders are placed beside a second " + service)
			if code := running[service].stop(); code != 0 {
				t.Errorf("serve %s exited with %d: %s", service, code, running[service].stderr)
			}
			running[service] = replacement
			flows("orders are placed after a " + service + " was replaced")
		}
	}
	stop()
	clients.Wait()
	for _, service := range services {
		running[service].stop()
	}
	b.watched.Wait()
}
