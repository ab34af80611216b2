package nameko

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

// pending is a call that waits for its reply.
type pending struct {
	id      string // correlation id
	ctx     context.Context
	call    Call
	body    []byte
	bundled bundledCall   // nil unless it may leave in a bundle
	replies chan outcome  // takes the first, without waiting
	back    chan struct{} // takes one, without waiting: the call is to be sent by its caller

	// The client's mutex guards these.
	departure *departure // nil until it has left
	sentOn    *session   // nil until it has left
}

type outcome struct {
	body []byte
	err  error
}

func newPending(ctx context.Context, call Call, body []byte) *pending {
	return &pending{
		id:      uuid.NewString(),
		ctx:     ctx,
		call:    call,
		body:    body,
		replies: make(chan outcome, 1),
		back:    make(chan struct{}, 1),
	}
}

// left returns how many milliseconds are left of its time, at least one.
func (p *pending) left(now time.Time) int64 {
	deadline, _ := p.ctx.Deadline() // Call has set one
	return max(1, deadline.Sub(now).Milliseconds())
}

// turnBack tells a call that it has not left.
func (p *pending) turnBack() {
	p.departure, p.sentOn = nil, nil
	select {
	case p.back <- struct{}{}:
	default: // it knows
	}
}

// sendAgain sends the calls that may be lost with an earlier session, and may
// be executed twice.
func (c *Client) sendAgain(s *session) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.calls {
		if p.call.Repeatable && p.sentOn != nil {
			p.sentOn = s
			s.publish(c.single(p)) // it could be sent before, and is lost only with s
		}
	}
}

func (c *Client) await(p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.calls[p.id] = p
}

func (c *Client) forget(p *pending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls[p.id] == p {
		c.end(p)
	}
}

// end takes a call from those that wait for replies.
func (c *Client) end(p *pending) {
	delete(c.calls, p.id)
	if p.departure != nil {
		c.noteEnd(p.departure)
	}
}

// ending is what ends a call.
type ending struct {
	id string
	outcome
}

// takeReply ends the calls that a message has replies to.
func (c *Client) takeReply(d *amqp.Delivery) {
	body, err := bodyOf(d)
	if d.Type != repliesType {
		c.settle(d.CorrelationId, outcome{body, err})
		return
	}
	var replies []identified
	if err == nil {
		replies, err = splitReplies(body)
	}
	if err != nil {
		c.log.Warn("a message with several replies cannot be read", "error", err)
		return
	}
	endings := make([]ending, len(replies))
	for i, r := range replies {
		endings[i] = ending{r.ID, outcome{body: r.Reply}}
	}
	c.settleCalls(endings...)
}

// settle ends a call, or all that left in a bundle.
func (c *Client) settle(id string, o outcome) {
	d := c.bundleOf(id)
	switch {
	case d == nil:
		c.settleCalls(ending{id, o})
	case o.err == nil && saysNoBundles(o.body):
		c.sendSingly(d)
	default:
		if o.err == nil && !isFailure(o.body) {
			o.err = errors.New("the service answered something else than what was asked")
		}
		c.settleAll(d, o)
	}
}

func (c *Client) bundleOf(id string) *departure {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bundles[id]
}

// settleAll ends all calls of a departure.
func (c *Client) settleAll(d *departure, o outcome) {
	endings := make([]ending, len(d.calls))
	for i, p := range d.calls {
		endings[i] = ending{p.id, o}
	}
	c.settleCalls(endings...)
}

// settleCalls ends calls, and lets those leave that waited for that. A call that
// nobody waits for, and a second reply, are passed over.
func (c *Client) settleCalls(endings ...ending) {
	if l := c.endAll(endings); l != nil {
		c.departAll(l)
	}
}

// endAll returns a lane where calls may leave now, or nil. All that ends at once
// is of one service.
func (c *Client) endAll(endings []ending) (room *lane) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range endings {
		p := c.calls[e.id]
		if p == nil {
			continue
		}
		if d := p.departure; d != nil {
			room = d.lane
		}
		c.end(p)
		p.replies <- e.outcome
	}
	if room == nil || !room.hasRoom() {
		return nil
	}
	return room
}

// failAll ends all calls that wait.
func (c *Client) failAll(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.calls {
		c.end(p)
		p.replies <- outcome{err: err}
	}
}
