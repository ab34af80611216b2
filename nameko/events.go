package nameko

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/crash"
)

// eventRetry is how long an event that failed and could not be set aside is
// kept before it goes back into its queue, for this instance or another.
const eventRetry = time.Second

// ErrUnusable says that an event can never be handled: it is parked at once.
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

// keeps reports whether events are kept while nobody handles them.
func (s Subscription) keeps() bool { return !s.Unreliable && s.Kind != Broadcast }

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

// EventHandler handles an event. After an error, or a panic, the event comes
// again later, to this instance or another, by Config.RetryDelays; after the last
// time, or ErrUnusable, it is parked. Events that are not kept while nobody
// handles them are not parked: they come again after a second, until they are
// handled, or are dropped after ErrUnusable.
type EventHandler func(ctx context.Context, e Event) error

// Event is what has happened at a service.
type Event struct {
	Type      string
	Payload   json.RawMessage
	Transient bool // the broker keeps it in memory only: it is of no use after a restart

	// Context is what it is published in, nil for that of Publish: what travels with
	// it comes from there. Handlers have a context of their own.
	Context context.Context
}

type subscribed struct {
	Subscription
	handle EventHandler
}

// HandleEvent adds a handler of events. It must be called before Run.
func (s *Server) HandleEvent(sub Subscription, h EventHandler) {
	if s.retries == nil && sub.keeps() {
		s.retries = newRetries(s.broker, s.log)
	}
	s.subscriptions = append(s.subscriptions, subscribed{sub, h})
}

// follow returns what handles the deliveries of a subscription's queue.
func (s *Server) follow(sub subscribed, queue string) handleDelivery {
	return func(ctx context.Context, d *amqp.Delivery) (finish func()) {
		ctx, cancel := context.WithTimeout(ctx, longestCall)
		defer cancel()
		f := failureOf(d, queue, sub.Event)
		ctx, w := s.beginEvent(ctx, sub, f.event, d)
		err := s.handleEvent(ctx, sub, f.event, d)
		w.end(err)
		switch {
		case err == nil, crash.Off("park"):
			return func() { s.acknowledge(d) }
		case sub.keeps():
			f = f.again(time.Now())
			return func() { s.setAside(d, queue, f, err) }
		case errors.Is(err, ErrUnusable):
			s.log.Error("dropped an event that cannot be handled", "queue", queue, "error", err, "body", fmt.Sprintf("%.1000q", d.Body))
			return func() { s.acknowledge(d) }
		}
		s.log.Warn("an event could not be handled, will be delivered again", "queue", queue, "error", err)
		return func() { s.deliverAgain(d) }
	}
}

func (s *Server) handleEvent(ctx context.Context, sub subscribed, event string, d *amqp.Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	payload, err := payloadOf(d)
	if err != nil {
		return err
	}
	return sub.handle(ctx, Event{Type: event, Payload: payload})
}

// payloadOf returns what an event carries. The error is ErrUnusable.
func payloadOf(d *amqp.Delivery) (json.RawMessage, error) {
	body, err := bodyOf(d)
	if err == nil {
		body, err = plain(body)
	}
	if err == nil && !json.Valid(body) {
		err = errors.New("not valid JSON")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnusable, err)
	}
	return body, nil
}

// setAside puts a failed event into another queue, and only then acknowledges it.
func (s *Server) setAside(d *amqp.Delivery, queue string, f failure, cause error) {
	err := s.retries.setAside(d, queue, f, cause)
	if err == nil {
		s.acknowledge(d)
		return
	}
	s.log.Error("a failed event could not be set aside, will be delivered again", "queue", queue, "error", err)
	s.deliverAgain(d)
}

// deliverAgain gives an event back to its queue, after a pause.
func (s *Server) deliverAgain(d *amqp.Delivery) {
	s.pause(eventRetry/2 + rand.N(eventRetry))
	s.giveBack(d)
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
