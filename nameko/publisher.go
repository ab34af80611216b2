package nameko

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/trace"

	"hangar/tracing"
)

// publishPatience bounds waiting for the connection and the confirms.
const publishPatience = 10 * time.Second

// Publisher announces events of a service.
type Publisher struct {
	broker      *Broker
	source      string
	subscribers []Subscriber
	courier     *courier
}

// Subscriber is a service that must not miss an event, whether it has run yet
// or not.
type Subscriber struct {
	Service string
	Subscription
}

// NewPublisher returns a publisher of a service's events. It makes the queues of
// the subscribers itself; if there are any, an event that finds no queue is an
// error.
func NewPublisher(b *Broker, source string, subscribers ...Subscriber) *Publisher {
	p := &Publisher{broker: b, source: source, subscribers: subscribers}
	p.courier = b.newCourier(maxBatches, maxBatch, p.setUp)
	return p
}

func (p *Publisher) setUp(s *session) error {
	if err := p.broker.declareEvents(s.channel, p.source); err != nil {
		return fmt.Errorf("declare the exchange %s: %w", eventExchange(p.source), err)
	}
	for _, sub := range p.subscribers {
		if _, err := p.broker.declareSubscription(s.channel, sub.Service, sub.Subscription); err != nil {
			return err
		}
	}
	return nil
}

// EventError says which of the events that were to be published is why none may
// have been: it never can be.
type EventError struct {
	Index int // in what Publish was given
	Err   error
}

// Error returns why.
func (e EventError) Error() string { return e.Err.Error() }

// Unwrap returns why.
func (e EventError) Unwrap() error { return e.Err }

// Publish sends events in their order, and returns when the broker has them all,
// on disk unless they are transient, or after 10 s. After an error it may have some of them. An EventError
// names the one that cannot be encoded, or is larger than the broker allows.
func (p *Publisher) Publish(ctx context.Context, events ...Event) error {
	ctx, cancel := context.WithTimeout(ctx, p.broker.patience.publish)
	defer cancel()
	if len(callContextOf(ctx).stack) == 0 {
		ctx = Begin(ctx, p.source, "publish")
	}
	publications, spans, err := p.publications(ctx, events)
	if err == nil {
		err = p.publishAll(ctx, publications)
	}
	for _, span := range spans {
		tracing.End(span, kindOf(err))
	}
	if err != nil {
		return fmt.Errorf("publish events of %s: %w", p.source, err)
	}
	return nil
}

func (p *Publisher) publishAll(ctx context.Context, publications []publication) error {
	sent := 0
	for batch := range slices.Chunk(publications, maxBatch) {
		err := p.courier.deliver(ctx, batch...)
		if isTooLarge(err) {
			// Of those before it the broker may have none: which one it was shows
			// only when each goes alone.
			err = p.publishEach(ctx, batch)
		}
		if e, ok := errors.AsType[EventError](err); ok {
			return EventError{Index: sent + e.Index, Err: e.Err}
		}
		if err != nil {
			return err
		}
		sent += len(batch)
	}
	return nil
}

func (p *Publisher) publishEach(ctx context.Context, publications []publication) error {
	for i := range publications {
		err := p.courier.deliver(ctx, publications[i])
		if isTooLarge(err) {
			return EventError{Index: i, Err: err}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// isTooLarge reports whether the broker gave up the channel for a message's size.
func isTooLarge(err error) bool {
	cause, ok := errors.AsType[*amqp.Error](err)
	return ok && errors.Is(err, errRefused) && cause.Code == amqp.PreconditionFailed
}

// contextOf returns what an event is published in, if not in what the others are.
func (p *Publisher) contextOf(e Event, others context.Context) context.Context {
	switch {
	case e.Context == nil:
		return others
	case len(callContextOf(e.Context).stack) == 0:
		return Begin(e.Context, p.source, "publish")
	}
	return e.Context
}

// publications returns the messages of events, and their spans, which have begun.
func (p *Publisher) publications(ctx context.Context, events []Event) ([]publication, []trace.Span, error) {
	publications := make([]publication, len(events))
	var spans []trace.Span
	for i, e := range events {
		body, err := encode(e.Payload)
		if err != nil {
			return nil, spans, EventError{Index: i, Err: fmt.Errorf("encode an event %s: %w", e.Type, err)}
		}
		ctx, span := p.beginPublishSpan(p.contextOf(e, ctx), e.Type)
		if span.IsRecording() {
			spans = append(spans, span)
		}
		publications[i] = publication{
			exchange:  eventExchange(p.source),
			key:       e.Type,
			mandatory: len(p.subscribers) > 0,
			message:   publishing(body, p.broker.headers(ctx)),
		}
		if e.Transient {
			publications[i].message.DeliveryMode = amqp.Transient
		}
	}
	return publications, spans, nil
}
