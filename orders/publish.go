package orders

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime/debug"
	"strings"

	"hangar"
)

// Publish sends events in their order and returns when all have arrived. An
// error of BadEvents says that these can never be sent, so that the others should
// be sent without them. After any other error all are sent again; an EventError
// says which one it was that failed.
type Publish func(ctx context.Context, events []Event) error

// EventError is the failure of one event.
type EventError struct {
	ID  int64
	Err error
}

// Error names the event.
func (e EventError) Error() string { return fmt.Sprintf("event %d: %v", e.ID, e.Err) }

// Unwrap returns why it failed.
func (e EventError) Unwrap() error { return e.Err }

// maxReason bounds the reason of a parked event, in characters.
const maxReason = 500

// Reason returns why it failed as any store can keep it: not too long, valid
// UTF-8, and without the character 0.
func (e EventError) Reason() string {
	const unreadable = "\uFFFD"
	clean := strings.ToValidUTF8(e.Err.Error(), unreadable)
	return fmt.Sprintf("%.*s", maxReason, strings.ReplaceAll(clean, "\x00", unreadable))
}

// BadEvents are events that can never be delivered.
type BadEvents []EventError

// Error names the first one, and says how many more there are.
func (b BadEvents) Error() string {
	switch len(b) {
	case 0:
		return "no bad events"
	case 1:
		return "can never be delivered: " + b[0].Error()
	default:
		return fmt.Sprintf("can never be delivered: %v (and %d more)", b[0], len(b)-1)
	}
}

// CheckEvents returns BadEvents if there are some that nobody can read: with an
// unknown type, or a payload that is not of its type. They are decoded to find
// out.
func CheckEvents(events []Event) error {
	_, err := decodeAll(events)
	return err
}

func decodeAll(events []Event) ([]hangar.OrderCreated, error) {
	var bad BadEvents
	decoded := make([]hangar.OrderCreated, len(events))
	for i, e := range events {
		var err error
		if decoded[i], err = decode(e); err != nil {
			bad = append(bad, EventError{ID: e.ID, Err: err})
		}
	}
	if len(bad) > 0 {
		return nil, bad
	}
	return decoded, nil
}

func decode(e Event) (created hangar.OrderCreated, err error) {
	if e.Type != hangar.OrderCreatedEvent {
		return created, fmt.Errorf("unknown type %q", e.Type)
	}
	if err := json.Unmarshal(e.Payload, &created); err != nil {
		return created, fmt.Errorf("decode the payload: %w", err)
	}
	return created, nil
}

// PublishTo returns a Publish for a handler in the same process. An error of the
// handler, or its panic, is an EventError.
func PublishTo(handler hangar.OrderEvents) Publish {
	return PublishWithin(handler, func(ctx context.Context, _ Event) (context.Context, func(error)) {
		return ctx, func(error) {}
	})
}

// Within returns the context that an event is handled in, and what is to be told
// how that ended.
type Within func(context.Context, Event) (context.Context, func(error))

// PublishWithin is PublishTo with a context of its own for each event.
func PublishWithin(handler hangar.OrderEvents, within Within) Publish {
	return func(ctx context.Context, events []Event) error {
		decoded, err := decodeAll(events)
		if err != nil {
			return err
		}
		for i, created := range decoded {
			ctx, end := within(ctx, events[i])
			err := handle(ctx, handler, created)
			end(err)
			if err != nil {
				return EventError{ID: events[i].ID, Err: err}
			}
		}
		return nil
	}
}

func handle(ctx context.Context, handler hangar.OrderEvents, created hangar.OrderCreated) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return handler.HandleOrderCreated(ctx, created)
}
