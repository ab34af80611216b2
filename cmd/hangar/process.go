package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"hangar"
	"hangar/gateway"
	"hangar/nameko"
	"hangar/orders"
	"hangar/products"
	"hangar/rpc"
)

// Together they stay under the 30 s that orchestrators wait before they kill.
const (
	requestsTimeout = 20 * time.Second // for the requests and calls that were accepted
	outboxTimeout   = 3 * time.Second  // for their events
	stopTimeout     = 5 * time.Second  // for all that runs beside them
)

// process is what runs in one: servers of HTTP and of calls, what works in the
// background, and the connection to the broker under them.
type process struct {
	server     *http.Server // nil without a gateway
	clients    *clients
	calls      []task // servers of calls
	background []task
	transport  []task        // what the others talk through
	relay      *orders.Relay // nil without the orders service
	log        *slog.Logger
}

// newProcess wires the named services on the stores, of which it has those that
// these services need.
func newProcess(c *Config, names []string, s *stores, log *slog.Logger) (*process, error) {
	p := &process{log: log}
	remote, err := p.connect(c, names)
	if err != nil {
		return nil, err
	}
	var (
		productService hangar.ProductService
		stock          hangar.Stock
		orderService   hangar.OrderService
		publish        orders.Publish
	)
	if slices.Contains(names, "products") {
		service := products.NewService(s.products, log)
		productService, stock, publish = service, service, orders.PublishTo(service)
		p.background = append(p.background, service.Run)
		if remote != nil {
			server := remote.server("products", c)
			rpc.ServeProducts(server, service, service, service)
			p.calls = append(p.calls, server.Run)
		}
	} else {
		service := rpc.NewProducts(remote.client)
		productService, stock = service, service
	}
	if slices.Contains(names, "orders") {
		if remote != nil {
			publish = rpc.PublishTo(nameko.NewPublisher(remote.broker, "orders", rpc.Subscribers()...))
		}
		service := orders.NewService(s.orders, stock, log)
		p.relay = orders.NewRelay(s.orders, publish, log)
		orderService = service
		p.background = append(p.background, service.Run, p.relay.Run)
		if remote != nil {
			server := remote.server("orders", c)
			rpc.ServeOrders(server, service)
			p.calls = append(p.calls, server.Run)
		}
	} else if remote != nil {
		orderService = rpc.NewOrders(remote.client, productService)
	}
	if slices.Contains(names, "gateway") {
		handler := gateway.New(gateway.Config{
			Orders:    orderService,
			Products:  productService,
			ImageRoot: c.ImageRoot,
			Log:       log,
		})
		p.server = gateway.NewServer(handler, log)
		p.clients = watchClients(p.server)
	}
	return p, nil
}

// remote is how a process reaches services elsewhere, and is reached by them.
type remote struct {
	broker   *nameko.Broker
	client   *nameko.Client // nil if all services are in the process
	prefetch int
}

func (r *remote) server(service string, c *Config) *nameko.Server {
	return nameko.NewServer(r.broker, service, c.Workers, r.prefetch)
}

// connect returns nil if calls stay in the process.
func (p *process) connect(c *Config, names []string) (*remote, error) {
	if c.AMQP == "" {
		return nil, nil
	}
	broker, err := newBroker(c, p.log)
	if err != nil {
		return nil, err
	}
	r := &remote{broker: broker, prefetch: c.Messaging.prefetch}
	p.transport = append(p.transport, broker.Run)
	if len(names) < len(services) {
		r.client = nameko.NewClient(broker, names[0])
		p.transport = append(p.transport, r.client.Run)
	}
	return r, nil
}

func newBroker(c *Config, log *slog.Logger) (*nameko.Broker, error) {
	config := c.Messaging.broker
	config.URL, config.Log = c.AMQP, log
	if config.TLS != nil { // AMQP_SSL goes with an amqp:// URL
		_, rest, _ := strings.Cut(c.AMQP, "://")
		config.URL = "amqps://" + rest
	}
	broker, err := nameko.NewBroker(config)
	if err != nil {
		return nil, usagef("amqp is %q (%s), which is %w", mask(c.AMQP), c.Origins["amqp"].Source, err)
	}
	return broker, nil
}

// run serves until ctx is done or something fails, and then drains: first the
// requests and calls, because they still make work for the background, then
// that, then the outbox, and at last the connection that all of them use. It
// returns when nothing runs any more. The listener is nil without a gateway.
func (p *process) run(ctx context.Context, listener net.Listener) error {
	running := context.WithoutCancel(ctx)
	failed := make(chan struct{}, 1)
	transport := startStage(running, failed, p.transport)
	background := startStage(running, failed, p.background)
	calls := startStage(running, failed, p.calls)
	var requests *stage
	if p.server != nil {
		requests = startStage(running, failed, []task{func(context.Context) error { return p.serve(listener) }})
	}
	var errs []error
	select {
	case <-ctx.Done():
		p.log.Info("draining: what was accepted is finished, a second signal ends at once")
	case <-failed: // the stage has the error
		errs = append(errs, errors.New("a part of the process ended by itself"))
	}
	deadline := time.Now().Add(requestsTimeout)
	if p.server != nil {
		listener.Close() // says no more than that it is closed
		p.clients.leave()
		errs = append(errs, p.finishRequests(running, deadline), requests.end(stopTimeout))
	}
	errs = append(errs, calls.end(max(stopTimeout, time.Until(deadline))))
	errs = append(errs, background.end(stopTimeout))
	p.drainOutbox(running)
	return errors.Join(append(errs, transport.end(stopTimeout))...)
}

func (p *process) serve(listener net.Listener) error {
	err := p.server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (p *process) finishRequests(ctx context.Context, deadline time.Time) error {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests were cut off after %v: %w", requestsTimeout, errors.Join(err, p.server.Close()))
	}
	return nil
}

// drainOutbox publishes what the last requests left. What remains is stored,
// and published at the next start: that is no failure.
func (p *process) drainOutbox(ctx context.Context) {
	if p.relay == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	if err := p.relay.Drain(ctx); err != nil {
		p.log.Warn("events are left in the outbox, and go out after the next start", "error", err)
	}
}
