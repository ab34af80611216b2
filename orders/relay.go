package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"hangar"
	"hangar/crash"
)

const (
	relayBatch   = 100
	relayGather  = 10 * time.Millisecond // events that come together are sent, and deleted, together
	relayPoll    = time.Second           // in case a hint of the store was lost
	relayBackoff = 100 * time.Millisecond
	relaySlowest = 5 * time.Second
)

// Publish sends events in their order and returns when all have arrived. After
// an error all of them are sent again.
type Publish func(ctx context.Context, events []Event) error

// Relay moves events from the outbox to where they belong, each at least once,
// in the order in which they were stored.
type Relay struct {
	store   Store
	publish Publish
	log     *slog.Logger
}

// NewRelay returns a relay of the store's outbox.
func NewRelay(store Store, publish Publish, log *slog.Logger) *Relay {
	return &Relay{store: store, publish: publish, log: log}
}

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

// Drain relays events until the outbox is empty.
func (r *Relay) Drain(ctx context.Context) error {
	if crash.Off("relay") {
		return nil
	}
	for {
		n, err := r.store.Relay(ctx, relayBatch, func(ctx context.Context, events []Event) error {
			if err := r.publish(ctx, events); err != nil {
				return fmt.Errorf("publish %d events: %w", len(events), err)
			}
			crash.At("orders.published")
			return nil
		})
		if err != nil {
			return err
		}
		crash.At("orders.relayed")
		if n < relayBatch {
			return nil
		}
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

// PublishTo returns a Publish for a handler in the same process.
func PublishTo(handler hangar.OrderEvents) Publish {
	return func(ctx context.Context, events []Event) error {
		for _, event := range events {
			if err := deliver(ctx, event, handler); err != nil {
				return err
			}
		}
		return nil
	}
}

func deliver(ctx context.Context, event Event, handler hangar.OrderEvents) error {
	switch event.Type {
	case hangar.OrderCreatedEvent:
		var e hangar.OrderCreated
		if err := json.Unmarshal(event.Payload, &e); err != nil {
			return fmt.Errorf("decode event %d: %w", event.ID, err)
		}
		return handler.HandleOrderCreated(ctx, e)
	default:
		return fmt.Errorf("event %d has the unknown type %q", event.ID, event.Type)
	}
}
