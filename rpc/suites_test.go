package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/orders"
	"hangar/products"
	"hangar/rpc"
	"hangar/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(hangartest.WithServers(m)) }

var noLog = slog.New(slog.DiscardHandler)

// run runs a task until the test ends: those that were started later end earlier.
func run(t *testing.T, task func(context.Context) error) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	var running sync.WaitGroup
	running.Go(func() {
		if err := task(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
}

func connect(t *testing.T, url string) *nameko.Broker {
	t.Helper()
	broker, err := nameko.NewBroker(nameko.Config{URL: url, Log: noLog})
	wantNil(t, "NewBroker", err)
	run(t, broker.Run)
	return broker
}

// newClient returns a client that has a connection: a call waits for one only for
// two seconds.
func newClient(t *testing.T, url, name string) *nameko.Client {
	t.Helper()
	return runClient(t, nameko.NewClient(connect(t, url), name))
}

func runClient(t *testing.T, client *nameko.Client) *nameko.Client {
	t.Helper()
	run(t, client.Run)
	eventually(t, "the broker tells the client that it knows no such service", func() error {
		_, err := client.Call(t.Context(), nameko.Call{Service: "nobody", Method: "home"})
		if errors.Is(err, nameko.ErrUnknownService) {
			return nil
		}
		return fmt.Errorf("a call of nobody: %w", err)
	})
	return client
}

// serve runs a service that setUp has given its methods.
func serve(t *testing.T, broker *nameko.Broker, name string, setUp func(*nameko.Server)) {
	t.Helper()
	server := nameko.NewServer(broker, name, 0, 0)
	setUp(server)
	run(t, server.Run)
	<-server.Ready()
}

// fleet is hangar's three services on a broker, each with connections of its own.
type fleet struct {
	gateway  *nameko.Client
	products *rpc.Products
	orders   *rpc.Orders
	store    *orders.Service // what runs in the orders service
	events   *arrivals       // what comes in at the products service
}

func newFleet(t *testing.T, url string) *fleet {
	t.Helper()
	forget(t, url)
	f := &fleet{gateway: newClient(t, url, "gateway")}
	f.products = rpc.NewProducts(f.gateway)
	f.orders = rpc.NewOrders(f.gateway, f.products)
	f.events = serveProducts(t, url)
	f.store = serveOrders(t, url)
	return f
}

// forget deletes the queues of an earlier fleet: there may be events in them.
func forget(t *testing.T, url string) {
	t.Helper()
	conn, err := amqp.Dial(url)
	wantNil(t, "Dial", err)
	defer conn.Close()
	ch, err := conn.Channel()
	wantNil(t, "Channel", err)
	for _, queue := range []string{"rpc-orders", "rpc-products", eventQueue} {
		_, err := ch.QueueDelete(queue, false, false, false)
		wantNil(t, "QueueDelete", err)
	}
}

// serveProducts runs hangar's products service on an empty store.
func serveProducts(t *testing.T, url string) *arrivals {
	t.Helper()
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	wantNil(t, "Open", err)
	closeAtEnd(t, file.Close)
	service := products.NewService(file.Products, noLog)
	events := &arrivals{OrderEvents: service, handled: make(chan int64, 100)}
	serve(t, connect(t, url), "products", func(s *nameko.Server) { rpc.ServeProducts(s, service, service, events) })
	return events
}

// serveOrders runs hangar's orders service on an empty store, with its relay.
func serveOrders(t *testing.T, url string) *orders.Service {
	t.Helper()
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	wantNil(t, "Open", err)
	closeAtEnd(t, file.Close)
	broker := connect(t, url)
	client := runClient(t, nameko.NewClient(broker, "orders"))
	publisher := nameko.NewPublisher(broker, "orders", rpc.Subscribers()...)
	run(t, orders.NewRelay(file.Orders, rpc.PublishTo(publisher), noLog).Run)
	service := orders.NewService(file.Orders, rpc.NewProducts(client), noLog)
	serve(t, broker, "orders", func(s *nameko.Server) { rpc.ServeOrders(s, service) })
	return service
}

func closeAtEnd(t *testing.T, closeStore func() error) {
	t.Cleanup(func() { wantNil(t, "Close", closeStore()) })
}

// arrivals handles events and tells of which orders they were.
type arrivals struct {
	hangar.OrderEvents
	handled chan int64
}

func (a *arrivals) HandleOrderCreated(ctx context.Context, e hangar.OrderCreated) error {
	err := a.OrderEvents.HandleOrderCreated(ctx, e)
	if err == nil {
		select {
		case a.handled <- e.Order.ID:
		default: // nobody waits for so many
		}
	}
	return err
}

// wait waits for the next event of an order.
func (a *arrivals) wait(t *testing.T, id int64) {
	t.Helper()
	for handled := range a.handled {
		if handled == id {
			return
		}
	}
}

// published delivers events over the broker, and waits for them.
type published struct {
	t *testing.T
	f *fleet
	p *nameko.Publisher
}

func (p published) HandleOrderCreated(ctx context.Context, e hangar.OrderCreated) error {
	if e.Order.Version > 0 { // the event names the hold, which an order as it is read does not
		stored, err := p.f.store.Order(ctx, e.Order.ID)
		if err != nil {
			return err
		}
		e.Order.Hold = stored.Hold
	}
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	err = rpc.PublishTo(p.p)(ctx, []orders.Event{{Type: hangar.OrderCreatedEvent, Payload: payload}})
	p.f.events.wait(p.t, e.Order.ID)
	return err
}

func TestServices(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	hangartest.TestServices(t, func(t *testing.T) hangartest.Services {
		f := newFleet(t, url)
		publisher := nameko.NewPublisher(connect(t, url), "orders", rpc.Subscribers()...)
		return hangartest.Services{Products: f.products, Stock: f.products, Orders: f.orders, Events: published{t, f, publisher}}
	})
}

func product(id string, inStock int64) hangar.Product {
	return hangar.Product{ID: id, Title: "Title of " + id, PassengerCapacity: 101, MaximumSpeed: 5, InStock: inStock}
}

func line(productID string, quantity int64) hangar.OrderDetail {
	return hangar.OrderDetail{ProductID: productID, Price: 1250, Quantity: quantity}
}

func orderOf(lines ...hangar.OrderDetail) hangar.NewOrder { return hangar.NewOrder{Details: lines} }

// wantNil fails at once if what was done failed.
func wantNil(t *testing.T, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v, want no error", what, err)
	}
}

// wantError compares an error as a user sees it.
func wantError(t *testing.T, what string, err error, want *hangar.Error) {
	t.Helper()
	e, ok := errors.AsType[*hangar.Error](err)
	if !ok {
		t.Errorf("%s: %v, want %s: %s", what, err, want.Code, want.Message)
		return
	}
	wantEqual(t, what, seen(t, e), seen(t, want))
}

func seen(t *testing.T, e *hangar.Error) string {
	t.Helper()
	b, err := json.Marshal(e)
	wantNil(t, "encode an error", err)
	return string(b)
}

func wantEqual(t *testing.T, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}
