package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/orders"
	"hangar/rpc"
	"hangar/sqlite"
)

const eventQueue = "evt-orders-order_created--products.handle_order_created"

// receivedEvents is a handler of events that keeps them.
type receivedEvents chan hangar.Order

func (r receivedEvents) HandleOrderCreated(_ context.Context, e hangar.OrderCreated) error {
	r <- e.Order
	return nil
}

func (r receivedEvents) next(t *testing.T) hangar.Order {
	t.Helper()
	select {
	case o := <-r:
		return o
	case <-time.After(2 * time.Minute):
		t.Fatal("no event came")
		return hangar.Order{}
	}
}

func serveEvents(t *testing.T, url string) receivedEvents {
	t.Helper()
	events := make(receivedEvents, 100)
	serve(t, connect(t, url), "products", func(s *nameko.Server) { rpc.ServeProducts(s, nil, nil, events) })
	return events
}

// An event that is published before its subscriber has ever run is kept.
func TestPublishedEventsArrive(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	publish := rpc.PublishTo(nameko.NewPublisher(connect(t, url), "orders", rpc.Subscribers()...))
	var batch []orders.Event
	var want []hangar.Order
	for id := range int64(3) {
		o := hangar.Order{ID: id + 1, Status: hangar.Confirmed, Version: 1, Hold: "h", CreatedAt: time.Now().UTC(),
			Details: []hangar.OrderDetail{line("ü \" ☃", 2), {ProductID: "__type__", Price: hangar.MaxPrice, Quantity: 1}}}
		payload, err := json.Marshal(hangar.OrderCreated{Order: o})
		wantNil(t, "encode an event", err)
		batch = append(batch, orders.Event{ID: id, Type: hangar.OrderCreatedEvent, Payload: payload})
		want = append(want, o)
	}
	wantNil(t, "publish", publish(t.Context(), batch))
	wantEqual(t, "events that wait", waiting(t, url), len(batch))
	events := serveEvents(t, url)
	got := make(map[int64]hangar.Order)
	for range want {
		o := events.next(t)
		got[o.ID] = o
	}
	for _, o := range want {
		wantEqual(t, "an event", got[o.ID], o)
	}
}

// What can never be published is parked, and the others arrive. Nothing runs beside
// it: the 17 MB have ten seconds.
func TestBadEventsAreParkedAndTheOthersArrive(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	wantNil(t, "Open", err)
	defer file.Close()
	store := file.Orders
	big := fmt.Sprintf(`{"order":{"id":4,"hold":%q}}`, strings.Repeat("x", 17<<20))
	for _, e := range []orders.Event{
		{Type: hangar.OrderCreatedEvent, Payload: []byte(`{"order":{"id":1}}`)},
		{Type: hangar.OrderCreatedEvent, Payload: []byte(`{"order":{"id":"two"}}`)},
		{Type: "unknown", Payload: []byte(`{"order":{"id":3}}`)},
		{Type: hangar.OrderCreatedEvent, Payload: []byte(big)},
		{Type: hangar.OrderCreatedEvent, Payload: []byte(`{"order":{"id":5},"__type__":1`)},
		{Type: hangar.OrderCreatedEvent, Payload: []byte(`{"order":{"id":6},"x":{"__type__":1,"__value__":2}}`)},
		{Type: hangar.OrderCreatedEvent, Payload: []byte(`{"order":{"id":7}}`)},
	} {
		o := orderOf(line("a", 1))
		stored, err := store.Insert(t.Context(), hangar.Order{Details: o.Details, Status: hangar.Pending, Version: 1, Hold: "h", CreatedAt: time.Now()}, nil)
		wantNil(t, "Insert", err)
		_, err = store.Settle(t.Context(), stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: &e})
		wantNil(t, "Settle", err)
	}
	publish := rpc.PublishTo(nameko.NewPublisher(connect(t, url), "orders", rpc.Subscribers()...))
	relay := orders.NewRelay(store, publish, noLog)
	eventually(t, "Drain", func() error { return relay.Drain(t.Context()) })
	events := serveEvents(t, url)
	for got := map[int64]bool{}; !got[1] || !got[7]; {
		id := events.next(t).ID
		if got[id] = true; id != 1 && id != 7 {
			t.Errorf("the event of order %d came, want those of 1 and 7", id)
		}
	}
	parked, err := store.Parked(t.Context(), 0, 10)
	if err != nil || len(parked) != 5 {
		t.Errorf("%d events are parked, %v, want 5", len(parked), err)
	}
}

