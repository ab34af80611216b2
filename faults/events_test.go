package faults_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar"
)

// F13: each event comes five times, in any order, to two consumers: those of
// hangar's orders, whose stock is held, and those of a Python orders service,
// whose stock only the event takes.
func TestF13EventsDeliveredFiveTimes(t *testing.T) {
	f, r := startFleet(t, fleetOption{replicas: 2})
	stop := r.keepBuying(t, 200)
	defer stop()
	r.flows(t, runs(100, 2000))
	events, ofPython := f.events.all(), make(map[string]int64)
	for n := range runs(50, 1000) {
		id, quantity := fmt.Sprintf("python-%d", n), int64(1+n%3)
		ofPython[id] = quantity
		r.putIn[id] = 1000
		// Two lines of one product, and one of a product that is not there.
		events = append(events, fmt.Appendf(nil, `{"order": {"id": %d, "order_details": [
			{"id": 1, "product_id": %q, "price": "99.99", "quantity": %d}, {"id": 2, "product_id": %q, "price": "1.00", "quantity": 1},
			{"id": 3, "product_id": "gone", "price": "1.00", "quantity": 1}]}}`, 1_000_000+n, id, quantity, id))
	}
	putInto(t, r.url, r.putInOf(ofPython))
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
	stop()
	waitFor(t, "all events are handled", func() bool { return f.messages(t, eventQueue) == 0 })
	twice := f.checkTaken(t, r, ofPython)
	c := f.heal(t, r)
	c.inexact += twice
	row{"F13: each event delivered 5 times, reordered, to 2 consumers", len(five), c, nil,
		fmt.Sprintf("%d events applied twice", twice)}.report(t)
}

// all returns what was announced so far.
func (e *orderEvents) all() [][]byte {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([][]byte(nil), e.payloads...)
}

// putInOf returns how much was put in of the products with these ids.
func (r *record) putInOf(ids map[string]int64) map[string]int64 {
	some := make(map[string]int64, len(ids))
	for id := range ids {
		some[id] = r.putIn[id]
	}
	return some
}

// checkTaken waits until the stock of each product is less by what its event
// takes, and one for its second line. It returns how many are less by more. The
// products leave the record: no order of the database holds them.
func (f *fleet) checkTaken(t *testing.T, r *record, taken map[string]int64) (twice int) {
	t.Helper()
	for id, quantity := range taken {
		want := r.putIn[id] - quantity - 1
		var p hangar.Product
		waitFor(t, "the event of "+id+" is applied", func() bool {
			a := send(t.Context(), http1, "GET", r.url+"/products/"+id, "", "")
			return a.status == http.StatusOK && json.Unmarshal(a.body, &p) == nil && p.InStock <= want
		})
		if p.InStock != want {
			twice++
			t.Errorf("%s: %d in stock after its event, want %d", id, p.InStock, want)
		}
		delete(r.putIn, id)
	}
	if a := send(t.Context(), http1, "GET", r.url+"/products/gone", "", ""); a.status != http.StatusNotFound {
		t.Errorf("GET of a product that only events name: %d %s, want 404", a.status, a.body)
	}
	return twice
}

func publishEvent(t *testing.T, ch *brokerChannel, payload []byte) {
	t.Helper()
	message := amqp.Publishing{ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: 2, Body: payload}
	if err := ch.PublishWithContext(t.Context(), "orders.events", "order_created", false, false, message); err != nil {
		t.Fatal(err)
	}
}
