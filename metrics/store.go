package metrics

import (
	"context"
	"errors"

	"github.com/prometheus/client_golang/prometheus"

	"hangar"
	"hangar/orders"
)

// Outcomes that several counters have.
const (
	done   = "ok"
	failed = "failed"
)

// Stock counts what the products service is asked to hold.
type Stock struct{ held, outOfStock, noProduct, overtaken, invalid, failed prometheus.Counter }

// Stock returns what counts holds.
func (m *Metrics) Stock() *Stock {
	holds := m.counted.holds
	m.registry.MustRegister(holds)
	return &Stock{
		held:       holds.WithLabelValues("held"),
		outOfStock: holds.WithLabelValues("out_of_stock"),
		noProduct:  holds.WithLabelValues("product_not_found"),
		overtaken:  holds.WithLabelValues("overtaken"), // a newer one was there
		invalid:    holds.WithLabelValues("invalid"),
		failed:     holds.WithLabelValues(failed),
	}
}

// Count counts a hold that ended so.
func (s *Stock) Count(err error) {
	switch hangar.CodeOf(err) {
	case "":
		s.held.Inc()
	case hangar.OutOfStock:
		s.outOfStock.Inc()
	case hangar.ProductNotFound:
		s.noProduct.Inc()
	case hangar.Conflict:
		s.overtaken.Inc()
	case hangar.ValidationError:
		s.invalid.Inc()
	default:
		s.failed.Inc()
	}
}

// Counting returns a stock whose holds are counted.
func (s *Stock) Counting(stock hangar.Stock) hangar.Stock { return countingStock{stock, s} }

type countingStock struct {
	hangar.Stock
	count *Stock
}

// Hold implements hangar.Stock.
func (c countingStock) Hold(ctx context.Context, h hangar.Hold) error {
	err := c.Stock.Hold(ctx, h)
	if len(h.Quantities) > 0 { // else it gives back
		c.count.Count(err)
	}
	return err
}

// Orders counts what becomes of orders. It is an orders.Meter.
type Orders struct {
	created             prometheus.Counter
	refused             *table[hangar.Code, prometheus.Counter]
	recovered, leftOpen prometheus.Counter
}

var _ orders.Meter = (*Orders)(nil)

// Orders returns what counts orders.
func (m *Metrics) Orders() *Orders {
	c := m.counted
	m.registry.MustRegister(c.ordersCreated, c.ordersRefused, c.recovered)
	o := &Orders{
		created:   c.ordersCreated,
		recovered: c.recovered.WithLabelValues("settled"),
		leftOpen:  c.recovered.WithLabelValues(failed),
		refused:   newTable(func(code hangar.Code) prometheus.Counter { return c.ordersRefused.WithLabelValues(reasonOf(code)) }),
	}
	o.refused.get(hangar.OutOfStock) // what is of interest is there from the beginning
	o.refused.get(hangar.Unavailable)
	return o
}

// OrderCreated implements orders.Meter.
func (o *Orders) OrderCreated() { o.created.Inc() }

// OrderRefused implements orders.Meter.
func (o *Orders) OrderRefused(code hangar.Code) { o.refused.get(code).Inc() }

// OrderRecovered implements orders.Meter.
func (o *Orders) OrderRecovered(err error) {
	if err != nil {
		o.leftOpen.Inc()
		return
	}
	o.recovered.Inc()
}

// reasonOf returns the codes that an order may be refused with; others may come from
// a products service of whatever version.
func reasonOf(code hangar.Code) string {
	switch code {
	case hangar.ValidationError, hangar.ProductNotFound, hangar.OutOfStock, hangar.Conflict, hangar.IdempotencyKeyReused,
		hangar.Unavailable, hangar.Unexpected:
		return string(code)
	}
	return other
}

// Publishing returns publish, counted: the events that leave the outbox.
func (m *Metrics) Publishing(publish orders.Publish) orders.Publish {
	m.registry.MustRegister(m.counted.published)
	counters := newTable(func(k eventKey) prometheus.Counter {
		return m.counted.published.WithLabelValues(eventName(k.event), k.outcome)
	})
	for _, outcome := range []string{done, failed, "unusable"} {
		counters.get(eventKey{hangar.OrderCreatedEvent, outcome})
	}
	return func(ctx context.Context, events []orders.Event) error {
		err := publish(ctx, events)
		bad, _ := errors.AsType[orders.BadEvents](err)
		for _, e := range events {
			counters.get(eventKey{eventName(e.Type), outcomeOfEvent(e, err, bad)}).Inc()
		}
		return err
	}
}

// eventKey is what events are told apart by.
type eventKey struct{ event, outcome string }

func outcomeOfEvent(e orders.Event, err error, bad orders.BadEvents) string {
	for _, b := range bad {
		if b.ID == e.ID {
			return "unusable"
		}
	}
	if err != nil {
		return failed // or was not tried, because another one failed
	}
	return done
}

func eventName(event string) string {
	if event == hangar.OrderCreatedEvent {
		return event
	}
	return other
}

// Handling returns a handler of events whose events are counted.
func (m *Metrics) Handling(handler hangar.OrderEvents) hangar.OrderEvents {
	handled := m.counted.handled
	m.registry.MustRegister(handled)
	return countingEvents{
		handler,
		handled.WithLabelValues(hangar.OrderCreatedEvent, done),
		handled.WithLabelValues(hangar.OrderCreatedEvent, failed),
	}
}

type countingEvents struct {
	hangar.OrderEvents
	done, failed prometheus.Counter
}

// HandleOrderCreated implements hangar.OrderEvents.
func (c countingEvents) HandleOrderCreated(ctx context.Context, e hangar.OrderCreated) error {
	err := c.OrderEvents.HandleOrderCreated(ctx, e)
	if err != nil {
		c.failed.Inc()
		return err
	}
	c.done.Inc()
	return nil
}