// waiting returns how many events are in the queue of the products service.
func waiting(t *testing.T, url string) int {
	t.Helper()
	queue, err := rawChannel(t, url).QueueDeclarePassive(eventQueue, true, false, false, false, nil)
	wantNil(t, "QueueDeclarePassive", err)
	return queue.Messages
}

func TestEventsOfPython(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	t.Run("they are taken", func(t *testing.T) { takePythonEvents(t, url) })
	wantEqual(t, "events that are left in the queue", waiting(t, url), 0)
}

func takePythonEvents(t *testing.T, url string) {
	events := serveEvents(t, url)
	broker := connect(t, url)
	publisher := nameko.NewPublisher(broker, "orders")
	unusable := []string{`null`, `[]`, `"x"`, `{}`, `{"order": null}`, `{"order": {}}`, `{"order": {"id": "x"}}`,
		`{"order": {"id": 1, "order_details": 5}}`, `{"order": {"id": 1, "order_details": [{"product_id": "a", "quantity": 1.5}]}}`}
	for _, payload := range unusable {
		err := publisher.Publish(t.Context(), nameko.Event{Type: hangar.OrderCreatedEvent, Payload: json.RawMessage(payload)})
		wantNil(t, "Publish", err)
	}
	python := `{"order": {"id": 7, "order_details": [
		{"id": 1, "product_id": "a", "price": "12.50", "quantity": 2},
		{"id": 2, "product_id": 5, "price": -0.1, "quantity": -1},
		{"id": 3, "product_id": "b", "price": "NaN", "quantity": 0}]}}`
	err := publisher.Publish(t.Context(), nameko.Event{Type: hangar.OrderCreatedEvent, Payload: json.RawMessage(python)})
	wantNil(t, "Publish", err)
	wantEqual(t, "the event", events.next(t), hangar.Order{ID: 7, Status: hangar.Confirmed, Details: []hangar.OrderDetail{
		{ID: 1, ProductID: "a", Price: 1250, Quantity: 2},
		{ID: 2, ProductID: "5", Price: -10, Quantity: -1},
		{ID: 3, ProductID: "b"},
	}})
	wantEqual(t, "events that came beside it", len(events), 0)
	eventually(t, "those that are unusable are parked", func() error {
		parked, err := broker.Queue(t.Context(), nameko.ParkedQueue(eventQueue))
		if err == nil && parked.Messages != len(unusable) {
			err = fmt.Errorf("%d are parked, want %d", parked.Messages, len(unusable))
		}
		return err
	})
}

// The Python services take lines of less than nothing, and give back for them.
func TestEventThatGivesBack(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	arrivals := serveProducts(t, url)
	p := rpc.NewProducts(newClient(t, url, "gateway"))
	wantNil(t, "PutProduct", p.PutProduct(t.Context(), product("a", 10)))
	publisher := nameko.NewPublisher(connect(t, url), "orders", rpc.Subscribers()...)
	for range 2 {
		err := publisher.Publish(t.Context(), nameko.Event{Type: hangar.OrderCreatedEvent, Payload: json.RawMessage(
			`{"order": {"id": 7, "order_details": [{"product_id": "a", "quantity": -1}, {"product_id": "missing", "quantity": 0}]}}`)})
		wantNil(t, "Publish", err)
		arrivals.wait(t, 7)
	}
	got, err := p.Product(t.Context(), "a")
	wantNil(t, "Product", err)
	wantEqual(t, "in stock after an order of -1, twice", got.InStock, int64(11))
}
