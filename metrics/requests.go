package metrics

import (
	"cmp"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const other = "other"

// Requests counts HTTP requests. It is a gateway.Meter.
type Requests struct {
	answers  *table[request, answers]
	inFlight prometheus.Gauge
	refused  prometheus.Counter
}

// request is what requests are told apart by.
type request struct {
	route, method string
	status        int
}

// answers are the counters of requests of one kind.
type answers struct {
	count    prometheus.Counter
	duration prometheus.Observer // nil if their time does not count
}

func (a answers) note(took time.Duration) {
	a.count.Inc()
	if a.duration != nil {
		a.duration.Observe(took.Seconds())
	}
}

// Requests returns what counts the requests of a gateway that works on so many at
// once.
func (m *Metrics) Requests(limit int) *Requests {
	c := m.counted
	m.registry.MustRegister(c.requests, c.requestDuration, c.inFlight, c.requestsRefused,
		constant{m.read.requestsLimit, float64(limit)})
	return &Requests{
		inFlight: c.inFlight,
		refused:  c.requestsRefused.WithLabelValues("busy"),
		answers: newTable(func(r request) answers {
			route, method := cmp.Or(r.route, other), cmp.Or(r.method, other)
			return answers{
				c.requests.WithLabelValues(route, method, strconv.Itoa(r.status)),
				c.requestDuration.WithLabelValues(route, method),
			}
		}),
	}
}

// RequestBegan implements gateway.Meter.
func (r *Requests) RequestBegan() { r.inFlight.Inc() }

// RequestEnded implements gateway.Meter.
func (r *Requests) RequestEnded(route, method string, status int, took time.Duration) {
	r.inFlight.Dec()
	r.answers.get(request{route, knownMethod(method), status}).note(took)
}

// RequestRefused implements gateway.Meter.
func (r *Requests) RequestRefused() { r.refused.Inc() }

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return method
	}
	return other
}
