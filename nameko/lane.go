package nameko

import (
	"errors"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// maxUnanswered is how many messages to a service may await their first reply
	// before calls wait for each other.
	maxUnanswered = 2

	// gatherPause is how long a call waits for others at most.
	gatherPause = 2 * time.Millisecond

	// noBundlesFor is how long a service is sent no bundles after an instance of it
	// took one for a method that it does not have. Another may, and this one be
	// replaced.
	noBundlesFor = 10 * time.Second
)

// lane is the way to one service. A call leaves at once, in a message of its own,
// while few messages are unanswered. Else it waits until one is answered, or for
// gatherPause, and leaves in one message with those that wait too: the more calls
// are under way, the fewer messages each takes. It is Nagle's algorithm (RFC 896)
// for calls. The client's mutex guards it.
type lane struct {
	unanswered int
	waiting    []*pending
	size       int       // of those, in bytes
	noBundles  time.Time // until then
	timer      *time.Timer
}

// departure is a message in which calls have left.
type departure struct {
	id       string // of the message, if it is a bundle
	lane     *lane
	calls    []*pending
	ended    int  // of the calls
	answered bool // one has ended
}

// laneTo returns the way to a service.
func (c *Client) laneTo(service string) *lane {
	l := c.lanes[service]
	if l == nil {
		l = new(lane)
		l.timer = time.AfterFunc(gatherPause, func() { c.departAll(l) })
		l.timer.Stop()
		c.lanes[service] = l
	}
	return l
}

// board lets a call leave with the session, at once or soon.
func (c *Client) board(s *session, p *pending) {
	if d := c.leaveAtOnce(s, p); d != nil {
		c.publish(s, d)
		return
	}
	p.bundled = newBundledCall(p.id, p.call, p.body, c.broker.headers(p.ctx))
	if d := c.leaveOrWait(s, p); d != nil {
		c.publish(s, d)
	}
}

// leaveAtOnce returns nil if the call is to wait.
func (c *Client) leaveAtOnce(s *session, p *pending) *departure {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.laneTo(p.call.Service)
	if len(l.waiting) == 0 && l.unanswered < maxUnanswered || time.Now().Before(l.noBundles) {
		return l.leave(s, p)
	}
	return nil
}

// leaveOrWait lets a call wait, unless it must go alone. It returns what is to
// leave now.
func (c *Client) leaveOrWait(s *session, p *pending) *departure {
	c.mu.Lock()
	defer c.mu.Unlock()
	l := c.laneTo(p.call.Service)
	if p.bundled == nil {
		return l.leave(s, p)
	}
	if len(l.waiting) == 0 {
		l.timer.Reset(gatherPause)
	}
	l.waiting = append(l.waiting, p)
	l.size += len(p.bundled)
	if len(l.waiting) < bundleCalls && l.size < bundleSize {
		return nil
	}
	return c.leaveTogether(s, l)
}

// leave notes that calls leave with a session, before they do: they may be lost
// at once.
func (l *lane) leave(s *session, calls ...*pending) *departure {
	l.unanswered++
	d := &departure{lane: l, calls: calls}
	for _, p := range calls {
		p.departure, p.sentOn = d, s
	}
	return d
}

// leaveTogether is leave for the calls that wait. It returns nil if none is left.
func (c *Client) leaveTogether(s *session, l *lane) *departure {
	calls := make([]*pending, 0, len(l.waiting))
	for _, p := range l.waiting {
		if c.calls[p.id] == p { // somebody still waits for it
			calls = append(calls, p)
		}
	}
	l.timer.Stop()
	l.waiting, l.size = l.waiting[:0], 0
	if len(calls) == 0 {
		return nil
	}
	d := l.leave(s, calls...)
	if len(calls) > 1 {
		d.id = uuid.NewString()
		c.bundles[d.id] = d
	}
	return d
}

// departAll lets the calls leave that wait.
func (c *Client) departAll(l *lane) {
	if s, d := c.leaveWithCurrent(l); d != nil {
		c.publish(s, d)
	}
}

