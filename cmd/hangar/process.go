package main

import (
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"hangar"
	"hangar/gateway"
	"hangar/nameko"
	"hangar/orders"
	"hangar/products"
	"hangar/rpc"
)

// process is what runs in one: servers of HTTP and of calls, what works in the
// background, and under them the connection to the broker and the stores.
type process struct {
	server     *http.Server // nil without a gateway
	readiness  *gateway.Readiness
	clients    *clients
	calls      []task // servers of calls
	background []task
	relay      *orders.Relay // nil without the orders service
	callers    []task        // clients of calls
	transport  []task        // the connection that all of them use
	stores     *stores
	log        *slog.Logger
}

// newProcess wires the named services on the stores, of which it has those that
// these services need.
func newProcess(c *Config, names []string, s *stores, log *slog.Logger) (*process, error) {
	p := &process{stores: s, log: log}
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
		service.RefuseWhile(p.relay.IsFull)
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
		p.readiness = new(gateway.Readiness)
		handler := gateway.New(gateway.Config{
			Orders:      orderService,
			Products:    productService,
			ImageRoot:   c.ImageRoot,
			Readiness:   p.readiness,
			MaxRequests: c.MaxRequests,
			Log:         log,
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
		p.callers = append(p.callers, r.client.Run)
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
