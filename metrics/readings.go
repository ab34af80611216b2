package metrics

import (
	"context"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"hangar"
)

// reading collects what is read when somebody scrapes.
type reading struct {
	descs   []*prometheus.Desc
	collect func(emit)
}

// emit adds a value to a scrape.
type emit func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string)

// Describe implements prometheus.Collector.
func (r reading) Describe(descs chan<- *prometheus.Desc) {
	for _, d := range r.descs {
		descs <- d
	}
}

// Collect implements prometheus.Collector.
func (r reading) Collect(metrics chan<- prometheus.Metric) {
	r.collect(func(d *prometheus.Desc, kind prometheus.ValueType, value float64, labels ...string) {
		metrics <- prometheus.MustNewConstMetric(d, kind, value, labels...)
	})
}

// constant is a gauge that never changes.
type constant struct {
	desc  *prometheus.Desc
	value float64
}

// Describe implements prometheus.Collector.
func (c constant) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

// Collect implements prometheus.Collector.
func (c constant) Collect(metrics chan<- prometheus.Metric) {
	metrics <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, c.value)
}

const (
	gauge = prometheus.GaugeValue
	count = prometheus.CounterValue
)

// Server is a service over AMQP at the moment.
type Server struct {
	Service                             string
	Workers, Running, Waiting, Prefetch int
}

// ReadServers tells of the services of a process.
func (m *Metrics) ReadServers(state func() []Server) {
	r := m.read
	m.registry.MustRegister(reading{
		[]*prometheus.Desc{r.serverWorkers, r.serverInFlight, r.serverWaiting, r.prefetch},
		func(emit emit) {
			for _, s := range state() {
				emit(r.serverWorkers, gauge, float64(s.Workers), s.Service)
				emit(r.serverInFlight, gauge, float64(s.Running), s.Service)
				emit(r.serverWaiting, gauge, float64(s.Waiting), s.Service)
				emit(r.prefetch, gauge, float64(s.Prefetch), s.Service)
			}
		},
	})
}

// ReadQueues tells of queues at the broker: how many messages are in each.
func (m *Metrics) ReadQueues(ask func(context.Context) (map[string]int, error)) {
	queues := &recent[map[string]int]{ask: ask}
	m.registry.MustRegister(reading{[]*prometheus.Desc{m.read.queue}, func(emit emit) {
		messages, known := queues.get()
		for queue, n := range messages {
			if known {
				emit(m.read.queue, gauge, float64(n), queue)
			}
		}
	}})
}

// Peer is a service on the other side of the broker, as its client sees it.
type Peer struct {
	Service                     string
	CutOff                      bool
	Refused, Retries, Unretried int64
}

// ReadPeers tells of services on the other side of the broker.
func (m *Metrics) ReadPeers(state func() []Peer) {
	r := m.read
	m.registry.MustRegister(reading{
		[]*prometheus.Desc{r.cutOff, r.clientRefused, r.clientRetries},
		func(emit emit) {
			for _, p := range state() {
				emit(r.cutOff, gauge, truth(p.CutOff), p.Service)
				emit(r.clientRefused, count, float64(p.Refused), p.Service, "cut_off")
				emit(r.clientRefused, count, float64(p.Unretried), p.Service, "retry_budget")
				emit(r.clientRetries, count, float64(p.Retries), p.Service)
			}
		},
	})
}

// ReadOutbox tells of the outbox.
func (m *Metrics) ReadOutbox(ask func(context.Context) (hangar.OutboxStatistics, error)) {
	r, outbox := m.read, &recent[hangar.OutboxStatistics]{ask: ask}
	m.registry.MustRegister(reading{
		[]*prometheus.Desc{r.outboxEvents, r.outboxAge, r.outboxParked},
		func(emit emit) {
			if s, known := outbox.get(); known {
				emit(r.outboxEvents, gauge, float64(s.Waiting))
				emit(r.outboxAge, gauge, s.Oldest.Seconds())
				emit(r.outboxParked, gauge, float64(s.Parked))
			}
		},
	})
}

