package faults_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestSabotage turns off one mechanism at a time, and wants the checker to see
// what that breaks: else it would see nothing.
func TestSabotage(t *testing.T) {
	for _, s := range []struct {
		mechanism, what string
		counts          func(t *testing.T) *counts
		sees            func(c *counts) int
	}{
		{
			"marker", "the stock's memory of what an order holds",
			func(t *testing.T) *counts { return crashed(t, "marker", "orders.held") },
			func(c *counts) int { return c.inexact },
		},
		{
			"relay", "delivery of events from the outbox",
			func(t *testing.T) *counts { return crashed(t, "relay", "orders.held") },
			func(c *counts) int { return c.outbox },
		},
		{
			"commit", "the answer after the commit (SQLite)",
			func(t *testing.T) *counts { return crashed(t, "commit", "sqlite.commit") },
			func(c *counts) int { return c.lost + c.doubled + c.unsettled + c.inexact },
		},
		{
			"key", "idempotency keys",
			func(t *testing.T) *counts { return crashed(t, "key", "orders.settled") },
			func(c *counts) int { return c.doubled },
		},
		{
			"recovery", "recovery of what was left between two steps",
			func(t *testing.T) *counts { return crashed(t, "recovery", "orders.held") },
			func(c *counts) int { return c.unsettled },
		},
		{
			"confirm", "waiting for the broker's confirm of an event",
			unconfirmed,
			func(c *counts) int { return c.unknown },
		},
		{
			"synchronous_commit", "the answer after the commit (PostgreSQL)",
			uncommitted,
			func(c *counts) int { return c.lost + c.phantom + c.unknown + c.inexact },
		},
		{
			"acknowledge", "acknowledging what is done",
			func(t *testing.T) *counts { return quiet(t, "acknowledge") },
			func(c *counts) int { return c.queued },
		},
		{
			"park", "parking of events that nobody can handle",
			func(t *testing.T) *counts { return quiet(t, "park") },
			func(c *counts) int { return c.parked },
		},
	} {
		t.Run(s.mechanism, func(t *testing.T) {
			c := s.counts(t)
			t.Log(c)
			if s.sees(c) == 0 {
				t.Errorf("without %s the checker says %v, want it to see that", s.what, c)
			}
			report.mu.Lock()
			defer report.mu.Unlock()
			report.sabotages = append(report.sabotages, fmt.Sprintf("| %s | %s |", s.what, c.seen()))
		})
	}
}

// seen returns what is wrong, in words.
func (c *counts) seen() string {
	var words []string
	for _, w := range []struct {
		n    int
		what string
	}{
		{c.lost, "orders lost"}, {c.phantom, "phantom orders"}, {c.doubled, "orders doubled"}, {c.oversold, "products oversold"},
		{c.inexact, "products with a stock that is not exact"}, {c.unsettled, "orders unsettled"}, {c.outbox, "events left in the outbox"},
		{c.unknown, "events missing, or of orders that are not there"}, {c.queued, "messages left in queues"},
		{c.parked, "wrong number of parked events"}, {c.violation, "wrong answers"},
	} {
		if w.n > 0 {
			words = append(words, fmt.Sprintf("%d %s", w.n, w.what))
		}
	}
	return strings.Join(words, ", ")
}

// crashed runs one process without a mechanism, ends it several times at a
// point, and counts.
func crashed(t *testing.T, mechanism, point string) *counts {
	s, r := startSolo(t, "HANGAR_SABOTAGE="+mechanism)
	r.allLeave = mechanism == "recovery" // a client that asks again does what recovery would
	r.allStay = mechanism == "key"       // so that each end meets an order that is asked for again
	stop := r.keepBuying(t, 2000)        // many at once, so that each end meets some
	defer stop()
	for range 5 {
		r.flows(t, 20)
		s.drain(t)
		crash(t, s.program, r, point, 50)
	}
	stop()
	r.settleWhatCan(t)
	s.drain(t)
	return s.check(t, r)
}

// settleWhatCan is settle for a store on which something may never be settled.
func (r *record) settleWhatCan(t *testing.T) {
	t.Helper()
	for _, p := range r.all {
		for range 3 {
			if p.settled() || r.buy(t.Context(), p) {
				break
			}
		}
	}
	for _, s := range r.restocks {
		for range 3 {
			if s.added || r.add(t.Context(), s) {
				break
			}
		}
	}
}

// unconfirmed cuts off the broker's confirms while nobody waits for them, and
// kills the broker.
func unconfirmed(t *testing.T) *counts {
	f, r := startFleet(t, fleetOption{env: "HANGAR_SABOTAGE=confirm"})
	stop := r.keepBuying(t, 200)
	defer stop()
	for range 10 {
		r.flows(t, 10)
		f.rabbitmqProxy.set(trouble{mute: true})
		time.Sleep(200 * time.Millisecond) // what is sent meanwhile is gone
		f.rabbitmqProxy.reset()
		f.rabbitmqProxy.set(trouble{})
	}
	stop()
	return f.healWhatCan(t, r)
}

// quiet runs the services without a mechanism, on a few orders and one event that
// is poison.
func quiet(t *testing.T, mechanism string) *counts {
	f, r := startFleet(t, fleetOption{env: "HANGAR_SABOTAGE=" + mechanism})
	for range 10 {
		p := r.newPurchase()
		waitFor(t, "an order is placed", func() bool { return r.buy(t.Context(), p) })
	}
	ch := f.channel(t)
	defer ch.Close()
	publishEvent(t, ch, []byte("{"))
	ch.flush(t)
	f.poison++
	return f.healWhatCan(t, r)
}

// uncommitted kills PostgreSQL while it answers before a commit is on its disk.
func uncommitted(t *testing.T) *counts {
	f, r := startFleet(t, fleetOption{ordersQuery: "?synchronous_commit=off"})
	killServer(t, r, f.postgres, 5)
	return f.healWhatCan(t, r)
}

// healWhatCan is heal for a fleet on which something may never be healed: it
// waits until nothing changes any more.
func (f *fleet) healWhatCan(t *testing.T, r *record) *counts {
	t.Helper()
	r.settleWhatCan(t)
	before := -1
	waitFor(t, "no more events come", func() bool {
		time.Sleep(3 * time.Second) // longer than recovery and the relay pause
		now := len(f.events.all())
		same := before == now
		before = now
		return same
	})
	f.end(t)
	orderStore := f.openOrders(t)
	defer orderStore.Close()
	return f.count(t, r, orderStore)
}
