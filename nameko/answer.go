package nameko

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	// longestCall bounds a call whose caller sets no deadline.
	longestCall = time.Minute

	// replyPatience bounds how long a reply is sent again while the broker is away.
	replyPatience = 10 * time.Second
)

// answer executes a request, replies, and only then acknowledges it: a request
// whose server dies is delivered again.
func (s *Server) answer(ctx context.Context, d *amqp.Delivery, arrived time.Time) {
	name := d.RoutingKey[strings.LastIndex(d.RoutingKey, ".")+1:]
	log := s.log.With("method", name)
	deadline := arrived.Add(timeLeft(d.Headers))
	if time.Now().Before(deadline) {
		working, cancel := context.WithDeadline(ctx, deadline)
		result, err := s.execute(working, d, name)
		cancel()
		log.Debug("call", "duration", time.Since(arrived), "error", err)
		if _, public := errors.AsType[*Error](err); err != nil && !public {
			log.Error("a call failed", "error", err)
			err = Errorf(unexpected, "%s.%s failed. The service's log says why.", s.service, name)
		}
		if d.ReplyTo == "" {
			log.Warn("a request without reply_to gets no reply")
		} else if err := s.reply(ctx, d, encodeResult(result, err)); err != nil {
			log.Warn("a reply could not be sent", "error", err)
		}
	}
	if err := d.Ack(false); err != nil {
		log.Info("a request could not be acknowledged and will be delivered again", "error", err)
	}
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

// execute runs the method that a request names.
func (s *Server) execute(ctx context.Context, d *amqp.Delivery, name string) (result any, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
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
	return m.handle(Begin(received(ctx, d.Headers), s.service, name), args)
}

// encodeResult returns the body of a reply. Always has both members: Python
// looks for them.
func encodeResult(result any, err error) []byte {
	var reply struct {
		Result any        `json:"result"`
		Error  *wireError `json:"error"`
	}
	if failure, ok := errors.AsType[*Error](err); ok {
		reply.Error = failure.toWire()
	} else {
		reply.Result = result
	}
	body, err := encode(reply)
	if err != nil {
		failure := &Error{Path: unserializable, Value: fmt.Sprintf("Unserializable value: `%v`", result)}
		return encodeResult(nil, failure)
	}
	return body
}

// reply sends a reply and returns when the broker has it. If that is in doubt
// it is sent again: the caller takes the first.
func (s *Server) reply(ctx context.Context, d *amqp.Delivery, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, replyPatience)
	defer cancel()
	message := publishing(body, amqp.Table{})
	message.CorrelationId = d.CorrelationId
	var pause backoff
	for {
		sent, err := s.replies.publish(ctx, publication{exchange: s.broker.config.Exchange, key: d.ReplyTo, message: message})
		if err == nil {
			acked, err := sent.WaitContext(ctx)
			if acked || err != nil {
				return err
			}
		} else if !errors.Is(err, errInDoubt) {
			return err
		}
		pause.sleep(ctx)
	}
}
