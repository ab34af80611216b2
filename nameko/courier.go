package nameko

import (
	"context"
	"errors"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/crash"
)

const (
	maxBatch   = 250 // messages of a batch
	maxBatches = 4   // that are on their way at once
)

// errNoQueue says that a message reached no queue.
var errNoQueue = errors.New("a message reached no queue")

// courier delivers messages: each is confirmed, and if it must reach a queue it
// has.
type courier struct {
	outlet   *outlet
	onTheWay chan struct{} // one for each batch
}

// newCourier returns a courier. What setUp declares is declared again after each
// message that reached no queue. So many batches may be on their way at once, of
// so many messages.
func (b *Broker) newCourier(batches, batch int, setUp func(*session) error) *courier {
	c := &courier{onTheWay: make(chan struct{}, batches)}
	c.outlet = b.addOutlet(true, func(s *session) error {
		// It is never read, so that each batch sees that something came back; then
		// the session ends.
		s.returns = s.channel.NotifyReturn(make(chan amqp.Return, batches*batch))
		return setUp(s)
	})
	return c
}

// deliver sends a batch in its order, and returns when the broker has it on disk.
// After an error it may have some of it. ctx must have a deadline.
func (c *courier) deliver(ctx context.Context, batch ...publication) error {
	select {
	case c.onTheWay <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-c.onTheWay }()
	s, err := c.outlet.ready(ctx)
	if err != nil {
		return err
	}
	sent, err := s.publishAll(batch)
	if err != nil && !errors.Is(err, amqp.ErrClosed) {
		return err
	}
	if crash.Off("confirm") {
		return nil
	}
	// A channel that was closed meanwhile may have been closed for one of them.
	if cause := s.confirmedAll(ctx, sent, batch); cause != nil {
		return cause
	}
	if err != nil {
		return err
	}
	// The library passes on what came back before the confirm of the same message.
	if len(s.returns) > 0 {
		s.discard()
		return errNoQueue
	}
	return nil
}

// publishAll sends messages until one cannot be sent, and returns the confirms to
// come of those that were.
func (s *session) publishAll(publications []publication) (sent []*amqp.DeferredConfirmation, err error) {
	for _, p := range publications {
		confirmation, err := s.publish(p)
		if err != nil {
			return sent, err
		}
		sent = append(sent, confirmation)
	}
	return sent, nil
}

// confirmedAll returns when the broker has the messages, or the first error that
// says why not: that one was too large comes before that all others are in doubt.
func (s *session) confirmedAll(ctx context.Context, confirmations []*amqp.DeferredConfirmation, publications []publication) error {
	var first error
	for i, c := range confirmations {
		err := s.confirmed(ctx, c, len(publications[i].message.Body))
		if isTooLarge(err) {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return first
}
