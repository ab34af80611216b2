// Package metrics is what hangar tells Prometheus. This file has all there is: each
// metric's name, labels and meaning. The others count, and read what is counted
// elsewhere.
//
// Labels have few values, whatever clients send: what is not known in advance is
// "other". What asks a store or the broker is bounded in time, and answered from
// memory when it was asked a moment ago: no scrape hangs, and none adds to the load.
// While one of them does not answer, its metrics are missing, and hangar_store_up or
// hangar_broker_up is 0.
package metrics

import (
	"net/http"
	"runtime"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// buckets are the upper bounds of durations, in seconds: from what one process
// takes for a read to the deadline of a write.
var buckets = []float64{.00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// counted are the metrics that are counted as things happen.
type counted struct {
	requests        *prometheus.CounterVec
	requestDuration *prometheus.HistogramVec
	inFlight        prometheus.Gauge
	requestsRefused *prometheus.CounterVec

	served         *prometheus.CounterVec
	servedDuration *prometheus.HistogramVec
	made           *prometheus.CounterVec
	madeDuration   *prometheus.HistogramVec

	holds         *prometheus.CounterVec
	ordersCreated prometheus.Counter
	ordersRefused *prometheus.CounterVec
	recovered     *prometheus.CounterVec
	published     *prometheus.CounterVec
	handled       *prometheus.CounterVec
}

func newCounted() counted {
	return counted{
		requests: counter("hangar_http_requests_total",
			"HTTP requests that were answered, by route, method and status. Code 0 is a connection that was given up.",
			"route", "method", "code"),
		requestDuration: histogram("hangar_http_request_duration_seconds",
			"Time from a request's header to the end of its answer.", "route", "method"),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "hangar_http_requests_in_flight",
			Help: "HTTP requests that are worked on."}),
		requestsRefused: counter("hangar_http_requests_refused_total",
			"HTTP requests that were answered with 503 before anything of them was done; hangar_http_requests_total does not have them.",
			"reason"),

		served: counter("hangar_rpc_server_calls_total",
			"Calls over AMQP that came to a service, by what became of them.", "service", "method", "outcome"),
		servedDuration: histogram("hangar_rpc_server_call_duration_seconds",
			"Time from a call's arrival to its result; the reply is sent after it.", "service", "method"),
		made: counter("hangar_rpc_client_calls_total",
			"Calls over AMQP that were made, each try by itself, by what became of them.", "service", "method", "outcome"),
		madeDuration: histogram("hangar_rpc_client_call_duration_seconds",
			"Time from a call to its reply, or to its end without one.", "service", "method"),

		holds: counter("hangar_stock_holds_total",
			"Holds of stock for orders, by what became of them. What gives stock back is not counted.", "outcome"),
		ordersCreated: prometheus.NewCounter(prometheus.CounterOpts{Name: "hangar_orders_created_total",
			Help: "Orders that were placed."}),
		ordersRefused: counter("hangar_orders_refused_total",
			"Orders that were not placed, or not as far as is known, by the code of the answer.", "reason"),
		recovered: counter("hangar_recovery_orders_total",
			"Orders that were left between two steps and taken up by recovery: settled, or failed to be for now.", "outcome"),
		published: counter("hangar_events_published_total",
			"Events from the outbox, by what became of their publication; those that failed are published again.", "event", "outcome"),
		handled: counter("hangar_events_handled_total",
			"Events that the products service was given, by what became of them; those that failed are given again.", "event", "outcome"),
	}
}

// read are the metrics that are read when somebody scrapes.
type read struct {
	requestsLimit *prometheus.Desc

	serverInFlight, serverWaiting, serverWorkers, prefetch *prometheus.Desc
	queue                                                  *prometheus.Desc
	cutOff, clientRefused, clientRetries                   *prometheus.Desc

	outboxEvents, outboxAge, outboxParked *prometheus.Desc

	connections, connectionsLimit, storeWaiting *prometheus.Desc
	storeUp, brokerUp, peerUp                   *prometheus.Desc

	cacheReads, cacheLoads, cacheRefused *prometheus.Desc
}

func newRead() read {
	return read{
		requestsLimit: desc("hangar_http_requests_limit", "HTTP requests that are worked on at once, at most."),

		serverInFlight: desc("hangar_rpc_server_calls_in_flight", "Calls and events that a service works on.", "service"),
		serverWaiting:  desc("hangar_rpc_server_calls_waiting", "Calls that a service has fetched and that wait for a worker.", "service"),
		serverWorkers:  desc("hangar_rpc_server_workers", "Calls and events that a service works on at once, at most.", "service"),
		prefetch:       desc("hangar_rpc_prefetch", "Messages with calls that a service fetches ahead, at most.", "service"),
		queue:          desc("hangar_rpc_queue_messages", "Messages at the broker that nobody has fetched.", "queue"),
		cutOff:         desc("hangar_rpc_client_cut_off", "1 while calls of a service fail at once, because it kept failing.", "service"),
		clientRefused: desc("hangar_rpc_client_refused_total",
			"Calls that were not made: the service was cut off, or enough others were made again.", "service", "reason"),
		clientRetries: desc("hangar_rpc_client_retries_total", "Calls that were made again.", "service"),

		outboxEvents: desc("hangar_outbox_events", "Events in the outbox."),
		outboxAge:    desc("hangar_outbox_oldest_event_age_seconds", "How long the first event in the outbox has waited; 0 without any."),
		outboxParked: desc("hangar_outbox_parked_events", "Events that left the outbox because they cannot be delivered, up to 10,000."),

		connections:      desc("hangar_store_connections", "Connections to a store.", "store", "state"),
		connectionsLimit: desc("hangar_store_connections_limit", "Connections to a store, at most.", "store"),
		storeWaiting:     desc("hangar_store_writes_waiting", "Writes that wait for the next transaction.", "store"),
		storeUp:          desc("hangar_store_up", "1 while a store answers.", "store"),
		brokerUp:         desc("hangar_broker_up", "1 while the message broker answers."),
		peerUp:           desc("hangar_rpc_peer_up", "1 while a service on the other side of the broker takes calls.", "service"),

		cacheReads:   desc("hangar_cache_reads_total", "Reads of a cache that was in use, by whether it had what was asked for.", "cache", "outcome"),
		cacheLoads:   desc("hangar_cache_loads_total", "What a cache asked its service for.", "cache"),
		cacheRefused: desc("hangar_cache_loads_refused_total", "What a cache asked for and did not keep, because it changed meanwhile.", "cache"),
	}
}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
}

func histogram(name, help string, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets}, labels)
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Metrics are those of one process, in a registry of their own. What a process does
// not have, it says nothing of: which of the methods are called decides.
type Metrics struct {
	registry *prometheus.Registry
	counted  counted
	read     read
}

// New returns the metrics of a process that was built of that version and commit,
// with Go's own and the process's.
func New(version, revision string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), counted: newCounted(), read: newRead()}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name:        "hangar_build_info",
		Help:        "1, with what the process was built of.",
		ConstLabels: prometheus.Labels{"version": version, "revision": revision, "go_version": runtime.Version()},
	})
	build.Set(1)
	m.registry.MustRegister(build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Gatherer returns what there is at the moment, for who shows it otherwise.
func (m *Metrics) Gatherer() prometheus.Gatherer { return m.registry }

// Handler answers scrapes. What cannot be read is left out.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError, EnableOpenMetrics: true})
}
