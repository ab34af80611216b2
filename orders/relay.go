package orders

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"hangar"
	"hangar/crash"
)

const (
	relayBatch   = 100
	relayGather  = 10 * time.Millisecond // events that come together are sent, and deleted, together
	relayPoll    = time.Second           // in case a hint of the store was lost
	relayLook    = time.Second           // the least time between two looks how many events wait
	relayBackoff = 100 * time.Millisecond
	relaySlowest = 5 * time.Second
)

// PublishTries is how often an event that fails by itself is published before
// it is parked. With the relay's pauses that takes about six minutes: long enough
// for what it needs to come back. Errors with the code Unavailable do not count.
const PublishTries = 100

// MaxWaiting is how many events may wait in the outbox. While there are more,
// the relay IsFull.
const MaxWaiting = 1_000_000

// Relay moves events from the outbox to where they belong, each at least once,
// in the order in which they were stored. An event that cannot be delivered is
// parked, and keeps no other one from it. Only one goroutine may use a relay, but
// for IsFull.
type Relay struct {
	store   Store
	publish Publish
	log     *slog.Logger

	failing int64 // the event that failed by itself the last time, 0 for none
	tries   int   // how often it has, one after the other

	looked time.Time // when the outbox was last found full or not
	full   atomic.Bool
}

// NewRelay returns a relay of the store's outbox.
func NewRelay(store Store, publish Publish, log *slog.Logger) *Relay {
	return &Relay{store: store, publish: publish, log: log}
}

// IsFull reports whether more than MaxWaiting events were in the outbox when the
// relay last looked, as it does every few seconds.
func (r *Relay) IsFull() bool { return r.full.Load() }

// Run relays events as they are stored until ctx is done, and then returns nil.
func (r *Relay) Run(ctx context.Context) error {
	poll := time.NewTicker(relayPoll)
	defer poll.Stop()
	backoff := time.Duration(0)
	for {
		err := r.Drain(ctx)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			backoff = max(relayBackoff, min(2*backoff, relaySlowest))
			r.log.Warn("events could not be relayed, will try again", "error", err, "in", backoff)
			if !sleep(ctx, backoff/2+rand.N(backoff/2)) {
				return nil
			}
			continue
		}
		backoff = 0
		select {
		case <-ctx.Done():
			return nil
		case <-r.store.Added():
			if !sleep(ctx, relayGather) {
				return nil
			}
		case <-poll.C:
		}
	}
}

// Drain relays events until the outbox is empty, or one fails that is not to be
// parked.
func (r *Relay) Drain(ctx context.Context) error {
	if crash.Off("relay") {
		return nil
	}
	for {
		r.look(ctx)
		n, err := r.store.Relay(ctx, relayBatch, r.send)
		if bad, ok := errors.AsType[BadEvents](err); ok {
			for _, e := range bad {
				r.log.Error("an event cannot be delivered, and is parked", "event", e.ID, "error", e.Err)
			}
			continue // with those that stay
		}
		if err != nil {
			return err
		}
		crash.At("orders.relayed")
		if n < relayBatch {
			return nil
		}
	}
}

// send publishes a batch. Its error is BadEvents if some are to be parked.
func (r *Relay) send(ctx context.Context, events []Event) error {
	err := r.publish(ctx, events)
	failure, ok := errors.AsType[EventError](err)
	switch {
	case err == nil:
		r.failing, r.tries = 0, 0
		crash.At("orders.published")
		return nil
	case ok && r.isHopeless(failure):
		bad := BadEvents{{ID: failure.ID, Err: fmt.Errorf("failed %d times, at last: %w", r.tries, failure.Err)}}
		r.failing, r.tries = 0, 0 // its id may be given again
		return bad
	default:
		return fmt.Errorf("publish %d events: %w", len(events), err)
	}
}

// isHopeless counts the failures of an event, and reports whether they are
// enough.
func (r *Relay) isHopeless(failure EventError) bool {
	if hangar.CodeOf(failure.Err) == hangar.Unavailable {
		return false
	}
	if failure.ID != r.failing {
		r.failing, r.tries = failure.ID, 0
	}
	r.tries++
	return r.tries >= PublishTries
}

// look finds out whether the outbox is full. It may be called at will.
func (r *Relay) look(ctx context.Context) {
	if time.Since(r.looked) < relayLook {
		return
	}
	r.looked = time.Now()
	outbox, err := r.store.OutboxStatistics(ctx)
	if err != nil {
		return // relaying fails as well, and says why
	}
	full := outbox.Waiting > MaxWaiting
	switch was := r.full.Swap(full); {
	case full && !was:
		r.log.Error("too many events wait to be delivered, new orders are refused", "events", outbox.Waiting, "allowed", MaxWaiting)
	case was && !full:
		r.log.Info("events are delivered again, new orders are taken", "events", outbox.Waiting)
	}
}

// sleep reports whether it slept to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
