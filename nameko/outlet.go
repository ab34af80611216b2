package nameko

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"
)

// outlet publishes on a channel of its own in confirm mode, opened again after
// it was lost. Many may publish at once; their confirms come as they come.
type outlet struct {
	broker *Broker
	setUp  func(*amqp.Channel) error // declares what is published to, each time

	opening sync.Mutex
	open    atomic.Pointer[amqp.Channel]
}

// publication is a message on its way.
type publication struct {
	exchange, key string
	mandatory     bool
	message       amqp.Publishing
}

// errInDoubt says that the connection was lost while a message was sent: the
// broker may have it.
var errInDoubt = errors.New("the connection to the message broker was lost while a message was sent")

// publish sends a message, and waits for a connection first if there is none.
// With an error other than errInDoubt it was not sent. The confirmation fires
// when the broker has the message, or, not acknowledged, when that is in doubt.
func (o *outlet) publish(ctx context.Context, p publication) (*amqp.DeferredConfirmation, error) {
	for {
		ch, err := o.channel(ctx)
		if err != nil {
			return nil, err
		}
		confirmation, err := ch.PublishWithDeferredConfirm(p.exchange, p.key, p.mandatory, false, p.message)
		switch {
		case err == nil:
			return confirmation, nil
		case errors.Is(err, amqp.ErrClosed):
			continue // it was closed before this message
		case ch.IsClosed():
			return nil, errInDoubt
		default:
			return nil, fmt.Errorf("publish to %s with key %s: %w", p.exchange, p.key, err)
		}
	}
}

// channel returns an open channel.
func (o *outlet) channel(ctx context.Context) (*amqp.Channel, error) {
	for {
		if ch := o.open.Load(); ch != nil && !ch.IsClosed() {
			return ch, nil
		}
		conn, err := o.broker.publishing.connection(ctx)
		if err != nil {
			return nil, err
		}
		if err := o.reopen(conn); err != nil && !conn.IsClosed() {
			return nil, err
		}
	}
}

func (o *outlet) reopen(conn *amqp.Connection) error {
	o.opening.Lock()
	defer o.opening.Unlock()
	if ch := o.open.Load(); ch != nil && !ch.IsClosed() {
		return nil // somebody else did
	}
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return fmt.Errorf("ask for confirms: %w", err)
	}
	if err := o.setUp(ch); err != nil {
		ch.Close() // says no more than that it is closed already
		return err
	}
	o.open.Store(ch)
	return nil
}
