package nameko

import (
	"context"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/crash"
)

// request is a call as it came: in a message of its own, or in a bundle.
type request struct {
	method      string
	id          string // correlation id
	replyTo     string // "" wants no reply
	headers     amqp.Table
	message     *amqp.Delivery // of its own; nil in a bundle
	body        []byte         // of that, once it is unpacked
	members     map[string]any // of the call in a bundle: args and kwargs
	arrived     time.Time
	redelivered bool
	transient   bool // neither it nor its reply need to be kept on disk
	from        origin
}

// origin is where a request came from. It is told once of each what became of it.
type origin interface {
	// reply sends a reply, and then acknowledges the request. If it cannot be sent
	// while its caller waits, the request is to run again.
	reply(r *request, body []byte)

	// refuse replies that the service is busy.
	refuse(r *request)

	// giveBack leaves a request that has not begun to another instance.
	giveBack(r *request)

	// drop acknowledges a request that gets no reply.
	drop()
}

// unpack makes the arguments ready to be read.
func (r *request) unpack() (err error) {
	if r.message != nil {
		r.body, err = bodyOf(r.message)
	}
	return err
}

func (r *request) args(s Signature) (Args, error) {
	if r.message != nil {
		return readArgs(r.body, r.method, s)
	}
	return bindMembers(r.members, nil, r.method, s)
}

// deadline returns until when its caller waits.
func (r *request) deadline() time.Time { return r.arrived.Add(timeLeft(r.headers)) }

func (r *request) isLate() bool { return !time.Now().Before(r.deadline()) }

// replyMessage returns the message that has a reply alone.
func (r *request) replyMessage(body []byte) amqp.Publishing {
	message := publishing(body, nil)
	message.CorrelationId = r.id
	if r.transient {
		message.DeliveryMode = amqp.Transient
	}
	return message
}

// isTransient reports whether a caller does not want a message kept on disk.
func isTransient(d *amqp.Delivery) bool { return d.DeliveryMode == amqp.Transient }

// alone is a message with one request.
type alone struct {
	server *Server
	d      *amqp.Delivery
}

// newRequest returns the request of a message that has no other.
func (s *Server) newRequest(d *amqp.Delivery, method string, arrived time.Time) *request {
	return &request{
		method:      method,
		id:          d.CorrelationId,
		replyTo:     d.ReplyTo,
		headers:     d.Headers,
		message:     d,
		arrived:     arrived,
		redelivered: d.Redelivered,
		transient:   isTransient(d),
		from:        alone{s, d},
	}
}

func (a alone) reply(r *request, body []byte) {
	err := a.server.sendReply(r.replyTo, r.replyMessage(body))
	crash.At("nameko.replied")
	if err == nil || r.isLate() {
		a.drop()
		return
	}
	a.server.log.Warn("a reply could not be sent, its call is to run again", "method", r.method, "error", err)
	a.giveBack(r)
}

// refuse spends little: the reply is not kept on disk, and its confirm is not
// awaited. A caller that misses it goes on as after any reply that is lost.
func (a alone) refuse(r *request) {
	if err := a.sendRefusal(r); err != nil {
		a.server.log.Warn("a refusal could not be sent, its call will be delivered again", "error", err)
		a.giveBack(r)
		return
	}
	a.drop()
}

func (a alone) sendRefusal(r *request) error {
	if r.replyTo == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), replyPatience)
	defer cancel()
	session, err := a.server.replies.ready(ctx)
	if err != nil {
		return err
	}
	message := r.replyMessage(a.server.refusal)
	message.DeliveryMode = amqp.Transient
	_, err = session.publish(publication{exchange: a.server.broker.config.Exchange, key: r.replyTo, message: message})
	return err
}

func (a alone) giveBack(*request) { a.server.giveBack(a.d) }

func (a alone) drop() { a.server.acknowledge(a.d) }
