package nameko

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// defaultTimeout bounds a call whose context has no deadline.
	defaultTimeout = 30 * time.Second

	// brokerPatience bounds how long a call waits for a connection.
	brokerPatience = 2 * time.Second

	// replyQueueExpiry is how long the queue for replies outlives its client, in
	// milliseconds.
	replyQueueExpiry = int32(300_000)
)

// Client calls methods of services. Replies come to a queue of its own.
type Client struct {
	broker   *Broker
	name     string
	id       string // of the queue for replies; stays the same however often it connects
	log      *slog.Logger
	requests outlet

	mu      sync.Mutex
	calls   map[string]*pending // by correlation id
	bound   chan struct{}       // closed while the queue for replies is there
	isBound bool
}

// pending is a call that waits for its reply.
type pending struct {
	replies chan outcome // takes the first, without waiting
}

type outcome struct {
	body []byte
	err  error
}

// NewClient returns a client. The name is that of the service which calls; it
// shows in the names of queues and in call ids.
func NewClient(b *Broker, name string) *Client {
	c := &Client{
		broker: b,
		name:   name,
		id:     uuid.NewString(),
		log:    b.config.Log.With("client", name),
		calls:  make(map[string]*pending),
		bound:  make(chan struct{}),
	}
	c.requests = outlet{broker: b, setUp: c.setUp}
	return c
}

// Call is what to call, and with what.
type Call struct {
	Service string
	Method  string
	Args    []any          // by position; encoded as JSON
	Kwargs  map[string]any // by name

	// Repeatable says that the method may run twice for one call. Then the call
	// is sent again where it may have been lost; else its reply is awaited.
	Repeatable bool
}

// Reply is what a method returned.
type Reply struct {
	body json.RawMessage
}

// Decode stores what the method returned in what v points to, as json.Unmarshal
// does. Values that JSON has no type for are strings in their usual form; NaN
// and infinities are null.
func (r Reply) Decode(v any) error {
	return json.Unmarshal(r.body, v)
}

// Call calls a method and waits for its reply, until ctx is done and for at most
// 30 s. What is left of that time travels along: a request that nobody waits for
// any more is not executed. Run must be running.
//
// Errors: *Error is what the method raised; ErrUnknownService, ErrNoBroker,
// ErrNoReply and ErrReplyQueueGone say why there is no answer.
func (c *Client) Call(ctx context.Context, call Call) (Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, defaultTimeout)
	defer cancel()
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

func encodeRequest(call Call) ([]byte, error) {
	// Python dies of null in place of either.
	request := struct {
		Args   []any          `json:"args"`
		Kwargs map[string]any `json:"kwargs"`
	}{call.Args, call.Kwargs}
	if request.Args == nil {
		request.Args = []any{}
	}
	if request.Kwargs == nil {
		request.Kwargs = map[string]any{}
	}
	return encode(request)
}

func decodeReply(body []byte) (Reply, *Error, error) {
	body, err := plain(body)
	if err != nil {
		return Reply{}, nil, err
	}
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return Reply{}, nil, err
	}
	if reply.Error != nil && string(reply.Error) != "null" {
		tree, err := decode(reply.Error)
		return Reply{}, fromWire(tree), err
	}
	if reply.Result == nil {
		reply.Result = json.RawMessage("null")
	}
	return Reply{reply.Result}, nil, nil
}

// exchange sends a request and returns the reply's body.
func (c *Client) exchange(ctx context.Context, call Call, body []byte) ([]byte, error) {
	if len(callContextOf(ctx).stack) == 0 {
		ctx = Begin(ctx, c.name, "call")
	}
	id := uuid.NewString()
	p := &pending{replies: make(chan outcome, 1)}
	c.await(id, p)
	defer c.forget(id)
	for {
		sent, err := c.send(ctx, call, id, body)
		var done <-chan struct{} // nil blocks for ever: the reply is all there is to wait for
		switch {
		case err == nil:
			done = sent.Done()
		case !errors.Is(err, errInDoubt):
			return nil, err
		case call.Repeatable:
			continue
		}
	waiting:
		for {
			select {
			case o := <-p.replies:
				return o.body, o.err
			case <-ctx.Done():
				return nil, fmt.Errorf("%w: %w", ErrNoReply, ctx.Err())
			case <-done:
				if !sent.Acked() && call.Repeatable {
					break waiting // send it again
				}
				done = nil
			}
		}
	}
}

