package nameko

import (
	"context"
	"maps"
	"strconv"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

// bundle is a message with several requests. It is acknowledged when each has its
// reply, or has gone to another instance in a message of its own. If the server
// dies before, all are delivered again, and run again.
type bundle struct {
	server *Server
	in     *intake
	d      *amqp.Delivery

	mu      sync.Mutex
	running int  // requests without a result
	open    int  // requests that have not ended
	again   bool // it is to be delivered again
}

// takeBundle takes the calls of a bundle as it would take each alone.
func (s *Server) takeBundle(ctx context.Context, in *intake, d *amqp.Delivery, arrived time.Time) {
	requests, err := s.open(in, d, arrived)
	if err != nil {
		s.answerBundle(d, err, arrived)
		return
	}
	if len(requests) == 0 {
		s.acknowledge(d)
		return
	}
	s.running.Add(1) // until the last reply has been sent, which may be after the last call has ended
	for _, r := range requests {
		s.take(ctx, in, r)
	}
}

// open returns the requests of a bundle.
func (s *Server) open(in *intake, d *amqp.Delivery, arrived time.Time) ([]*request, error) {
	body, err := bodyOf(d)
	if err != nil {
		return nil, Errorf(MalformedRequest, "Message cannot be read: %v", err)
	}
	calls, err := splitCalls(body)
	if err != nil {
		return nil, err
	}
	b := &bundle{server: s, in: in, d: d, running: len(calls), open: len(calls)}
	requests := make([]*request, len(calls))
	for i, call := range calls {
		requests[i] = &request{
			method:      call.method,
			id:          call.id,
			replyTo:     d.ReplyTo,
			headers:     call.headers,
			members:     call.members,
			arrived:     arrived,
			redelivered: d.Redelivered,
			transient:   isTransient(d),
			from:        b,
		}
	}
	return requests, nil
}

// answerBundle replies to a bundle that cannot be read.
func (s *Server) answerBundle(d *amqp.Delivery, err error, arrived time.Time) {
	r := s.newRequest(d, callMany, arrived)
	if r.replyTo == "" {
		r.from.drop()
		return
	}
	r.from.reply(r, encodeError(s.public(context.Background(), err, callMany)))
}

func (b *bundle) reply(r *request, body []byte) {
	last := b.noteResult()
	b.server.outbox.add(heldReply{r, body, b}, last)
}

func (b *bundle) refuse(r *request) {
	if r.replyTo == "" {
		b.drop()
		return
	}
	b.reply(r, b.server.refusal)
}

func (b *bundle) drop() {
	b.noteResult()
	b.end(false)
}

// noteResult reports whether it is that of the last call.
func (b *bundle) noteResult() (last bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.running--
	return b.running == 0
}

// giveBack sends a request on, to another instance, in a message of its own.
func (b *bundle) giveBack(r *request) {
	b.noteResult()
	if b.in.channel.IsClosed() {
		b.end(true) // it is delivered again
		return
	}
	message, err := b.messageOf(r)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), replyPatience)
		defer cancel()
		err = b.server.sendOnce(ctx, b.server.service+"."+r.method, message)
	}
	if err != nil {
		b.server.log.Warn("a call of a bundle could not be given back, all of it is to run again", "method", r.method, "error", err)
	}
	b.end(err != nil)
}

// messageOf returns the message that a request would have come in alone.
func (b *bundle) messageOf(r *request) (amqp.Publishing, error) {
	body, err := encode(map[string]any{"args": r.members["args"], "kwargs": r.members["kwargs"]})
	if err != nil {
		return amqp.Publishing{}, err
	}
	left := max(1, time.Until(r.deadline()).Milliseconds())
	headers := maps.Clone(r.headers)
	headers[headerPrefix+deadlineMS] = left
	message := publishing(body, headers)
	message.DeliveryMode = b.d.DeliveryMode
	message.CorrelationId, message.ReplyTo = r.id, r.replyTo
	message.Expiration = strconv.FormatInt(left, 10)
	return message, nil
}

// end notes that a request has ended: that all is to be delivered again, or that
// nothing is left to do for it.
func (b *bundle) end(again bool) {
	b.mu.Lock()
	b.again = b.again || again
	b.open--
	open, again := b.open, b.again
	b.mu.Unlock()
	if open > 0 {
		return
	}
	defer b.server.running.Done()
	if again {
		b.server.giveBack(b.d)
		return
	}
	b.server.acknowledge(b.d)
}