// leaveWithCurrent is leaveTogether with the session there is. If there is none,
// the calls wait for one themselves.
func (c *Client) leaveWithCurrent(l *lane) (*session, *departure) {
	s := c.requests.now.get()
	c.mu.Lock()
	defer c.mu.Unlock()
	if s != nil {
		return s, c.leaveTogether(s, l)
	}
	for _, p := range l.waiting {
		p.turnBack()
	}
	l.waiting, l.size = l.waiting[:0], 0
	return nil, nil
}

// publish sends the message of a departure.
func (c *Client) publish(s *session, d *departure) {
	var p publication
	if d.id == "" {
		p = c.single(d.calls[0])
	} else {
		p = c.bundle(d)
	}
	_, err := s.publish(p)
	switch {
	case errors.Is(err, amqp.ErrClosed):
		c.turnBack(s, d)
	case err != nil:
		c.settleAll(d, outcome{err: err})
	}
}

// single returns the message of a call, with what is left of its time.
func (c *Client) single(p *pending) publication {
	message := publishing(p.body, c.broker.headers(p.ctx))
	message.CorrelationId = p.id
	return c.request(p.call.Service, p.call.Method, message, p.left(time.Now()), p.call.Repeatable)
}

// bundle returns the message of several calls. It is kept for as long as any of
// them is awaited, and on disk if any has to be.
func (c *Client) bundle(d *departure) publication {
	now := time.Now()
	longest, repeatable := int64(1), true
	calls := make([][]byte, len(d.calls))
	for i, p := range d.calls {
		left := p.left(now)
		calls[i] = p.bundled.complete(left)
		longest = max(longest, left)
		repeatable = repeatable && p.call.Repeatable
	}
	// Python needs the ids to be a list.
	message := publishing(joinCalls(calls), amqp.Table{headerPrefix + callIDStack: []any{c.name + "." + callMany + "." + d.id}})
	message.CorrelationId = d.id
	return c.request(d.calls[0].call.Service, callMany, message, longest, repeatable)
}

// request returns the message of a request that is awaited for so many
// milliseconds.
func (c *Client) request(service, method string, message amqp.Publishing, left int64, repeatable bool) publication {
	message.ReplyTo = c.id
	message.Expiration = strconv.FormatInt(left, 10)
	message.Headers[headerPrefix+deadlineMS] = left
	if repeatable {
		message.DeliveryMode = amqp.Transient
	}
	return publication{
		exchange:  c.broker.config.Exchange,
		key:       service + "." + method,
		mandatory: true, // comes back if no such service is known
		message:   message,
	}
}

// turnBack tells calls that they have not left with a session, unless they were
// sent with another already.
func (c *Client) turnBack(s *session, d *departure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(d)
	for _, p := range d.calls {
		if p.sentOn == s {
			p.turnBack()
		}
	}
}

// sendSingly has the calls of a bundle that its service did not take sent each in
// a message of its own, with those that wait, and for a while those that come.
func (c *Client) sendSingly(d *departure) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.close(d)
	l := d.lane
	l.noBundles = time.Now().Add(noBundlesFor)
	for _, p := range slices.Concat(d.calls, l.waiting) {
		p.turnBack()
	}
	l.waiting, l.size = l.waiting[:0], 0
}

// close ends a departure.
func (c *Client) close(d *departure) {
	delete(c.bundles, d.id)
	d.noteAnswer()
}

// noteEnd notes that a call of a departure has ended, however.
func (c *Client) noteEnd(d *departure) {
	d.noteAnswer()
	if d.ended++; d.ended == len(d.calls) {
		c.close(d)
	}
}

// noteAnswer makes room for another departure.
func (d *departure) noteAnswer() {
	if !d.answered {
		d.answered = true
		d.lane.unanswered--
	}
}

// hasRoom reports whether calls wait that may leave.
func (l *lane) hasRoom() bool { return len(l.waiting) > 0 && l.unanswered < maxUnanswered }
