package nameko

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// Audience is told what a Listener hears, and whether it hears.
type Audience interface {
	// Listening says that from now on no event is missed.
	Listening()

	// Hear takes an event, possibly several at the same time, and must be quick:
	// those behind it wait. After an error or a panic the event counts as missed.
	Hear(ctx context.Context, e Event) error

	// Deaf says that events may have been missed since the broker was last heard,
	// and will be until Listening. Events that came before may be heard after it.
	Deaf()
}

// Listener hears events while they happen: each instance of a service hears all
// of them, and none is kept for one that is away, as Nameko's broadcasts have it.
// For what must happen for each event, Server.HandleEvent is the place; a listener
// is for those who can do without, if they know when they have to.
//
// A connection that falls silent is noticed after two heartbeats; see
// Config.Heartbeat.
type Listener struct {
	broker        *Broker
	service       string
	audience      Audience
	subscriptions []Subscription
	log           *slog.Logger
}

// NewListener returns a listener for an instance of a service. It hears what the
// subscriptions name, each as a Broadcast, whatever its Kind.
func NewListener(b *Broker, service string, a Audience, subscriptions ...Subscription) *Listener {
	subscriptions = slices.Clone(subscriptions)
	for i := range subscriptions {
		subscriptions[i].Kind = Broadcast
	}
	return &Listener{
		broker:        b,
		service:       service,
		audience:      a,
		subscriptions: subscriptions,
		log:           b.config.Log.With("service", service),
	}
}

// Run listens until ctx is done, and then returns nil. It waits for a broker that
// is not there.
func (l *Listener) Run(ctx context.Context) error {
	var pause backoff
	for {
		err := l.listen(ctx, func() { pause = backoff{} })
		if ctx.Err() != nil {
			return nil
		}
		l.log.Warn("events cannot be heard, will try again", "error", err)
		pause.sleep(ctx)
	}
}

// listen listens until the channel is lost, an event is missed, or ctx is done.
func (l *Listener) listen(ctx context.Context, begun func()) error {
	conn, err := l.broker.consuming.connected.wait(ctx)
	if err != nil {
		return err
	}
	ch, err := conn.channel()
	if err != nil {
		return err
	}
	var hearing sync.WaitGroup
	defer hearing.Wait()
	defer ch.Close() // says no more than that it is closed already
	lost := ch.NotifyClose(make(chan *amqp.Error, 1))
	missed := make(chan error, len(l.subscriptions))
	for _, sub := range l.subscriptions {
		deliveries, err := l.consume(ch, sub)
		if err != nil {
			return err
		}
		hearing.Go(func() { missed <- l.hearAll(ctx, sub, deliveries) })
	}
	begun()
	l.audience.Listening()
	defer l.audience.Deaf()
	l.log.Info("the service listens to events")
	select {
	case <-ctx.Done():
		return ctx.Err()
	case err := <-lost:
		return closed(err)
	case err := <-missed:
		return err
	}
}

// consume returns what comes in. It needs no acknowledgements: the queue is gone
// with the connection, and what was in it is missed anyway.
func (l *Listener) consume(ch *amqp.Channel, sub Subscription) (<-chan amqp.Delivery, error) {
	queue, err := l.broker.declareSubscription(ch, l.service, sub)
	if err != nil {
		return nil, err
	}
	deliveries, err := ch.Consume(queue, "", true, false, false, false, nil)
	if err != nil {
		return nil, fmt.Errorf("consume %s: %w", queue, err)
	}
	return deliveries, nil
}

// hearAll returns when there is nothing more to hear, or something was missed.
func (l *Listener) hearAll(ctx context.Context, sub Subscription, deliveries <-chan amqp.Delivery) error {
	for d := range deliveries {
		if err := l.hear(ctx, sub, &d); err != nil {
			return fmt.Errorf("an event %s of %s was missed: %w", sub.Event, sub.Source, err)
		}
	}
	return fmt.Errorf("the consumer of events %s of %s was cancelled", sub.Event, sub.Source)
}

func (l *Listener) hear(ctx context.Context, sub Subscription, d *amqp.Delivery) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	payload, err := payloadOf(d)
	if err != nil {
		return err
	}
	ctx = Begin(l.broker.received(ctx, d.Headers), l.service, sub.Method)
	return l.audience.Hear(ctx, Event{Type: sub.Event, Payload: payload})
}
