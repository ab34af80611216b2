package rpc

import "time"

// SetClock replaces the clock.
func (p *Products) SetClock(now func() time.Time) { p.peer.now = now }

// SetClock replaces the clock.
func (o *Orders) SetClock(now func() time.Time) { o.peer.now = now }

// ErrCutOff is the cause of a call that was not made.
var ErrCutOff = errCutOff
