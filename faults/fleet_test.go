package faults_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar"
	"hangar/backing"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/orders"
	"hangar/postgres"
	"hangar/redis"
)

// fleet is the services as processes, their servers, and the proxies between
// them.
type fleet struct {
	rabbitmq, postgres, redis                *backing.Server
	rabbitmqProxy, postgresProxy, redisProxy *proxy

	gateways, orders, products []*program
	urls                       []string // of the gateways
	events                     *orderEvents
	poison                     int // messages that are to be parked
}

// fleetOption changes how a fleet is started.
type fleetOption struct {
	replicas    int    // of each service; 0 is one
	env         string // of each process, such as HANGAR_SABOTAGE=relay
	ordersQuery string // of the URL of the orders' database
}

// startFleet starts servers and services, and returns when orders can be placed.
func startFleet(t *testing.T, o fleetOption) (*fleet, *record) {
	t.Helper()
	f := &fleet{
		rabbitmq: hangartest.StartRabbitMQ(t),
		postgres: hangartest.StartPostgres(t),
		redis:    hangartest.StartRedis(t),
	}
	f.rabbitmqProxy = newProxy(t, f.rabbitmq.URL)
	f.postgresProxy = newProxy(t, f.postgres.URL)
	f.redisProxy = newProxy(t, f.redis.URL)
	// Shorter than the default, so that a silent connection is soon noticed.
	config := filepath.Join(t.TempDir(), "config.yml")
	if err := os.WriteFile(config, []byte("HEARTBEAT: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	add := func(programs *[]*program, service string, flags ...string) {
		args := append([]string{"serve", service, "--config", config, "--amqp", f.rabbitmqProxy.url,
			"--orders-db", f.postgresProxy.url + o.ordersQuery, "--products-db", f.redisProxy.url}, flags...)
		p := newProgram(t, args...)
		if o.env != "" {
			p.env = append(p.env, o.env)
		}
		*programs = append(*programs, p)
		p.start(t)
	}
	for range max(1, o.replicas) {
		addr := hangartest.FreeAddr(t)
		add(&f.products, "products")
		add(&f.orders, "orders")
		add(&f.gateways, "gateway", "--addr", addr)
		f.urls = append(f.urls, "http://"+addr)
	}
	for _, url := range f.urls {
		waitFor(t, "the gateway reaches the services", func() bool {
			return send(t.Context(), http1, "GET", url+"/products?limit=1", "", "").status == http.StatusOK &&
				send(t.Context(), http1, "GET", url+"/orders?limit=1", "", "").status == http.StatusOK
		})
	}
	f.events = recordEvents(t, f.rabbitmq.URL)
	putInto(t, f.urls[0], putIn)
	return f, newRecord(f.urls[0])
}

func (f *fleet) programs() []*program {
	return append(append(append([]*program(nil), f.gateways...), f.orders...), f.products...)
}

// orderEvents is which orders were announced, and how often.
type orderEvents struct {
	mu       sync.Mutex
	times    map[int64]int
	orders   map[int64]hangar.Order
	payloads [][]byte
}

func (e *orderEvents) has(id int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.times[id] > 0
}

// twice returns how many were delivered more than once.
func (e *orderEvents) twice() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, times := range e.times {
		if times > 1 {
			n++
		}
	}
	return n
}

