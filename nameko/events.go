package nameko

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// eventRetry is how long an event that failed is kept before it goes back into
// its queue, for this instance or another.
const eventRetry = time.Second

// ErrUnusable says that an event can never be handled: it is logged, and not
// delivered again.
var ErrUnusable = errors.New("unusable event")

// Kind is who gets an event.
type Kind int

// The kinds of subscriptions.
const (
	ServicePool Kind = iota // one instance of each service, once for each of its methods
	Singleton               // one instance of all services
	Broadcast               // every instance of the service
)

// Subscription is what events a service's method handles. Whoever shares its
// queue must give the same one.
type Subscription struct {
	Source string // the service that the event is of
	Event  string // its type
	Method string // of the service, names the queue
	Kind   Kind

	// Unreliable means that events are not kept while nobody handles them. Those
	// of a Broadcast never are.
	Unreliable bool
}

// queue returns the name of its queue. Each call for a Broadcast gives another.
func (s Subscription) queue(service string) string {
	name := "evt-" + s.Source + "-" + s.Event
	if s.Kind == Singleton {
		return name
	}
	name += "--" + service + "." + s.Method
	if s.Kind == Broadcast {
		name += "-" + strings.ReplaceAll(uuid.NewString(), "-", "")
	}
	return name
}

func eventExchange(source string) string { return source + ".events" }

// declareSubscription makes the queue of a subscription, bound to the events.
func (b *Broker) declareSubscription(ch *amqp.Channel, service string, s Subscription) (queue string, err error) {
	if err := b.declareEvents(ch, s.Source); err != nil {
		return "", fmt.Errorf("declare the exchange %s: %w", eventExchange(s.Source), err)
	}
	queue = s.queue(service)
	broadcast := s.Kind == Broadcast
	if _, err := ch.QueueDeclare(queue, true, s.Unreliable || broadcast, broadcast, false, nil); err != nil {
		return "", fmt.Errorf("declare the queue %s: %w", queue, err)
	}
	if err := ch.QueueBind(queue, s.Event, eventExchange(s.Source), false, nil); err != nil {
		return "", fmt.Errorf("bind the queue %s: %w", queue, err)
	}
	return queue, nil
}

// EventHandler handles an event. After an error the event is delivered again, to
// this instance or another, unless the error is ErrUnusable.
type EventHandler func(ctx context.Context, e Event) error

// Event is what has happened at a service.
type Event struct {
	Type    string
	Payload json.RawMessage
}

type subscribed struct {
	Subscription
	handle EventHandler
}

// HandleEvent adds a handler of events. It must be called before Run.
func (s *Server) HandleEvent(sub Subscription, h EventHandler) {
	s.subscriptions = append(s.subscriptions, subscribed{sub, h})
}

// follow returns what handles the deliveries of a subscription.
func (s *Server) follow(sub subscribed) handleDelivery {
	log := s.log.With("event", sub.Source+"."+sub.Event)
	return func(ctx context.Context, d *amqp.Delivery, _ time.Time) {
		err := s.handleEvent(ctx, sub, d)
		switch {
		case err == nil:
			err = d.Ack(false)
		case errors.Is(err, ErrUnusable):
			log.Error("dropped an event that cannot be handled", "error", err, "body", fmt.Sprintf("%.1000q", d.Body))
			err = d.Ack(false)
		default:
			log.Warn("an event could not be handled, will be delivered again", "error", err)
			s.pause(eventRetry/2 + rand.N(eventRetry))
			err = d.Nack(false, true)
		}
		if err != nil {
			log.Info("an event could not be acknowledged and will be delivered again", "error", err)
		}
	}
}

func (s *Server) handleEvent(ctx context.Context, sub subscribed, d *amqp.Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	body, err := bodyOf(d)
	if err == nil {
		body, err = plain(body)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	ctx = Begin(received(ctx, d.Headers), s.service, sub.Method)
	return sub.handle(ctx, Event{Type: d.RoutingKey, Payload: body})
}

// pause waits, and not to the end when the service stops.
func (s *Server) pause(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-s.stopping:
	}
}

// Publisher announces events of a service.
type Publisher struct {
	broker      *Broker
	source      string
	subscribers []Subscriber

	mu      sync.Mutex // one batch at a time: what comes back is of it
	events  outlet
	returns chan amqp.Return
}

// Subscriber is a service that must not miss an event, whether it has run yet
// or not.
type Subscriber struct {
	Service string
	Subscription
}

const (
	maxBatch        = 1000             // events that are on their way at once
	publishPatience = 10 * time.Second // for the connection and the confirms
)

// NewPublisher returns a publisher of a service's events. It makes the queues of
// the subscribers itself; if there are any, an event that finds no queue is an
// error.
func NewPublisher(b *Broker, source string, subscribers ...Subscriber) *Publisher {
	p := &Publisher{broker: b, source: source, subscribers: subscribers}
	p.events = outlet{broker: b, setUp: p.setUp}
	return p
}

func (p *Publisher) setUp(ch *amqp.Channel) error {
	// The library passes on what came back before the confirm of the same
	// message: when all are confirmed, all that came back are in here.
	p.returns = ch.NotifyReturn(make(chan amqp.Return, maxBatch))
	if err := p.broker.declareEvents(ch, p.source); err != nil {
		return fmt.Errorf("declare the exchange %s: %w", eventExchange(p.source), err)
	}
	for _, sub := range p.subscribers {
		if _, err := p.broker.declareSubscription(ch, sub.Service, sub.Subscription); err != nil {
			return err
		}
	}
	return nil
}

// Publish sends events in their order, and returns when the broker has them all
// on disk, or after 10 s. After an error it may have some of them.
func (p *Publisher) Publish(ctx context.Context, events ...Event) error {
	p.mu.Lock()
	defer p.mu.Unlock()
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
	ch, err := p.events.channel(ctx) // one for all, or what came back on another would be missed
	if err != nil {
		return err
	}
	confirmations := make([]*amqp.DeferredConfirmation, len(events))
	for i, e := range events {
		body, err := encode(e.Payload)
		if err != nil {
			return fmt.Errorf("encode an event %s: %w", e.Type, err)
		}
		message := publishing(body, p.broker.headers(ctx))
		mandatory := len(p.subscribers) > 0
		confirmations[i], err = ch.PublishWithDeferredConfirm(eventExchange(p.source), e.Type, mandatory, false, message)
		if err != nil {
			return err
		}
	}
	for _, c := range confirmations {
		acked, err := c.WaitContext(ctx)
		if err != nil {
			return err
		}
		if !acked {
			return errInDoubt
		}
	}
	select {
	case r, ok := <-p.returns:
		if ok {
			ch.Close() // the next batch declares the queues again
			return fmt.Errorf("an event %s reached no queue: %s", r.RoutingKey, r.ReplyText)
		}
	default:
	}
	return nil
}