// Connections are those to a store at the moment.
type Connections struct {
	Store   string
	States  map[string]int // how many are in each state
	Limit   int
	Waiting *int // writes that wait for the next transaction; nil where that is not known
}

// ReadConnections tells of connections to stores.
func (m *Metrics) ReadConnections(state func() []Connections) {
	r := m.read
	m.registry.MustRegister(reading{
		[]*prometheus.Desc{r.connections, r.connectionsLimit, r.storeWaiting},
		func(emit emit) {
			for _, c := range state() {
				for state, n := range c.States {
					emit(r.connections, gauge, float64(n), c.Store, state)
				}
				emit(r.connectionsLimit, gauge, float64(c.Limit), c.Store)
				if c.Waiting != nil {
					emit(r.storeWaiting, gauge, float64(*c.Waiting), c.Store)
				}
			}
		},
	})
}

// Up is what a process stands on, and whether it answers. State must not wait.
type Up struct {
	Stores, Peers map[string]bool
	Broker        *bool // nil without one
}

// ReadUp tells what answers.
func (m *Metrics) ReadUp(state func() Up) {
	r := m.read
	m.registry.MustRegister(reading{
		[]*prometheus.Desc{r.storeUp, r.brokerUp, r.peerUp},
		func(emit emit) {
			s := state()
			for store, up := range s.Stores {
				emit(r.storeUp, gauge, truth(up), store)
			}
			for service, up := range s.Peers {
				emit(r.peerUp, gauge, truth(up), service)
			}
			if s.Broker != nil {
				emit(r.brokerUp, gauge, truth(*s.Broker))
			}
		},
	})
}

// Cache is what a cache has done since it was made.
type Cache struct {
	Name                         string
	Hits, Misses, Loads, Refused uint64
}

// ReadCaches tells of caches.
func (m *Metrics) ReadCaches(state func() []Cache) {
	r := m.read
	m.registry.MustRegister(reading{[]*prometheus.Desc{r.cacheReads, r.cacheLoads, r.cacheRefused}, func(emit emit) {
		for _, c := range state() {
			emit(r.cacheReads, count, float64(c.Hits), c.Name, "hit")
			emit(r.cacheReads, count, float64(c.Misses), c.Name, "miss")
			emit(r.cacheLoads, count, float64(c.Loads), c.Name)
			emit(r.cacheRefused, count, float64(c.Refused), c.Name)
		}
	}})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

const (
	// askTimeout is how long one question may take, and a scrape waits for it.
	askTimeout = 500 * time.Millisecond

	// keepFor is how long an answer is given again.
	keepFor = time.Second
)

// recent asks for something that may take long, at most once a second and once at a
// time, and remembers the answer for as long.
type recent[T any] struct {
	ask func(context.Context) (T, error)

	mu       sync.Mutex
	value    T
	at       time.Time
	answered chan struct{} // closed when the question under way is answered; nil while there is none
}

// get returns the answer, or false if there is none in time; then the value is of
// no use.
func (r *recent[T]) get() (T, bool) {
	if answered := r.begin(); answered != nil {
		timer := time.NewTimer(askTimeout)
		defer timer.Stop()
		select {
		case <-answered:
		case <-timer.C:
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.value, r.isFresh()
}

// begin asks, unless that is under way. It returns nil if that is not needed.
func (r *recent[T]) begin() (answered <-chan struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isFresh() {
		return nil
	}
	if r.answered == nil {
		r.answered = make(chan struct{})
		go r.askOnce(r.answered)
	}
	return r.answered
}

func (r *recent[T]) isFresh() bool { return !r.at.IsZero() && time.Since(r.at) < keepFor }

func (r *recent[T]) askOnce(answered chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	value, err := r.ask(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		r.value, r.at = value, time.Now()
	}
	r.answered = nil
	close(answered)
}
