package nameko

import (
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/crash"
)

// replyPause is how long a reply to a call of a bundle waits for others at most.
const replyPause = 2 * time.Millisecond

// outbox gathers the replies to calls that came in bundles: those to one caller
// leave together, as soon as a bundle has no call left that runs, and at the latest
// after replyPause, so that none waits for a slow call beside it.
type outbox struct {
	server *Server

	mu sync.Mutex
	to map[string]*envelope // by the caller's reply_to
}

// envelope is what waits for one caller.
type envelope struct {
	to      string
	replies []heldReply
	size    int // in bytes
	timer   *time.Timer
}

// heldReply is a reply that has not been sent.
type heldReply struct {
	request *request
	body    []byte
	bundle  *bundle
}

// add takes a reply, and does not wait until it is sent. If it is the last of its
// bundle, what waits for that caller leaves.
func (o *outbox) add(r heldReply, last bool) {
	for _, e := range o.put(r, last) {
		o.server.running.Go(func() { o.server.post(e) })
	}
}

// put returns what is to leave now.
func (o *outbox) put(r heldReply, last bool) (full []*envelope) {
	o.mu.Lock()
	defer o.mu.Unlock()
	to := r.request.replyTo
	e := o.to[to]
	if e != nil && e.size+len(r.body) > bundleSize {
		full = append(full, o.take(e))
		e = nil
	}
	if e == nil {
		e = &envelope{to: to}
		e.timer = time.AfterFunc(replyPause, func() { o.postLate(e) })
		o.to[to] = e
	}
	e.replies = append(e.replies, r)
	e.size += len(r.body)
	if last || len(e.replies) == bundleCalls {
		full = append(full, o.take(e))
	}
	return full
}

// take removes an envelope.
func (o *outbox) take(e *envelope) *envelope {
	e.timer.Stop()
	delete(o.to, e.to)
	return e
}

// postLate sends an envelope, unless it has been sent.
func (o *outbox) postLate(e *envelope) {
	o.mu.Lock()
	waits := o.to[e.to] == e
	if waits {
		o.take(e)
	}
	o.mu.Unlock()
	if waits {
		o.server.post(e) // its bundles have not ended: the server waits for them
	}
}

// post sends replies, and then ends their requests.
func (s *Server) post(e *envelope) {
	err := s.sendReply(e.to, e.message())
	crash.At("nameko.replied")
	if err != nil {
		s.log.Warn("replies could not be sent, their calls are to run again", "replies", len(e.replies), "error", err)
	}
	for _, r := range e.replies {
		r.bundle.end(err != nil && !r.request.isLate())
	}
}

// message returns the replies as one message. It is kept on disk if any has to be.
func (e *envelope) message() amqp.Publishing {
	if len(e.replies) == 1 {
		r := e.replies[0]
		return r.request.replyMessage(r.body)
	}
	replies := make([][]byte, len(e.replies))
	transient := true
	for i, r := range e.replies {
		replies[i] = bundledReply(r.request.id, r.body)
		transient = transient && r.request.transient
	}
	message := publishing(joinReplies(replies), nil)
	message.Type = repliesType
	if transient {
		message.DeliveryMode = amqp.Transient
	}
	return message
}