// recordEvents follows order_created as a service of its own.
func recordEvents(t *testing.T, url string) *orderEvents {
	t.Helper()
	broker, err := nameko.NewBroker(nameko.Config{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e := &orderEvents{times: make(map[int64]int), orders: make(map[int64]hangar.Order)}
	server := nameko.NewServer(broker, "recorder", 0, 0)
	sub := nameko.Subscription{Source: "orders", Event: hangar.OrderCreatedEvent, Method: "record"}
	server.HandleEvent(sub, func(_ context.Context, event nameko.Event) error {
		var created hangar.OrderCreated
		if err := json.Unmarshal(event.Payload, &created); err != nil || created.Order.Hold == "" {
			return nil // not of hangar's making: a test sends what it likes
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.times[created.Order.ID]++
		e.orders[created.Order.ID] = created.Order
		e.payloads = append(e.payloads, event.Payload)
		return nil
	})
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var wg sync.WaitGroup
	wg.Go(func() { broker.Run(ctx) })
	wg.Go(func() { server.Run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	<-server.Ready()
	return e
}

// drained is how long a healed fleet may take to settle everything. An event that
// failed may wait for half a minute of it.
const drained = 2 * time.Minute

// heal brings all to an end, ends the processes, and counts. An event that a
// consumer works on is in no queue, and may come back into one: what the processes
// leave as they end, they take up when they start again.
func (f *fleet) heal(t *testing.T, r *record) *counts {
	t.Helper()
	r.settle(t)
	orderStore := f.openOrders(t)
	defer orderStore.Close()
	for until := time.Now().Add(drained); ; {
		f.awaitDrained(t, orderStore, until)
		f.end(t)
		if f.isDrained(t, orderStore) || time.Now().After(until) {
			return f.count(t, r, orderStore)
		}
		for _, p := range f.programs() {
			p.start(t)
		}
	}
}

// end ends the processes.
func (f *fleet) end(t *testing.T) {
	t.Helper()
	for _, p := range f.programs() {
		p.drain(t)
	}
}

// count counts. No process runs.
func (f *fleet) count(t *testing.T, r *record, orderStore *postgres.OrderStore) *counts {
	t.Helper()
	productStore, err := redis.OpenProducts(t.Context(), f.redis.URL, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer productStore.Close()
	c := r.check(t, orderStore, productStore)
	f.checkEvents(c, storedOrders(t, orderStore))
	f.checkQueues(t, c)
	return c
}

func (f *fleet) openOrders(t *testing.T) *postgres.OrderStore {
	t.Helper()
	s, err := postgres.OpenOrders(t.Context(), f.postgres.URL, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// awaitDrained waits until nothing is unsettled and all is announced, or until
// that should have been so: then the counts say what is not. A message that goes
// from one queue to another may be counted in neither, but not twice in a row.
func (f *fleet) awaitDrained(t *testing.T, orderStore *postgres.OrderStore, until time.Time) {
	t.Helper()
	for calm := 0; calm < 2 && time.Now().Before(until); time.Sleep(50 * time.Millisecond) {
		if f.isDrained(t, orderStore) {
			calm++
		} else {
			calm = 0
		}
	}
}

func (f *fleet) isDrained(t *testing.T, orderStore *postgres.OrderStore) bool {
	t.Helper()
	if !isSettled(t, orderStore) {
		return false
	}
	c := new(counts)
	f.checkEvents(c, storedOrders(t, orderStore))
	f.checkQueues(t, c)
	return c.wrong() == 0
}

// isSettled reports whether no order is left between two steps, and no event in
// the outbox: one that was published stays there until that is known.
func isSettled(t *testing.T, orderStore orders.Store) bool {
	t.Helper()
	unsettled, err := orderStore.Unsettled(t.Context(), 0, 1)
	if err != nil || len(unsettled) > 0 {
		return false
	}
	outbox, err := orderStore.OutboxStatistics(t.Context())
	return err == nil && outbox.Waiting == 0
}

func (f *fleet) checkEvents(c *counts, stored []hangar.Order) {
	confirmed := make(map[int64]bool, len(stored))
	for _, o := range stored {
		confirmed[o.ID] = o.Status == hangar.Confirmed || o.Status == hangar.Cancelled
		if confirmed[o.ID] && !f.events.has(o.ID) {
			c.note(&c.unknown, "order %d was confirmed, and never announced", o.ID)
		}
	}
	f.events.mu.Lock()
	defer f.events.mu.Unlock()
	for id := range f.events.times {
		if !confirmed[id] {
			c.note(&c.unknown, "order %d was announced, and never confirmed", id)
		}
	}
	for _, o := range stored {
		if announced, ok := f.events.orders[o.ID]; ok && !sameLines(o.Details, announced.Details) {
			c.note(&c.unknown, "order %d was announced with the lines %v, want %v", o.ID, announced.Details, o.Details)
		}
	}
}

// The queues that must be empty when nobody works any more. What is delivered
// and not acknowledged is in them again by then.
var workQueues = []string{
	"rpc-orders", "rpc-products", eventQueue,
	"hangar.retry-" + eventQueue + "-1000ms", "hangar.retry-" + eventQueue + "-5000ms", "hangar.retry-" + eventQueue + "-30000ms",
}

const eventQueue = "evt-orders-order_created--products.handle_order_created"

func (f *fleet) queued(t *testing.T) int {
	t.Helper()
	n := 0
	for _, name := range workQueues {
		n += f.queue(t, name).Messages
	}
	return n
}

// awaitConsumers waits until each service takes calls, as often as there is one.
func (f *fleet) awaitConsumers(t *testing.T) {
	t.Helper()
	waitFor(t, "all services take calls", func() bool {
		return f.queue(t, "rpc-orders").Consumers == len(f.orders) && f.queue(t, "rpc-products").Consumers == len(f.products)
	})
}

func (f *fleet) checkQueues(t *testing.T, c *counts) {
	t.Helper()
	c.queued = f.queued(t)
	parked := f.queue(t, "hangar.parked-"+eventQueue).Messages
	if parked != f.poison {
		c.note(&c.parked, "%d messages are parked, want the %d that are poison", parked, f.poison)
	}
}

// queue returns how many messages are ready in a queue, and how many consumers it
// has; one that is not there has none.
func (f *fleet) queue(t *testing.T, name string) amqp.Queue {
	t.Helper()
	ch := f.channel(t)
	defer ch.Close()
	q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
	if missing, ok := errors.AsType[*amqp.Error](err); ok && missing.Code == amqp.NotFound {
		return amqp.Queue{}
	}
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// channel opens a channel of its own connection to the broker.
func (f *fleet) channel(t *testing.T) *brokerChannel {
	t.Helper()
	conn, err := amqp.Dial(f.rabbitmq.URL)
	if err != nil {
		t.Fatal(err)
	}
	ch, err := conn.Channel()
	if err == nil {
		err = ch.Confirm(false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return &brokerChannel{Channel: ch, conn: conn}
}

// brokerChannel closes its connection too.
type brokerChannel struct {
	*amqp.Channel
	conn *amqp.Connection
	sent []*amqp.DeferredConfirmation
}

func (c *brokerChannel) Close() { c.conn.Close() }

func (c *brokerChannel) publish(t *testing.T, exchange, key string, m amqp.Publishing) {
	t.Helper()
	confirmation, err := c.PublishWithDeferredConfirm(exchange, key, false, false, m)
	if err != nil {
		t.Fatal(err)
	}
	c.sent = append(c.sent, confirmation)
}

// flush waits until the broker has put what was published into its queues: before,
// they may be empty.
func (c *brokerChannel) flush(t *testing.T) {
	t.Helper()
	for _, confirmation := range c.sent {
		if taken, err := confirmation.WaitContext(t.Context()); !taken || err != nil {
			t.Fatalf("the broker took what was published: %v, %v", taken, err)
		}
	}
}

// redelivered is a remark for the table.
func (f *fleet) redelivered() string {
	return fmt.Sprintf("%d events delivered more than once", f.events.twice())
}

func restart(t *testing.T, s *backing.Server) {
	t.Helper()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
}
