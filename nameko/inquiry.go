package nameko

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

// inquiry is a channel to ask the broker on, beside all that works. It is opened
// when it is first used, and again after it was lost.
type inquiry struct {
	mu      sync.Mutex
	channel *amqp.Channel
}

// QueueState is what is in a queue.
type QueueState struct {
	Messages  int // that nobody has fetched
	Consumers int
}

// CallQueue returns the name of the queue that the calls of a service come to.
func CallQueue(service string) string { return "rpc-" + service }

// ParkedQueue returns the name of the queue where events are parked that came to
// another one.
func ParkedQueue(queue string) string { return parkedQueue(queue) }

// Ping returns nil if the broker answers, and would take messages.
func (b *Broker) Ping(ctx context.Context) error {
	publishing, err := b.publishing.connected.present()
	if err != nil {
		return err
	}
	if reason := publishing.socket.blockedBy(); reason != "" {
		return fmt.Errorf("%w: it accepts no messages: it is short of %s", ErrNoBroker, reason)
	}
	return b.ask(ctx, func(ch *amqp.Channel) error {
		return ch.ExchangeDeclarePassive(b.config.Exchange, amqp.ExchangeTopic, true, false, false, false, nil)
	})
}

// Queue returns what is in a queue; nothing, if it does not exist.
func (b *Broker) Queue(ctx context.Context, name string) (QueueState, error) {
	states := make(chan QueueState, 1)
	err := b.ask(ctx, func(ch *amqp.Channel) error {
		q, err := ch.QueueDeclarePassive(name, true, false, false, false, nil)
		if err == nil {
			states <- QueueState{Messages: q.Messages, Consumers: q.Consumers}
		}
		return err
	})
	if err != nil || len(states) == 0 {
		return QueueState{}, err
	}
	return <-states, nil
}

// CallQueue returns what is in the queue of a service that is called. Consumers are
// its instances, whoever wrote them.
func (c *Client) CallQueue(ctx context.Context, service string) (QueueState, error) {
	return c.broker.Queue(ctx, CallQueue(service))
}

// ask asks the broker something, without waiting for a connection. The answer that
// there is no such thing, or that it may not be asked for, is none of its errors.
// The library waits for answers however long they take, which may be until the
// silent connection is given up: then ctx ends only the wait for it.
func (b *Broker) ask(ctx context.Context, question func(*amqp.Channel) error) error {
	conn, err := b.consuming.connected.present()
	if err != nil {
		return err
	}
	answered := make(chan error, 1)
	go func() { answered <- b.inquiry.ask(conn, question) }()
	select {
	case err := <-answered:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the message broker does not answer: %w", ctx.Err())
	}
}

func (i *inquiry) ask(conn *connection, question func(*amqp.Channel) error) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.channel == nil || i.channel.IsClosed() {
		ch, err := conn.channel()
		if err != nil {
			return err
		}
		i.channel = ch
	}
	err := question(i.channel)
	if refusal, ok := errors.AsType[*amqp.Error](err); ok && (refusal.Code == amqp.NotFound || refusal.Code == amqp.AccessRefused) {
		return nil // the broker has closed the channel to say so
	}
	return err
}
