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
	"hangar/tracing/otlp"
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
	traces     *otlp.Sender // nil sends none
	log        *slog.Logger
}

// newProcess wires the named services on the stores, of which it has those that
// these services need.
func newProcess(c *Config, names []string, s *stores, m *monitor, log *slog.Logger) (*process, error) {
	p := &process{readiness: m.readiness, stores: s, traces: m.traces, log: log}
	remote, err := p.connect(c, names, m)
	if err != nil {
		return nil, err
	}
	m.watchStores(s)
	told := new(announcements)
	var (
		productService hangar.ProductService
		stock          hangar.Stock
		orderService   hangar.OrderService
		publish        orders.Publish
		countHold      func(error)
	)
	if slices.Contains(names, "products") {
		service := products.NewService(s.products, log)
		service.AnnounceTo(told.productChanged)
		holds, events := m.metrics.Stock(), m.metrics.Handling(service)
		countHold = func(err error) { service.CountHold(err); holds.Count(err) }
		productService, stock, publish = service, holds.Counting(service), publishWithin(m.traces, events)
		p.background = append(p.background, service.Run)
		if remote != nil {
			server := remote.server("products", c)
			rpc.ServeProducts(server, service, stock, events)
			m.watchServer(server)
			p.calls = append(p.calls, server.Run)
		}
	} else {
		service := rpc.NewProducts(remote.client)
		productService, stock = service, service
		m.watchPeer(service)
	}
	if slices.Contains(names, "orders") {
		if remote != nil {
			publish = rpc.PublishTo(nameko.NewPublisher(remote.broker, "orders", rpc.Subscribers()...))
		}
		service := orders.NewService(s.orders, stock, log)
		service.MeasureWith(m.metrics.Orders())
		m.metrics.ReadOutbox(service.OutboxStatistics)
		p.relay = orders.NewRelay(s.orders, m.metrics.Publishing(publish), log)
		service.RefuseWhile(p.relay.IsFull)
		if s.creator != nil {
			service.CreateWith(countingCreator{s.creator, countHold})
		}
		if remote != nil || m.traces != nil {
			service.NoteOrigin(rpc.OriginOf)
		}
		service.AnnounceTo(told.orderChanged)
		orderService = service
		p.background = append(p.background, service.Run, p.relay.Run)
		if remote != nil {
			server := remote.server("orders", c)
			rpc.ServeOrders(server, service)
			m.watchServer(server)
			p.calls = append(p.calls, server.Run)
		}
	} else if remote != nil {
		service := rpc.NewOrders(remote.client, productService)
		orderService = service
		if slices.Contains(names, "gateway") { // nobody else calls it
			m.watchPeer(service)
		}
	}
	caches, err := newCaches(c, orderService, productService, log)
	if err != nil {
		return nil, err
	}
	m.watchCaches(caches)
	p.announce(c, names, remote, told, caches)
	if slices.Contains(names, "gateway") {
		if caches != nil {
			orderService, productService = caches.services()
			p.listen(remote, caches)
		}
		handler := gateway.New(gateway.Config{
			Orders:      orderService,
			Products:    productService,
			ImageRoot:   c.ImageRoot,
			Readiness:   p.readiness,
			Health:      m.health.State,
			Meter:       m.measureRequests(c.MaxRequests),
			Metrics:     m.publicMetrics(c, names),
			MaxRequests: c.MaxRequests,
			Console:     newConsole(c, orderService, productService, m),
			CORSOrigins: c.CORSOrigins,
			Log:         log,
			Traces:      m.traces.Provider(),
		})
		p.server = gateway.NewServer(handler, log)
		p.clients = watchClients(p.server)
	}
	p.background = append(p.background, m.ready())
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
func (p *process) connect(c *Config, names []string, m *monitor) (*remote, error) {
	if c.AMQP == "" {
		return nil, nil
	}
	broker, err := newBroker(c, m.metrics.Calls(), m.traces, p.log)
	if err != nil {
		return nil, err
	}
	r := &remote{broker: broker, prefetch: c.Messaging.prefetch}
	p.transport = append(p.transport, broker.Run)
	if len(names) < len(services) {
		r.client = nameko.NewClient(broker, names[0])
		p.callers = append(p.callers, r.client.Run)
	}
	m.watchBroker(broker, r.client != nil)
	return r, nil
}

// newBroker returns the configured broker. Meter and traces may be nil.
func newBroker(c *Config, meter nameko.Meter, traces *otlp.Sender, log *slog.Logger) (*nameko.Broker, error) {
	config := c.Messaging.broker
	config.URL, config.Meter, config.Traces, config.Log = c.AMQP, meter, traces.Provider(), log
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
