package rpc_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar"
	"hangar/cache"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/orders"
	"hangar/rpc"
	"hangar/sqlite"
)

// diary is an audience that notes what it is told.
type diary struct {
	mu   sync.Mutex
	text strings.Builder
}

func (d *diary) note(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(&d.text, format+"; ", args...)
}

func (d *diary) Listening() { d.note("listening") }
func (d *diary) Deaf()      { d.note("deaf") }

func (d *diary) OrderChanged(_ context.Context, e hangar.OrderChanged) {
	d.note("order %d at %d", e.ID, e.Version)
}

func (d *diary) ProductChanged(_ context.Context, e hangar.ProductChanged) {
	d.note("product %s", e.ID)
}

func (d *diary) wait(t *testing.T, want string) {
	t.Helper()
	read := func() string {
		d.mu.Lock()
		defer d.mu.Unlock()
		return d.text.String()
	}
	for end := time.Now().Add(2 * time.Minute); read() != want; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("heard %q, want %q", read(), want)
		}
	}
}

func TestAnnouncementsAreHeard(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	a, b := new(diary), new(diary)
	run(t, rpc.Listen(connect(t, url), "gateway", a).Run)
	run(t, rpc.Listen(connect(t, url), "gateway", b).Run)
	a.wait(t, "listening; ")
	b.wait(t, "listening; ")
	broker := connect(t, url)
	rpc.AnnounceOrders(newAnnouncer(t, broker, "orders"), noLog)(t.Context(), hangar.OrderChanged{ID: 7, Version: 3})
	want := "listening; order 7 at 3; "
	a.wait(t, want)
	b.wait(t, want) // or it may hear of the product first: each kind has a queue of its own
	left, leave := context.WithCancel(t.Context())
	leave() // a caller who leaves has changed it all the same
	rpc.AnnounceProducts(newAnnouncer(t, broker, "products"), noLog)(left, hangar.ProductChanged{ID: "ü/☃"})
	want += "product ü/☃; "
	a.wait(t, want)
	b.wait(t, want)

	// What makes no sense may have been a change: it counts as one that was missed.
	conn, err := amqp.Dial(url)
	wantNil(t, "Dial", err)
	defer conn.Close()
	ch, err := conn.Channel()
	wantNil(t, "Channel", err)
	for exchange, event := range map[string]string{"orders.events": hangar.OrderChangedEvent, "products.events": hangar.ProductChangedEvent} {
		wantNil(t, "Publish", ch.PublishWithContext(t.Context(), exchange, event, false, false, amqp.Publishing{Body: []byte(`{"id": []}`)}))
		want += "deaf; listening; "
		a.wait(t, want)
	}
}

// newAnnouncer returns a publisher that has a connection: an announcement waits for
// one only for two seconds.
func newAnnouncer(t *testing.T, broker *nameko.Broker, source string) *nameko.Publisher {
	t.Helper()
	p := nameko.NewPublisher(broker, source)
	eventually(t, "an event that nobody hears is published", func() error {
		return p.Publish(t.Context(), nameko.Event{Type: "unheard", Payload: json.RawMessage("1")})
	})
	return p
}

// Without a broker a change goes on, and the log says so.
func TestAnnouncementWithoutBroker(t *testing.T) {
	t.Parallel()
	broker, err := nameko.NewBroker(nameko.Config{URL: "amqp://127.0.0.1:1", Log: noLog})
	wantNil(t, "NewBroker", err)
	run(t, broker.Run)
	var log strings.Builder
	announce := rpc.AnnounceOrders(nameko.NewPublisher(broker, "orders"), slog.New(slog.NewTextHandler(&log, nil)))
	for id := range int64(2) {
		announce(t.Context(), hangar.OrderChanged{ID: id + 1, Version: 2})
	}
	if n := strings.Count(log.String(), "could not be announced"); n != 2 {
		t.Errorf("the log says of %d announcements that they failed, want 2:\n%s", n, &log)
	}
}

// Two gateways with caches, and nothing that expires: a change through one is seen
// by the other, and by itself at once. Nobody stores what is read meanwhile.
func TestChangesReachTheCachesOfOthers(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	serveProducts(t, url)
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	wantNil(t, "Open", err)
	closeAtEnd(t, file.Close)
	broker := connect(t, url)
	service := orders.NewService(file.Orders, rpc.NewProducts(newClient(t, url, "orders")), noLog)
	service.AnnounceTo(rpc.AnnounceOrders(newAnnouncer(t, broker, "orders"), noLog))
	serve(t, broker, "orders", func(s *nameko.Server) { rpc.ServeOrders(s, service) })

	var gateways [2]*cache.Orders
	for i := range gateways {
		client := newClient(t, url, "gateway")
		products := rpc.NewProducts(client)
		gateways[i] = cache.NewOrders(rpc.NewOrders(client, products), cache.Config{MaxAge: time.Hour, Size: 100, Log: noLog})
		run(t, gateways[i].Run)
		ready := &readyAudience{Orders: gateways[i], listening: make(chan struct{})}
		run(t, rpc.Listen(connect(t, url), "gateway", ready).Run)
		<-ready.listening
		wantNil(t, "PutProduct", products.PutProduct(t.Context(), product("p", 1000)))
	}
	created, err := gateways[0].CreateOrder(t.Context(), orderOf(line("p", 1)))
	wantNil(t, "CreateOrder", err)
	id := created.Order.ID
	for version := int64(2); version < 20; version++ {
		for _, g := range gateways {
			for range 2 {
				_, err := g.Order(t.Context(), id)
				wantNil(t, "Order", err)
			}
		}
		lines := []hangar.LineUpdate{{ID: created.Order.Details[0].ID, Price: 1, Quantity: version}}
		_, err := gateways[version%2].UpdateOrder(t.Context(), hangar.OrderUpdate{ID: id, Lines: lines})
		wantNil(t, "UpdateOrder", err)
		mine, err := gateways[version%2].Order(t.Context(), id)
		wantNil(t, "Order", err)
		if mine.Version != version || mine.Details[0].Quantity != version {
			t.Errorf("after the change to version %d the gateway that made it answers %+v", version, mine)
		}
		other := gateways[1-version%2]
		for end := time.Now().Add(2 * time.Minute); ; {
			theirs, err := other.Order(t.Context(), id)
			wantNil(t, "Order", err)
			if theirs.Version == version && theirs.Details[0].Quantity == version && !theirs.Unsettled {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("after the change to version %d the other gateway still answers %+v", version, theirs)
			}
		}
	}
	for i, g := range gateways {
		if stats := g.Stats(); stats.Hits < 18 {
			t.Errorf("gateway %d: %+v, want it to have used its cache", i, stats)
		}
	}
}

// readyAudience is a cache that says when it listens.
type readyAudience struct {
	*cache.Orders
	listening chan struct{}
	once      sync.Once
}

func (r *readyAudience) Listening() {
	r.Orders.Listening()
	r.once.Do(func() { close(r.listening) })
}

func (r *readyAudience) ProductChanged(context.Context, hangar.ProductChanged) {}
