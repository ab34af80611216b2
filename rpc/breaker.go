package rpc

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hangar"
	"hangar/nameko"
)

const (
	// tripAfter is how many calls in a row must fail until a service is cut off.
	tripAfter = 5

	// probeEvery is the time between two calls that try a service which is cut
	// off. One does not wait for the other: that may take until its deadline.
	probeEvery = time.Second

	// fairWait is how long a call must have waited for its failure to count: a
	// caller with less time says nothing of the service.
	fairWait = 2 * time.Second
)

var errCutOff = errors.New("it kept failing, and is tried once a second until it answers")

// breaker cuts off a service that keeps failing, so that nobody waits for it in
// vain, and lets single calls through to see whether it answers again. The zero
// value is a service that answers.
type breaker struct {
	mu        sync.Mutex
	failures  int       // in a row
	answered  time.Time // when the last answer came
	cutOff    bool
	nextProbe time.Time
	refused   int64 // calls that were not made
}

// admit reports whether a call may be made.
func (b *breaker) admit(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.cutOff {
		return true
	}
	if now.Before(b.nextProbe) {
		b.refused++
		return false
	}
	b.nextProbe = now.Add(probeEvery)
	return true
}

// noteAnswer notes that the service answered, whatever it said. It reports
// whether that ends a time of being cut off.
func (b *breaker) noteAnswer(now time.Time) (restored bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	restored = b.cutOff
	b.failures, b.answered, b.cutOff = 0, now, false
	return restored
}

// noteFailure notes that a call got no answer. One that began before the last
// answer came says nothing new. It reports whether the service is now cut off.
func (b *breaker) noteFailure(began, now time.Time) (tripped bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if began.Before(b.answered) {
		return false
	}
	b.failures++
	if b.cutOff || b.failures < tripAfter {
		return false
	}
	b.cutOff, b.nextProbe = true, now.Add(probeEvery)
	return true
}

// note notes what became of a call that began then, and logs a change of state.
func (b *breaker) note(ctx context.Context, began time.Time, err error, log *slog.Logger) {
	now := time.Now()
	switch {
	case isFailure(ctx, now.Sub(began), err):
		if b.noteFailure(began, now) {
			log.Warn("the service keeps failing and is cut off, except for a call a second", "error", err)
		}
	case isAnswer(err):
		if b.noteAnswer(now) {
			log.Info("the service answers again")
		}
	}
}

// isAnswer reports whether a call was answered, be it with an exception.
func isAnswer(err error) bool {
	_, raised := errors.AsType[*nameko.Error](err)
	return err == nil || raised
}

// isFailure reports whether a call shows that the service cannot be reached, or
// that what it stands on hangs: then it says so, after a while. The caller may
// just have left, or have had little time to begin with.
func isFailure(ctx context.Context, waited time.Duration, err error) bool {
	if ctx.Err() != nil && (errors.Is(ctx.Err(), context.Canceled) || waited < fairWait) {
		return false
	}
	if waited >= fairWait && nameko.IsError(err, pathOf(hangar.Unavailable)) {
		return true
	}
	return errors.Is(err, nameko.ErrUnknownService) || errors.Is(err, nameko.ErrNoBroker) || errors.Is(err, nameko.ErrNoReply)
}

func cutOff(service string) error { return fmt.Errorf("the %s service: %w", service, errCutOff) }
