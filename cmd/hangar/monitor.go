package main

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"

	"hangar/gateway"
	"hangar/health"
	"hangar/metrics"
	"hangar/nameko"
	"hangar/postgres"
	"hangar/redis"
	"hangar/rpc"
	"hangar/sqlite"
	"hangar/tracing/otlp"
)

// Names of what a process stands on, as /readyz tells them: the stores and services
// have what they are before these.
const (
	storeSuffix   = " store"
	serviceSuffix = " service"
	brokerName    = "broker"
)

// monitor is what a process tells about itself. It is there before the rest, which
// then says of each part that it is to be watched.
type monitor struct {
	metrics   *metrics.Metrics
	health    *health.Watch
	readiness *gateway.Readiness
	traces    *otlp.Sender // nil sends none

	dependencies []health.Dependency
	connections  []func() metrics.Connections
	servers      []*nameko.Server
	peers        []peer
}

// peer is a service on the other side of the broker.
type peer interface {
	State() rpc.PeerState
	Check(ctx context.Context) error
}

func newMonitor(names []string, log *slog.Logger) *monitor {
	m := &monitor{
		metrics:   metrics.New(version(), revision()),
		health:    health.New(log),
		readiness: new(gateway.Readiness),
	}
	if !slices.Contains(names, "gateway") {
		m.readiness.Name = strings.Join(names, ", ")
	}
	m.metrics.ReadUp(m.up)
	return m
}

// revision returns the commit that the build was made of, "unknown" if it was made
// without.
func revision() string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}

// ready says that each part of the process is there, and returns what watches them.
func (m *monitor) ready() task {
	m.health.Watch(m.dependencies...)
	return m.health.Run
}

func (m *monitor) watch(d health.Dependency) { m.dependencies = append(m.dependencies, d) }

// watchStore watches a store that was opened, without which the process can do
// nothing.
func (m *monitor) watchStore(name string, ping func(context.Context) error) {
	m.watch(health.Dependency{Name: name + storeSuffix, Ask: ping, Needed: true, Answered: true})
}

// watchStores watches the open stores, which the process needs.
func (m *monitor) watchStores(s *stores) {
	for _, store := range s.open {
		switch store := store.(type) {
		case *sqlite.Store:
			if s.orders == store.Orders {
				m.watchStore("orders", store.Ping)
			}
			if s.products == store.Products {
				m.watchStore("products", store.Ping)
			}
			m.connections = append(m.connections, func() metrics.Connections { return fileConnections(store.State()) })
		case *postgres.OrderStore:
			m.watchStore("orders", store.Ping)
			m.connections = append(m.connections, func() metrics.Connections { return poolConnections(store.Connections()) })
		case *redis.ProductStore:
			m.watchStore("products", store.Ping)
		}
	}
	if len(m.connections) == 0 {
		return
	}
	m.metrics.ReadConnections(func() []metrics.Connections {
		var all []metrics.Connections
		for _, read := range m.connections {
			all = append(all, read())
		}
		return all
	})
}

// fileConnections is of the SQLite file, which may have both orders and products.
func fileConnections(s sqlite.State) metrics.Connections {
	return metrics.Connections{
		Store:   "file",
		States:  map[string]int{"used": s.Reading, "idle": s.Readers - s.Reading},
		Limit:   s.Readers,
		Waiting: &s.Waiting,
	}
}

func poolConnections(c postgres.Connections) metrics.Connections {
	return metrics.Connections{
		Store:  "orders",
		States: map[string]int{"used": c.Used, "idle": c.Idle, "opening": c.Opening},
		Limit:  c.Most,
	}
}

// watchBroker watches the broker, without which a process can do nothing that needs
// services elsewhere.
func (m *monitor) watchBroker(broker *nameko.Broker, needed bool) {
	m.watch(health.Dependency{Name: brokerName, Ask: broker.Ping, Needed: needed})
	m.metrics.ReadQueues(func(ctx context.Context) (map[string]int, error) {
		messages := make(map[string]int)
		for _, name := range queues() {
			state, err := broker.Queue(ctx, name)
			if err != nil {
				return nil, err
			}
			messages[name] = state.Messages
		}
		return messages, nil
	})
	m.metrics.ReadServers(m.serverStates)
	m.metrics.ReadPeers(m.peerStates)
}

// queues returns the names of all queues that work may lie in, whichever services a
// process has: those of a service that does not run matter most.
func queues() []string {
	names := []string{nameko.CallQueue("orders"), nameko.CallQueue("products")}
	for _, s := range rpc.Subscribers() {
		names = append(names, s.Queue(), nameko.ParkedQueue(s.Queue()))
	}
	return names
}

func (m *monitor) watchServer(s *nameko.Server) { m.servers = append(m.servers, s) }

func (m *monitor) serverStates() []metrics.Server {
	states := make([]metrics.Server, len(m.servers))
	for i, s := range m.servers {
		states[i] = metrics.Server(s.State())
	}
	return states
}

// watchPeer watches a service elsewhere. That it is away does not make the process
// less ready: it is away for all others too, and some requests need no other.
func (m *monitor) watchPeer(p peer) {
	m.peers = append(m.peers, p)
	m.watch(health.Dependency{Name: p.State().Service + serviceSuffix, Ask: p.Check})
}

func (m *monitor) peerStates() []metrics.Peer {
	states := make([]metrics.Peer, len(m.peers))
	for i, p := range m.peers {
		states[i] = metrics.Peer(p.State())
	}
	return states
}

// watchCaches watches the caches, which may be nil.
func (m *monitor) watchCaches(c *caches) {
	if c == nil {
		return
	}
	if c.shared != nil {
		m.watch(health.Dependency{Name: "cache" + storeSuffix, Ask: c.shared.Ping})
	}
	m.metrics.ReadCaches(func() []metrics.Cache {
		orders := c.orders.Stats()
		all := []metrics.Cache{{Name: "orders", Hits: orders.Hits, Misses: orders.Misses, Loads: orders.Loads, Refused: orders.Refused}}
		if c.products != nil {
			products := c.products.Stats()
			all = append(all, metrics.Cache{Name: "products", Hits: products.Hits, Misses: products.Misses, Loads: products.Loads, Refused: products.Refused})
		}
		return all
	})
}

// measureRequests returns what counts requests; limit is how many the gateway works
// on at once, as it is configured.
func (m *monitor) measureRequests(limit int) gateway.Meter {
	if limit <= 0 {
		limit = gateway.DefaultMaxRequests
	}
	return m.metrics.Requests(limit)
}

// up tells metrics what health knows.
func (m *monitor) up() metrics.Up {
	up := metrics.Up{Stores: make(map[string]bool), Peers: make(map[string]bool)}
	for name, answers := range m.health.Up() {
		if store, isStore := strings.CutSuffix(name, storeSuffix); isStore {
			up.Stores[store] = answers
		}
		if service, isService := strings.CutSuffix(name, serviceSuffix); isService {
			up.Peers[service] = answers
		}
		if name == brokerName {
			up.Broker = &answers
		}
	}
	return up
}

// publicMetrics returns what the gateway has at /metrics: nothing, if another
// address has them.
func (m *monitor) publicMetrics(c *Config, names []string) http.Handler {
	if c.adminAddr(names) != "" {
		return nil
	}
	return m.metrics.Handler()
}
