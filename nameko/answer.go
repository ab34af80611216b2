package nameko

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/crash"
)

const (
	// longestCall bounds a call whose caller sets no deadline.
	longestCall = time.Minute

	// replyPatience bounds how long a reply is sent again while the broker is away.
	replyPatience = 10 * time.Second
)

// answer executes a request. Then it replies, and only then acknowledges: a
// request whose server dies is delivered again.
func (s *Server) answer(ctx context.Context, d *amqp.Delivery, arrived time.Time) (finish func()) {
	deadline := arrived.Add(timeLeft(d.Headers))
	if !time.Now().Before(deadline) {
		return func() { s.acknowledge(d) } // nobody waits for it
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	method := d.RoutingKey[strings.LastIndexByte(d.RoutingKey, '.')+1:]
	body := s.execute(ctx, d, method)
	s.log.Debug("call", "method", method, "duration", time.Since(arrived))
	if d.ReplyTo == "" {
		s.log.Warn("a request without reply_to gets no reply", "method", method)
		return func() { s.acknowledge(d) }
	}
	return func() {
		crash.At("nameko.executed")
		err := s.reply(d, body)
		crash.At("nameko.replied")
		switch {
		case err == nil || time.Now().After(deadline):
			s.acknowledge(d)
		default:
			s.log.Warn("a reply could not be sent, its call is to run again", "method", method, "error", err)
			s.giveBack(d)
		}
	}
}

func (s *Server) acknowledge(d *amqp.Delivery) {
	if crash.Off("acknowledge") {
		return
	}
	if err := d.Ack(false); err != nil {
		s.willComeAgain(err)
	}
}

// giveBack puts a message back into its queue.
func (s *Server) giveBack(d *amqp.Delivery) {
	if err := d.Nack(false, true); err != nil {
		s.willComeAgain(err)
	}
}

func (s *Server) willComeAgain(err error) {
	s.log.Info("a message could not be acknowledged and will be delivered again", "error", err)
}

// public returns what the caller learns of an error. The log gets what it does
// not.
func (s *Server) public(err error, method string) *Error {
	raised, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		s.log.Error("a call failed", "method", method, "error", err)
		return Errorf(unexpected, "The %s service failed. Its log says why.", s.service)
	case err != error(raised):
		s.log.Warn("a call failed", "method", method, "error", err)
	}
	return raised
}

// timeLeft returns for how long the caller waits for the reply.
func timeLeft(headers amqp.Table) time.Duration {
	for _, name := range []string{headerPrefix + deadlineMS, deadlineMS} {
		if left, ok := millis(headers[name]); ok {
			return min(time.Duration(min(left, longestCall.Milliseconds()))*time.Millisecond, longestCall)
		}
	}
	return longestCall
}

// execute runs the method that a request names, and returns the body of the
// reply.
func (s *Server) execute(ctx context.Context, d *amqp.Delivery, method string) (body []byte) {
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			body = encodeError(s.public(err, method))
		}
	}()
	result, err := s.call(ctx, d, method)
	if err != nil {
		return encodeError(s.public(err, method))
	}
	body, err = encode(reply{Result: result})
	if err != nil {
		s.log.Error("a result cannot be encoded", "method", method, "error", err)
		return encodeError(&Error{Path: unserializable, Value: fmt.Sprintf("Unserializable value: `%T`", result)})
	}
	return body
}

func (s *Server) call(ctx context.Context, d *amqp.Delivery, name string) (any, error) {
	body, err := bodyOf(d)
	if err != nil {
		return nil, Errorf(MalformedRequest, "Message cannot be read: %v", err)
	}
	m, ok := s.methods[name]
	if !ok {
		return nil, Errorf(MethodNotFound, "%s", name)
	}
	args, err := readArgs(body, name, m.signature)
	if err != nil {
		return nil, err
	}
	return m.handle(Begin(s.broker.received(ctx, d.Headers), s.service, name), args)
}

// reply is the body of a reply. It always has both members: Python looks for
// them.
type reply struct {
	Result any        `json:"result"`
	Error  *wireError `json:"error"`
}

func encodeError(e *Error) []byte {
	body, err := encode(reply{Error: e.toWire()})
	if err != nil { // toWire leaves only what can be encoded
		return []byte(`{"result": null, "error": {"exc_type": "RuntimeError", "exc_path": "` + unexpected + `", "exc_args": [], "value": ""}}`)
	}
	return body
}

// reply sends a reply and returns when the broker has it. If that is in doubt
// it is sent again: the caller takes the first.
func (s *Server) reply(d *amqp.Delivery, body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), replyPatience)
	defer cancel()
	message := publishing(body, nil)
	message.CorrelationId = d.CorrelationId
	var pause backoff
	for {
		err := s.replyOnce(ctx, publication{exchange: s.broker.config.Exchange, key: d.ReplyTo, message: message})
		switch {
		case errors.Is(err, errRefused) && len(message.Body) > smallBody:
			message.Body = encodeError(Errorf(unexpected, "The result has %d bytes, and the message broker does not take it.", len(body)))
		case errors.Is(err, errRefused), errors.Is(err, errInDoubt), errors.Is(err, amqp.ErrClosed):
			pause.sleep(ctx)
		default:
			return err
		}
	}
}

// refuse answers a call that there is no room for. Little is spent on it: the
// reply is not kept on disk, and its confirm is not awaited. A caller that misses
// it goes on as after any reply that is lost.
func (s *Server) refuse(d *amqp.Delivery) {
	s.log.Warn("calls are refused: all workers are busy, and enough others wait", "workers", s.workers)
	if err := s.sendRefusal(d); err != nil {
		s.log.Warn("a refusal could not be sent, its call will be delivered again", "error", err)
		s.giveBack(d)
		return
	}
	s.acknowledge(d)
}

func (s *Server) sendRefusal(d *amqp.Delivery) error {
	if d.ReplyTo == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), replyPatience)
	defer cancel()
	session, err := s.replies.ready(ctx)
	if err != nil {
		return err
	}
	message := publishing(s.refusal, nil)
	message.DeliveryMode = amqp.Transient
	message.CorrelationId = d.CorrelationId
	_, err = session.publish(publication{exchange: s.broker.config.Exchange, key: d.ReplyTo, message: message})
	return err
}

func (s *Server) replyOnce(ctx context.Context, p publication) error {
	session, err := s.replies.ready(ctx)
	if err != nil {
		return err
	}
	sent, err := session.publish(p)
	if err != nil {
		return err
	}
	return session.confirmed(ctx, sent, len(p.message.Body))
}
