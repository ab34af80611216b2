package nameko

import (
	"context"
	"fmt"
	"slices"
	"time"
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

// Publish sends events in their order, and returns when the broker has them all
// on disk, or after 10 s. After an error it may have some of them.
func (p *Publisher) Publish(ctx context.Context, events ...Event) error {
	ctx, cancel := context.WithTimeout(ctx, publishPatience)
	defer cancel()
	if len(callContextOf(ctx).stack) == 0 {
		ctx = Begin(ctx, p.source, "publish")
	}
	for batch := range slices.Chunk(events, maxBatch) {
		if err := p.publishBatch(ctx, batch); err != nil {
			return fmt.Errorf("publish events of %s: %w", p.source, err)
		}
	}
	return nil
}

func (p *Publisher) publishBatch(ctx context.Context, events []Event) error {
	publications, err := p.publications(ctx, events)
	if err != nil {
		return err
	}
	return p.courier.deliver(ctx, publications...)
}

func (p *Publisher) publications(ctx context.Context, events []Event) ([]publication, error) {
	publications := make([]publication, len(events))
	for i, e := range events {
		body, err := encode(e.Payload)
		if err != nil {
			return nil, fmt.Errorf("encode an event %s: %w", e.Type, err)
		}
		publications[i] = publication{
			exchange:  eventExchange(p.source),
			key:       e.Type,
			mandatory: len(p.subscribers) > 0,
			message:   publishing(body, p.broker.headers(ctx)),
		}
	}
	return publications, nil
}
