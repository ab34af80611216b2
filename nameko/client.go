package nameko

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/tracing"
)

const (
	// longestWait bounds a call, whatever deadline its context has.
	longestWait = 30 * time.Second

	// brokerPatience bounds how long somebody who asks waits for a connection.
	brokerPatience = 2 * time.Second

	// replyQueueExpiry is how long the queue for replies outlives its client, in
	// milliseconds.
	replyQueueExpiry = int32(300_000)

	// replyAckPause is between acknowledgements of replies. One that is delivered
	// twice does no harm.
	replyAckPause = 20 * time.Millisecond
)

// Client calls methods of services. Replies come to a queue of its own.
type Client struct {
	broker   *Broker
	name     string
	id       string // of the queue for replies; stays the same however often it connects
	log      *slog.Logger
	requests *outlet
	bound    current[struct{}] // there is a queue for replies

	mu      sync.Mutex
	calls   map[string]*pending   // by correlation id
	bundles map[string]*departure // by correlation id
	lanes   map[string]*lane      // by service
}

// NewClient returns a client. The name is that of the service which calls; it
// shows in the names of queues and in call ids.
func NewClient(b *Broker, name string) *Client {
	c := &Client{
		broker:  b,
		name:    name,
		id:      uuid.NewString(),
		log:     b.config.Log.With("client", name),
		calls:   make(map[string]*pending),
		bundles: make(map[string]*departure),
		lanes:   make(map[string]*lane),
	}
	c.requests = b.addOutlet(false, c.setUp)
	return c
}

// Name returns the name of the service that calls.
func (c *Client) Name() string { return c.name }

// Log returns the broker's log, for what uses the client.
func (c *Client) Log() *slog.Logger { return c.log }

// Call calls a method and waits for its reply, until ctx is done and for at most
// 30 s. What is left of that time travels along: a request that nobody waits for
// any more is not executed. Run must be running.
//
// Errors: *Error is what the method raised; ErrUnknownService, ErrNoBroker,
// ErrNoReply and ErrReplyQueueGone say why there is no answer.
func (c *Client) Call(ctx context.Context, call Call) (Reply, error) {
	began := time.Now()
	reply, err := c.call(ctx, call)
	c.measure(call, began, err)
	return reply, err
}

func (c *Client) call(ctx context.Context, call Call) (_ Reply, err error) {
	if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > c.broker.patience.call {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.broker.patience.call)
		defer cancel()
	}
	if len(callContextOf(ctx).stack) == 0 {
		ctx = Begin(ctx, c.name, "call")
	}
	ctx, span := beginClientSpan(ctx, c.broker.config.Exchange, call)
	defer func() { tracing.End(span, kindOf(err)) }()
	body, err := encodeRequest(call)
	if err != nil {
		return Reply{}, fmt.Errorf("call %s.%s: %w", call.Service, call.Method, err)
	}
	body, err = c.exchange(ctx, call, body)
	if err != nil {
		return Reply{}, fmt.Errorf("call %s.%s: %w", call.Service, call.Method, err)
	}
	reply, failure, err := decodeReply(body)
	switch {
	case err != nil:
		return Reply{}, fmt.Errorf("reply of %s.%s: %w", call.Service, call.Method, err)
	case failure != nil:
		return Reply{}, failure
	}
	return reply, nil
}

// exchange sends a request and returns the reply's body.
func (c *Client) exchange(ctx context.Context, call Call, body []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // it was not sent
	}
	p := newPending(ctx, call, body)
	c.await(p)
	defer c.forget(p)
	for {
		s, err := c.session(ctx)
		if err != nil {
			return nil, err
		}
		c.board(s, p)
		select {
		case o := <-p.replies:
			return o.body, o.err
		case <-p.back:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrNoReply, ctx.Err())
		}
	}
}

// session waits until requests can be sent. The error is ErrNoBroker.
func (c *Client) session(ctx context.Context) (*session, error) {
	if s := c.requests.now.get(); s != nil && c.bound.get() != nil && s.isOpen() {
		return s, nil // as nearly always
	}
	ctx, cancel := context.WithTimeout(ctx, c.broker.patience.connection)
	defer cancel()
	if _, err := c.bound.wait(ctx); err != nil {
		return nil, err
	}
	return c.requests.ready(ctx)
}

