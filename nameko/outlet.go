package nameko

import (
	"context"
	"errors"
	"fmt"
	"sync"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// maxName is AMQP's limit of names and keys, in bytes.
	maxName = 255

	// maxHeaders bounds the headers of a message, in bytes: they have to fit into
	// a frame, or the broker ends the connection.
	maxHeaders = 64 << 10

	// smallBody is what any broker accepts, in bytes.
	smallBody = 1 << 20
)

var (
	// errInDoubt says that the connection was lost while a message was sent: the
	// broker may have it.
	errInDoubt = errors.New("the connection to the message broker was lost while a message was sent")

	errDiscarded = errors.New("the channel was given up")

	// errRefused says that the broker takes no message like this.
	errRefused = errors.New("the message broker refused a message")
)

// outlet is a channel to publish on, opened again whenever it is lost. Many may
// publish at once.
type outlet struct {
	broker   *Broker
	confirms bool
	setUp    func(*session) error // declares what is published to, each time
	now      current[session]
}

// session is an outlet's channel, from its opening until it is lost.
type session struct {
	channel   *amqp.Channel
	socket    *socket
	returns   chan amqp.Return // what reached no queue, if setUp asks for it
	listeners sync.WaitGroup   // end with the channel
	discard   func()           // gives it up, for another
	discarded chan struct{}
	lost      chan struct{} // closed when the channel is lost
	why       error         // after that
}

func newSession(ch *amqp.Channel, s *socket) *session {
	discarded := make(chan struct{})
	return &session{
		channel:   ch,
		socket:    s,
		discard:   sync.OnceFunc(func() { close(discarded) }),
		discarded: discarded,
		lost:      make(chan struct{}),
	}
}

// run keeps a channel open until ctx is done.
func (o *outlet) run(ctx context.Context) {
	var pause backoff
	for ctx.Err() == nil {
		err := o.keep(ctx, func() { pause = backoff{} })
		o.now.set(nil, err)
		if err != nil && ctx.Err() == nil {
			o.broker.config.Log.Warn("cannot publish, will try again", "error", err)
			pause.sleep(ctx)
		}
	}
}

// keep opens a channel and returns when it is lost or ctx is done.
func (o *outlet) keep(ctx context.Context, opened func()) error {
	conn, err := o.broker.publishing.connected.wait(ctx)
	if err != nil {
		return err
	}
	ch, err := conn.channel()
	if err != nil {
		return err
	}
	s := newSession(ch, conn.socket)
	defer s.listeners.Wait()
	defer ch.Close() // says no more than that it is closed already
	lost := ch.NotifyClose(make(chan *amqp.Error, 1))
	if o.confirms {
		if err := ch.Confirm(false); err != nil {
			return fmt.Errorf("ask for confirms: %w", err)
		}
	}
	if err := o.setUp(s); err != nil {
		return err
	}
	o.now.set(s, nil)
	opened()
	select {
	case <-ctx.Done():
		s.why = ctx.Err()
	case <-s.discarded:
		s.why = errDiscarded
	case err := <-lost:
		s.why = closed(err)
	}
	o.now.set(nil, s.why)
	close(s.lost)
	return s.why
}

// ready waits for a channel that takes messages. The error is ErrNoBroker.
func (o *outlet) ready(ctx context.Context) (*session, error) {
	for {
		s, err := o.now.wait(ctx)
		if err != nil {
			if connected := &o.broker.publishing.connected; connected.get() == nil {
				err = noBroker(connected.why(ctx))
			}
			return nil, err
		}
		if !s.channel.IsClosed() {
			err := s.socket.room(ctx)
			if err == nil || errors.Is(err, ErrNoBroker) {
				return s, err
			}
		}
		select {
		case <-s.lost:
		case <-ctx.Done():
			return nil, noBroker(ctx.Err())
		}
	}
}

// isOpen reports whether messages can be published without waiting.
func (s *session) isOpen() bool { return !s.channel.IsClosed() && s.socket.hasRoom() }

// publication is a message on its way.
type publication struct {
	exchange, key string
	mandatory     bool
	message       amqp.Publishing
}

// publish sends a message, without waiting. After amqp.ErrClosed it was not sent
// and may be, with another session; after any other error it never can be.
func (s *session) publish(p publication) (*amqp.DeferredConfirmation, error) {
	// What the library cannot write costs all the connection.
	if len(p.exchange) > maxName || len(p.key) > maxName {
		return nil, fmt.Errorf("publish to %.50s… with key %.50s…: more than %d bytes", p.exchange, p.key, maxName)
	}
	if size := sizeOf(p.message.Headers); size > maxHeaders {
		return nil, fmt.Errorf("publish to %s with key %s: headers of more than %d bytes, or a name of more than %d", p.exchange, p.key, maxHeaders, maxName)
	}
	confirmation, err := s.channel.PublishWithDeferredConfirm(p.exchange, p.key, p.mandatory, false, p.message)
	if err != nil && !errors.Is(err, amqp.ErrClosed) {
		err = fmt.Errorf("publish to %s with key %s: %w", p.exchange, p.key, err)
	}
	return confirmation, err
}

// confirmed returns when the broker has the message. The error is errInDoubt, or
// errRefused, or that of ctx.
func (s *session) confirmed(ctx context.Context, sent *amqp.DeferredConfirmation, size int) error {
	acked, err := sent.WaitContext(ctx)
	if err != nil || acked {
		return err
	}
	if !s.channel.IsClosed() {
		return errRefused
	}
	select {
	case <-s.lost:
	case <-ctx.Done():
		return ctx.Err()
	}
	if cause, ok := errors.AsType[*amqp.Error](s.why); ok && cause.Code == amqp.PreconditionFailed && size > smallBody {
		return fmt.Errorf("%w: %w", errRefused, cause) // it is too large
	}
	return errInDoubt
}

// closed returns why a channel was closed.
func closed(err *amqp.Error) error {
	if err == nil {
		return amqp.ErrClosed
	}
	return err
}
