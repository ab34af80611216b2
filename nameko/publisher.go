package nameko

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/crash"
)

const (
	maxBatch        = 250              // events of a batch
	maxBatches      = 4                // that are on their way at once
	publishPatience = 10 * time.Second // for the connection and the confirms
)

// Publisher announces events of a service.
type Publisher struct {
	broker      *Broker
	source      string
	subscribers []Subscriber
	events      *outlet
	batches     chan struct{} // one for each that is on its way
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
	p := &Publisher{broker: b, source: source, subscribers: subscribers, batches: make(chan struct{}, maxBatches)}
	p.events = b.addOutlet(true, p.setUp)
	return p
}

func (p *Publisher) setUp(s *session) error {
	// It is never read, so that each batch sees that something came back; then
	// the session ends.
	s.returns = s.channel.NotifyReturn(make(chan amqp.Return, maxBatch*maxBatches))
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
	select {
	case p.batches <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.batches }()
	s, err := p.events.ready(ctx)
	if err != nil {
		return err
	}
	confirmations := make([]*amqp.DeferredConfirmation, len(events))
	for i, publication := range publications {
		if confirmations[i], err = s.publish(publication); err != nil {
			return err
		}
	}
	if crash.Off("confirm") {
		return nil
	}
	for i, c := range confirmations {
		if err := s.confirmed(ctx, c, len(publications[i].message.Body)); err != nil {
			return err
		}
	}
	// The library passes on what came back before the confirm of the same message.
	if len(s.returns) > 0 {
		s.discard() // the next session makes the queues again
		return errors.New("an event reached no queue")
	}
	return nil
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
