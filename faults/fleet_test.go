package faults_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"sync"
	"testing"
	"time"

	"hangar"
	"hangar/backing"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/postgres"
	"hangar/redis"
)

// fleet is the three services as processes, their servers, and the proxies
// between them.
type fleet struct {
	rabbitmq, postgres, redis                *backing.Server
	rabbitmqProxy, postgresProxy, redisProxy *proxy
	services                                 []*process
	url                                      string // of the gateway
}

func startFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{
		rabbitmq: hangartest.StartRabbitMQ(t),
		postgres: hangartest.StartPostgres(t),
		redis:    hangartest.StartRedis(t),
	}
	f.rabbitmqProxy = newProxy(t, f.rabbitmq.URL)
	f.postgresProxy = newProxy(t, f.postgres.URL)
	f.redisProxy = newProxy(t, f.redis.URL)
	binary := buildHangar(t)
	for _, service := range []string{"products", "orders", "gateway"} {
		p := start(t, binary, "", "serve", service, "--addr", "127.0.0.1:0", "--amqp", f.rabbitmqProxy.url,
			"--orders-db", f.postgresProxy.url, "--products-db", f.redisProxy.url)
		f.services = append(f.services, p)
		f.url = p.url
	}
	waitFor(t, "the gateway reaches the services", func() bool {
		return answers(f.url+"/products?limit=1") && answers(f.url+"/orders?limit=1")
	})
	return f
}

func answers(url string) bool {
	resp, err := client.Get(url)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func waitFor(t *testing.T, what string, met func() bool) {
	t.Helper()
	const patience = 90 * time.Second
	for begin := time.Now(); !met(); time.Sleep(10 * time.Millisecond) {
		if time.Since(begin) > patience {
			t.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// TestServersFailUnderLoad kills and restarts each server, and cuts all
// connections to it, while clients buy.
func TestServersFailUnderLoad(t *testing.T) {
	f := startFleet(t)
	events := recordEvents(t, f.rabbitmq.URL)
	stocked(t, f.url)
	var r record
	for _, fault := range []struct {
		name string
		do   func()
	}{
		{"RabbitMQ killed", func() { restart(t, f.rabbitmq) }},
		{"connections to RabbitMQ cut", f.rabbitmqProxy.cut},
		{"PostgreSQL killed", func() { restart(t, f.postgres) }},
		{"connections to PostgreSQL cut", f.postgresProxy.cut},
		{"Redis killed", func() { restart(t, f.redis) }},
		{"connections to Redis cut", f.redisProxy.cut},
	} {
		t.Run(fault.name, func(t *testing.T) {
			stop := r.keepBuying(t, f.url)
			defer stop()
			for range 3 {
				flows := r.count() + 100
				waitFor(t, "orders flow", func() bool { return r.count() >= flows })
				fault.do()
			}
			flows := r.count() + 100
			waitFor(t, "orders flow again", func() bool { return r.count() >= flows })
		})
	}
	r.checkFleet(t, f, events)
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

// keepBuying has clients buy, again and again what failed, until stop is called.
func (r *record) keepBuying(t *testing.T, url string) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for ctx.Err() == nil {
				p := r.newPurchase()
				for ctx.Err() == nil && !p.settled() {
					if !r.buy(t.Context(), url, p) {
						p.gone = p.fickle
						time.Sleep(50 * time.Millisecond) // as clients do
					}
				}
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// orderEvents is which orders were announced.
type orderEvents struct {
	mu  sync.Mutex
	ids map[int64]int
}

func (e *orderEvents) has(id int64) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ids[id] > 0
}

// recordEvents follows order_created as a service of its own.
func recordEvents(t *testing.T, url string) *orderEvents {
	t.Helper()
	broker, err := nameko.NewBroker(nameko.Config{URL: url, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	e := &orderEvents{ids: make(map[int64]int)}
	server := nameko.NewServer(broker, "recorder", 0, 0)
	sub := nameko.Subscription{Source: "orders", Event: hangar.OrderCreatedEvent, Method: "record"}
	server.HandleEvent(sub, func(_ context.Context, event nameko.Event) error {
		var created hangar.OrderCreated
		if err := json.Unmarshal(event.Payload, &created); err != nil {
			t.Errorf("an event cannot be read: %v: %s", err, event.Payload)
			return nil
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.ids[created.Order.ID]++
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

// checkFleet heals and drains the services, and then counts.
func (r *record) checkFleet(t *testing.T, f *fleet, events *orderEvents) {
	t.Helper()
	r.settle(t, f.url)
	log := slog.New(slog.DiscardHandler)
	orderStore, err := postgres.OpenOrders(t.Context(), f.postgres.URL, log)
	if err != nil {
		t.Fatal(err)
	}
	defer orderStore.Close()
	productStore, err := redis.OpenProducts(t.Context(), f.redis.URL, log)
	if err != nil {
		t.Fatal(err)
	}
	defer productStore.Close()
	waitFor(t, "recovery settles what was left", func() bool {
		unsettled, err := orderStore.Unsettled(t.Context(), 0, 1)
		return err == nil && len(unsettled) == 0
	})
	announced := map[int64]bool{}
	for id, o := range storedOrders(t, orderStore) {
		announced[id] = o.Status == hangar.Confirmed || o.Status == hangar.Cancelled
	}
	waitFor(t, "every order that was confirmed is announced", func() bool {
		for id, confirmed := range announced {
			if confirmed && !events.has(id) {
				return false
			}
		}
		return true
	})
	for _, p := range f.services {
		p.drain(t)
	}
	r.checkStores(t, orderStore, productStore)
	for id := range events.ids { // nothing follows them any more
		if !announced[id] {
			t.Errorf("order %d was announced, and never confirmed", id)
		}
	}
}
