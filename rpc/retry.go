package rpc

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"hangar"
	"hangar/nameko"
)

const (
	firstPause   = 25 * time.Millisecond // before a call is made again; doubles, and is jittered
	longestPause = 400 * time.Millisecond
)

// In a budget, a call puts in one part and a retry takes out ten: at most a tenth
// of the calls are retries, however much fails.
const (
	retryCost = 10
	maxBudget = 10 * retryCost
)

// budget bounds retries, so that they do not add to what a service suffers from.
// The zero value has room for a few.
type budget struct {
	mu    sync.Mutex
	spent int // parts, 0 to maxBudget

	granted, denied int64 // retries
}

// deposit notes a call.
func (b *budget) deposit() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.spent = max(0, b.spent-1)
}

// take reports whether there may be a retry, and notes it.
func (b *budget) take() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.spent+retryCost > maxBudget {
		b.denied++
		return false
	}
	b.spent += retryCost
	b.granted++
	return true
}

// mayMend reports whether the same call may soon end otherwise: the service was
// busy, or what it stands on was away, or the way to it was.
func mayMend(err error) bool {
	return nameko.IsError(err, pathOf(hangar.Unavailable)) ||
		errors.Is(err, nameko.ErrReplyQueueGone) || errors.Is(err, nameko.ErrNoBroker)
}

// nothingDone reports whether an error says that a call was not executed.
func nothingDone(err error) bool {
	return isBusy(err) || errors.Is(err, errCutOff) || errors.Is(err, nameko.ErrNoBroker) || errors.Is(err, nameko.ErrUnknownService)
}

// pauseBefore waits before the n-th retry, from 0. It reports false if there is
// no time for that.
func pauseBefore(ctx context.Context, n int) bool {
	pause := min(firstPause<<min(n, 10), longestPause) // further shifts would overflow
	pause = pause/2 + rand.N(pause/2)
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) <= pause {
		return false
	}
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