// setUp prepares a channel for requests: those that reach no queue come back on
// it.
func (c *Client) setUp(s *session) error {
	returns := s.channel.NotifyReturn(make(chan amqp.Return, 1024))
	s.listeners.Go(func() {
		for r := range returns {
			c.settle(r.CorrelationId, outcome{err: ErrUnknownService})
		}
	})
	if err := c.broker.declareExchange(s.channel); err != nil {
		return err
	}
	c.sendAgain(s)
	return nil
}

// Run takes in replies until ctx is done, and then returns nil. It deletes the
// queue for them; calls that still wait end with ErrReplyQueueGone.
func (c *Client) Run(ctx context.Context) error {
	var pause backoff
	for {
		err := c.takeReplies(ctx, func() { pause = backoff{} })
		if ctx.Err() != nil {
			c.bound.set(nil, errors.New("the client has ended"))
			c.failAll(ErrReplyQueueGone)
			return nil
		}
		c.log.Warn("replies cannot be taken in, will try again", "error", err)
		pause.sleep(ctx)
	}
}

// takeReplies takes in replies until the channel is lost or ctx is done.
func (c *Client) takeReplies(ctx context.Context, ready func()) error {
	conn, err := c.broker.consuming.connected.wait(ctx)
	if err != nil {
		return err
	}
	if err := c.checkQueue(conn); err != nil {
		return err
	}
	ch, err := conn.channel()
	if err != nil {
		return err
	}
	defer ch.Close() // says no more than that it is closed already
	lost := ch.NotifyClose(make(chan *amqp.Error, 1))
	replies, err := c.consume(ch)
	if err != nil {
		return err
	}
	ready()
	c.bound.set(new(struct{}), nil)
	acknowledge := time.NewTimer(replyAckPause)
	defer acknowledge.Stop()
	var last *amqp.Delivery // not acknowledged, nor perhaps those before it
	for {
		select {
		case <-ctx.Done():
			_, err := ch.QueueDelete(c.queue(), false, false, false)
			return err
		case d, ok := <-replies:
			if !ok && ch.IsClosed() {
				return closed(<-lost)
			}
			if !ok {
				return errors.New("the broker cancelled the consumer")
			}
			c.takeReply(&d)
			if last == nil {
				acknowledge.Reset(replyAckPause)
			}
			last = &d
		case <-acknowledge.C:
			if last == nil {
				continue
			}
			if err := last.Ack(true); err != nil {
				return fmt.Errorf("acknowledge replies: %w", err)
			}
			last = nil
		}
	}
}

func (c *Client) queue() string { return "rpc.reply-" + c.name + "-" + c.id }

// checkQueue fails the calls that wait if the queue that their replies were to
// come to is gone.
func (c *Client) checkQueue(conn *connection) error {
	if c.bound.get() == nil {
		return nil
	}
	ch, err := conn.channel()
	if err != nil {
		return err
	}
	defer ch.Close() // says no more than that it is closed already
	_, err = ch.QueueDeclarePassive(c.queue(), true, false, false, false, nil)
	if missing, ok := errors.AsType[*amqp.Error](err); ok && missing.Code == amqp.NotFound {
		c.bound.set(nil, ErrReplyQueueGone)
		c.failAll(ErrReplyQueueGone)
		return nil
	}
	return err
}

func (c *Client) consume(ch *amqp.Channel) (<-chan amqp.Delivery, error) {
	if err := c.broker.declareExchange(ch); err != nil {
		return nil, fmt.Errorf("declare the exchange: %w", err)
	}
	if _, err := ch.QueueDeclare(c.queue(), true, false, false, false, amqp.Table{"x-expires": replyQueueExpiry}); err != nil {
		return nil, fmt.Errorf("declare the queue for replies: %w", err)
	}
	if err := ch.QueueBind(c.queue(), c.id, c.broker.config.Exchange, false, nil); err != nil {
		return nil, fmt.Errorf("bind the queue for replies: %w", err)
	}
	return ch.Consume(c.queue(), "", false, false, false, false, nil)
}
