package rpc

import (
	"context"

	"hangar"
)

// PeerState is how a service on the other side of the broker does, as far as its
// client knows.
type PeerState struct {
	Service   string
	CutOff    bool  // it kept failing: calls of it fail at once, but for one a second
	Refused   int64 // calls that failed at once for that, ever
	Retries   int64 // calls that were made again, ever
	Unretried int64 // calls that were not, because enough others were
}

// State returns how the service does.
func (p *Products) State() PeerState { return p.peer.state() }

// State returns how the service does.
func (o *Orders) State() PeerState { return o.peer.state() }

// Check returns nil if somebody takes the calls of the service. Error: Unavailable.
func (p *Products) Check(ctx context.Context) error { return p.peer.check(ctx) }

// Check returns nil if somebody takes the calls of the service. Error: Unavailable.
func (o *Orders) Check(ctx context.Context) error { return o.peer.check(ctx) }

func (p *peer) state() PeerState {
	s := PeerState{Service: p.service}
	p.breaker.mu.Lock()
	s.CutOff, s.Refused = p.breaker.cutOff, p.breaker.refused
	p.breaker.mu.Unlock()
	p.retries.mu.Lock()
	s.Retries, s.Unretried = p.retries.granted, p.retries.denied
	p.retries.mu.Unlock()
	return s
}

func (p *peer) check(ctx context.Context) error {
	if p.state().CutOff {
		return &hangar.Error{Code: hangar.Unavailable, Message: "It keeps failing, and is tried once a second.", Err: errCutOff}
	}
	queue, err := p.client.CallQueue(ctx, p.service)
	if err != nil {
		return &hangar.Error{Code: hangar.Unavailable, Message: "The message broker does not tell.", Err: err}
	}
	if queue.Consumers == 0 {
		return hangar.Errorf(hangar.Unavailable, "No instance takes calls.")
	}
	return nil
}
