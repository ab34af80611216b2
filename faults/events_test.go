package faults_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"

	"hangar"
	"hangar/redis"
)

// python is how much is put in of each product that only an event takes.
const python = 1000

// F13: each event comes five times, in any order, to two consumers: those of
// hangar's orders, whose stock is held, and those of a Python orders service,
// whose stock only the event takes.
func TestF13EventsDeliveredFiveTimes(t *testing.T) {
	f, r := startFleet(t, fleetOption{replicas: 2})
	stop := r.keepBuying(t, 200)
	defer stop()
	r.flows(t, runs(100, 2000))
	events, ofPython, stock := f.events.all(), make(map[string]int64), make(map[string]int64)
	for n := range runs(50, 1000) {
		id, quantity := fmt.Sprintf("python-%d", n), int64(1+n%3)
		ofPython[id], stock[id] = quantity, python
		// Two lines of one product, and one of a product that is not there.
		events = append(events, fmt.Appendf(nil, `{"order": {"id": %d, "order_details": [
			{"id": 1, "product_id": %q, "price": "99.99", "quantity": %d}, {"id": 2, "product_id": %q, "price": "1.00", "quantity": 1},
			{"id": 3, "product_id": "gone", "price": "1.00", "quantity": 1}]}}`, 1_000_000+n, id, quantity, id))
	}
	putInto(t, r.url, stock)
	ch := f.channel(t)
	defer ch.Close()
	var five [][]byte
	for range 5 {
		five = append(five, events...)
	}
	rand.Shuffle(len(five), func(i, j int) { five[i], five[j] = five[j], five[i] })
	for _, payload := range five {
		publishEvent(t, ch, payload)
	}
	ch.flush(t)
	stop()
	c := f.heal(t, r)
	twice := f.checkTaken(t, c, ofPython)
	row{"F13: each event delivered 5 times, reordered, to 2 consumers", len(five), c, nil,
		fmt.Sprintf("%d events applied twice", twice)}.report(t)
}

// all returns what was announced so far.
func (e *orderEvents) all() [][]byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([][]byte(nil), e.payloads...)
}

// checkTaken counts the products whose stock is not less by just what their event
// takes, and one for its second line, after all has ended. It returns how many are
// less by more.
func (f *fleet) checkTaken(t *testing.T, c *counts, taken map[string]int64) (twice int) {
	t.Helper()
	store, err := redis.OpenProducts(t.Context(), f.redis.URL, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	for id, quantity := range taken {
		want := int64(python - quantity - 1)
		p, err := store.Product(t.Context(), id)
		if err != nil || p.InStock != want {
			c.note(&c.inexact, "%s: %d in stock after its event, %v, want %d", id, p.InStock, err, want)
		}
		if p.InStock < want {
			twice++
		}
	}
	if _, err := store.Product(t.Context(), "gone"); hangar.CodeOf(err) != hangar.ProductNotFound {
		t.Errorf("a product that only events name: %v, want none", err)
	}
	return twice
}

func publishEvent(t *testing.T, ch *brokerChannel, payload []byte) {
	t.Helper()
	ch.publish(t, "orders.events", "order_created", message(string(payload)))
}
