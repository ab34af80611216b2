package nameko

import (
	"context"
	"errors"
	"time"
)

// Meter is told what becomes of calls, to count them: on the way of each, by many
// at the same time. So it must be quick.
type Meter interface {
	// CallServed tells of a call that came to a Server: what became of it, and how
	// long that took from its arrival on. The method is "" if the service does not
	// have it.
	CallServed(service, method, outcome string, took time.Duration)

	// CallMade tells of a call that a Client made.
	CallMade(service, method, outcome string, took time.Duration)
}

// What may become of a call.
const (
	CallOK     = "ok"
	CallRaised = "raised" // the method, or nameko, raised an exception that is meant for the caller
	CallFailed = "failed" // with an error that is not

	// Of a Server only.
	CallRefused = "refused" // it was busy
	CallExpired = "expired" // nobody waited for the reply any more when its turn came

	// Of a Client only.
	CallUnanswered     = "unanswered" // there was no reply by the deadline, or nowhere for it to go
	CallNoBroker       = "no_broker"
	CallUnknownService = "unknown_service"
	CallAbandoned      = "abandoned" // the caller left
)

// unmeasured is the Meter of who measures nothing.
type unmeasured struct{}

func (unmeasured) CallServed(string, string, string, time.Duration) {}
func (unmeasured) CallMade(string, string, string, time.Duration)   {}

// measure tells what became of a request.
func (s *Server) measure(r *request, outcome string) {
	method := r.method
	if _, known := s.methods[method]; !known {
		method = "" // there is no end to what callers may write
	}
	s.broker.config.Meter.CallServed(s.service, method, outcome, time.Since(r.arrived))
}

// outcomeOf returns what became of a request whose reply says that.
func outcomeOf(failure error) string {
	switch {
	case failure == nil:
		return CallOK
	case IsError(failure, unexpected), IsError(failure, unserializable):
		return CallFailed
	}
	return CallRaised
}

// measure tells what became of a call that began then.
func (c *Client) measure(call Call, began time.Time, err error) {
	c.broker.config.Meter.CallMade(call.Service, call.Method, outcomeOfCall(err), time.Since(began))
}

func outcomeOfCall(err error) string {
	_, raised := errors.AsType[*Error](err)
	switch {
	case err == nil:
		return CallOK
	case raised:
		return CallRaised
	case errors.Is(err, context.Canceled):
		return CallAbandoned
	case errors.Is(err, ErrNoBroker):
		return CallNoBroker
	case errors.Is(err, ErrUnknownService):
		return CallUnknownService
	case errors.Is(err, ErrNoReply), errors.Is(err, ErrReplyQueueGone), errors.Is(err, context.DeadlineExceeded):
		return CallUnanswered
	}
	return CallFailed
}

// ServerState is what a service does at the moment.
type ServerState struct {
	Service  string
	Workers  int // so many calls and events are worked on at once, at most
	Running  int // calls and events that are worked on
	Waiting  int // calls that were fetched and wait for a worker
	Prefetch int // so many messages with calls are fetched ahead, at most
}

// State returns what the service does at the moment.
func (s *Server) State() ServerState {
	prefetch := s.prefetch
	if prefetch == 0 {
		prefetch = s.prefetchOfCalls()
	}
	return ServerState{Service: s.service, Workers: s.workers, Running: len(s.slots), Waiting: int(s.waiting.Load()), Prefetch: prefetch}
}