// send publishes a request, with what is left of the time.
func (c *Client) send(ctx context.Context, call Call, id string, body []byte) (*amqp.DeferredConfirmation, error) {
	waiting, cancel := context.WithTimeout(ctx, brokerPatience)
	defer cancel()
	if err := c.waitBound(waiting); err != nil {
		return nil, err
	}
	headers := c.broker.headers(ctx)
	message := publishing(body, headers)
	message.CorrelationId = id
	message.ReplyTo = c.id
	if deadline, ok := ctx.Deadline(); ok {
		left := max(1, time.Until(deadline).Milliseconds())
		message.Expiration = strconv.FormatInt(left, 10)
		headers[headerPrefix+deadlineMS] = left
	}
	return c.requests.publish(waiting, publication{
		exchange:  c.broker.config.Exchange,
		key:       call.Service + "." + call.Method,
		mandatory: true, // comes back if no such service is known
		message:   message,
	})
}

func (c *Client) await(id string, p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[id] = p
}

func (c *Client) forget(id string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.calls, id)
}

// settle ends a call. A call that nobody waits for, and a second reply, are
// passed over.
func (c *Client) settle(id string, o outcome) {
	c.mu.Lock()
	p := c.calls[id]
	delete(c.calls, id)
	c.mu.Unlock()
	if p != nil {
		p.replies <- o
	}
}

// failAll ends all calls that wait.
func (c *Client) failAll(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, p := range c.calls {
		p.replies <- outcome{err: err}
		delete(c.calls, id)
	}
}

// setUp prepares a channel for requests: those that reach no queue come back on
// it.
func (c *Client) setUp(ch *amqp.Channel) error {
	returns := ch.NotifyReturn(make(chan amqp.Return, 1024))
	c.broker.listeners.Go(func() {
		for r := range returns {
			c.settle(r.CorrelationId, outcome{err: ErrUnknownService})
		}
	})
	return c.broker.declareExchange(ch)
}

// Run takes in replies until ctx is done, and then returns nil. Calls that wait
// for one then go on waiting until their deadline.
func (c *Client) Run(ctx context.Context) error {
	defer c.setBound(false)
	var pause backoff
	for {
		err := c.takeReplies(ctx, func() { pause = backoff{} })
		if ctx.Err() != nil {
			return nil
		}
		pause.warn(c.log, "replies cannot be taken in, will try again", err)
		pause.sleep(ctx)
	}
}

// takeReplies takes in replies until the channel is lost or ctx is done.
func (c *Client) takeReplies(ctx context.Context, ready func()) error {
	conn, err := c.broker.consuming.connection(ctx)
	if err != nil {
		return err
	}
	if err := c.checkQueue(conn); err != nil {
		return err
	}
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	defer ch.Close() // says no more than that it is closed already
	replies, err := c.consume(ch)
	if err != nil {
		return err
	}
	ready()
	c.setBound(true)
	for {
		select {
		case <-ctx.Done():
			_, err := ch.QueueDelete(c.queue(), false, false, false)
			return err
		case d, ok := <-replies:
			if !ok {
				return errors.New("the channel for replies was closed")
			}
			acked := d.Ack(false)
			body, err := bodyOf(&d)
			c.settle(d.CorrelationId, outcome{body, err})
			if acked != nil {
				return fmt.Errorf("acknowledge a reply: %w", acked)
			}
		}
	}
}

func (c *Client) queue() string { return "rpc.reply-" + c.name + "-" + c.id }

// checkQueue fails the calls that wait if the queue that their replies were to
// come to is gone.
func (c *Client) checkQueue(conn *amqp.Connection) error {
	if !c.wasBound() {
		return nil
	}
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	defer ch.Close() // says no more than that it is closed already
	_, err = ch.QueueDeclarePassive(c.queue(), true, false, false, false, nil)
	if missing, ok := errors.AsType[*amqp.Error](err); ok && missing.Code == amqp.NotFound {
		c.setBound(false)
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

func (c *Client) wasBound() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.isBound
}

// setBound notes whether there is a queue for replies. It is durable: that it
// is there once is enough, until it is found gone.
func (c *Client) setBound(bound bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if bound == c.isBound {
		return
	}
	c.isBound = bound
	if bound {
		close(c.bound)
		return
	}
	c.bound = make(chan struct{})
}

func (c *Client) waitBound(ctx context.Context) error {
	c.mu.Lock()
	bound := c.bound
	c.mu.Unlock()
	select {
	case <-bound:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNoBroker, ctx.Err())
	}
}
