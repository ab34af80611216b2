package metrics

import (
	"cmp"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Calls counts calls over AMQP. It is a nameko.Meter.
type Calls struct {
	served, made *table[call, answers]
}

// call is what calls are told apart by.
type call struct{ service, method, outcome string }

// Calls returns what counts the calls that are served and made.
func (m *Metrics) Calls() *Calls {
	c := m.counted
	m.registry.MustRegister(c.served, c.servedDuration, c.made, c.madeDuration)
	return &Calls{served: newCalls(c.served, c.servedDuration), made: newCalls(c.made, c.madeDuration)}
}

// refused and expired are outcomes of calls that were not worked on: their time says
// nothing of the others.
const (
	refused = "refused"
	expired = "expired"
)

func newCalls(count *prometheus.CounterVec, duration *prometheus.HistogramVec) *table[call, answers] {
	return newTable(func(c call) answers {
		service, method := cmp.Or(c.service, other), cmp.Or(c.method, other)
		a := answers{count: count.WithLabelValues(service, method, cmp.Or(c.outcome, other))}
		if c.outcome != refused && c.outcome != expired {
			a.duration = duration.WithLabelValues(service, method)
		}
		return a
	})
}

// CallServed implements nameko.Meter.
func (c *Calls) CallServed(service, method, outcome string, took time.Duration) {
	c.served.get(call{service, method, outcome}).note(took)
}

// CallMade implements nameko.Meter.
func (c *Calls) CallMade(service, method, outcome string, took time.Duration) {
	c.made.get(call{service, method, outcome}).note(took)
}
