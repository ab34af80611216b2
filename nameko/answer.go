package nameko

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
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

// answer executes a request, and hands in the reply.
func (s *Server) answer(ctx context.Context, r *request) (finish func()) {
	if r.isLate() {
		s.measure(r, CallExpired)
		return r.from.drop // nobody waits for it
	}
	ctx, cancel := context.WithDeadline(ctx, r.deadline())
	defer cancel()
	ctx, w := s.beginCall(ctx, r)
	body, failure := s.execute(ctx, r)
	s.measure(r, outcomeOf(failure))
	w.end(failure)
	if r.replyTo == "" {
		s.log.Warn("a request without reply_to gets no reply", "method", r.method)
		return r.from.drop
	}
	return func() {
		crash.At("nameko.executed")
		r.from.reply(r, body)
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
func (s *Server) public(ctx context.Context, err error, method string) *Error {
	raised, ok := errors.AsType[*Error](err)
	switch {
	case !ok:
		s.log.Error("a call failed", "method", method, "call_id", callID(ctx), "error", err)
		return Errorf(unexpected, "The %s service failed. Its log says why.", s.service)
	case err != error(raised):
		s.log.Warn("a call failed", "method", method, "call_id", callID(ctx), "error", err)
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
// reply. The error is what it says, nil if it has a result.
func (s *Server) execute(ctx context.Context, r *request) (body []byte, failure error) {
	fail := func(e *Error) ([]byte, error) { return encodeError(e), e }
	defer func() {
		if p := recover(); p != nil {
			err := fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			body, failure = fail(s.public(ctx, err, r.method))
		}
	}()
	result, err := s.call(ctx, r)
	if err != nil {
		return fail(s.public(ctx, err, r.method))
	}
	body, err = encode(reply{Result: result})
	if err != nil {
		s.log.Error("a result cannot be encoded", "method", r.method, "error", err)
		return fail(&Error{Path: unserializable, Value: fmt.Sprintf("Unserializable value: `%T`", result)})
	}
	return body, nil
}

func (s *Server) call(ctx context.Context, r *request) (any, error) {
	if err := r.unpack(); err != nil {
		return nil, Errorf(MalformedRequest, "Message cannot be read: %v", err)
	}
	m, ok := s.methods[r.method]
	if !ok {
		return nil, Errorf(MethodNotFound, "%s", r.method)
	}
	args, err := r.args(m.signature)
	if err != nil {
		return nil, err
	}
	return m.handle(ctx, args)
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

// sendReply sends a reply and returns when the broker has it. If that is in doubt
// it is sent again: the caller takes the first.
func (s *Server) sendReply(to string, message amqp.Publishing) error {
	ctx, cancel := context.WithTimeout(context.Background(), replyPatience)
	defer cancel()
	size := len(message.Body)
	var pause backoff
	for {
		err := s.sendOnce(ctx, to, message)
		switch {
		case errors.Is(err, errRefused) && len(message.Body) > smallBody:
			message.Body = encodeError(Errorf(unexpected, "The result has %d bytes, and the message broker does not take it.", size))
		case errors.Is(err, errRefused), errors.Is(err, errInDoubt), errors.Is(err, amqp.ErrClosed):
			pause.sleep(ctx)
		default:
			return err
		}
	}
}

// sendOnce publishes to the exchange of requests and replies, and returns when
// the broker has the message.
func (s *Server) sendOnce(ctx context.Context, key string, message amqp.Publishing) error {
	session, err := s.replies.ready(ctx)
	if err != nil {
		return err
	}
	sent, err := session.publish(publication{exchange: s.broker.config.Exchange, key: key, message: message})
	if err != nil {
		return err
	}
	return session.confirmed(ctx, sent, len(message.Body))
}
