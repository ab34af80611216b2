package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"hangar"
	"hangar/orders"
)

const (
	insertEvent  = "INSERT INTO outbox (type, payload, origin, created_at) VALUES (?, ?, ?, ?)"
	selectOutbox = "SELECT id, type, payload, origin FROM outbox ORDER BY id LIMIT +?"

	// Three looks at the ends of indexes, and a count that has a bound.
	selectStatistics = `SELECT coalesce((SELECT max(id) FROM outbox) - (SELECT min(id) FROM outbox) + 1, 0),
		(SELECT created_at FROM outbox ORDER BY id LIMIT 1),
		(SELECT count(*) FROM (SELECT 1 FROM parked_events LIMIT ?))`

	selectParked = "SELECT id, type, payload, origin, reason, parked_at FROM parked_events WHERE id > +? ORDER BY id LIMIT +?"
)

// Relay implements orders.Store.
func (s *OrderStore) Relay(ctx context.Context, limit int, publish func(context.Context, []orders.Event) error) (int, error) {
	// One at a time: once the outbox is empty, its ids begin anew, and what a
	// second relay deletes could be an event that nobody has sent.
	select {
	case s.relaying <- struct{}{}:
		defer func() { <-s.relaying }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	events, err := s.outbox(ctx, limit)
	if err != nil {
		return 0, fmt.Errorf("select events: %w", err)
	}
	if len(events) == 0 {
		return 0, nil
	}
	if err := publish(ctx, events); err != nil {
		bad, _ := errors.AsType[orders.BadEvents](err)
		if parkErr := s.park(ctx, bad); parkErr != nil {
			return 0, fmt.Errorf("park events: %w", parkErr)
		}
		return 0, err
	}
	// What is up to the last one, was sent.
	err = s.file.writer.do(ctx, func(t *tx) error {
		return t.exec("DELETE FROM outbox WHERE id <= ?", events[len(events)-1].ID)
	})
	if err != nil {
		return 0, fmt.Errorf("delete relayed events: %w", err)
	}
	return len(events), nil
}

func (s *OrderStore) outbox(ctx context.Context, limit int) ([]orders.Event, error) {
	var events []orders.Event
	err := s.file.readers.query(ctx, selectOutbox, []any{int64(limit)}, func(r *row) error {
		events = append(events, scanEvent(r))
		return nil
	})
	return events, err
}

// scanEvent reads the first columns: id, type, payload and origin.
func scanEvent(r *row) orders.Event {
	return orders.Event{ID: r.ColumnInt64(0), Type: r.ColumnText(1), Payload: []byte(r.ColumnText(2)), Origin: r.ColumnText(3)}
}

// park moves the events out of the outbox.
func (s *OrderStore) park(ctx context.Context, bad orders.BadEvents) error {
	if len(bad) == 0 {
		return nil
	}
	now := micros(time.Now())
	return s.file.writer.do(ctx, func(t *tx) error {
		for _, e := range bad {
			err := t.exec(`INSERT INTO parked_events (type, payload, origin, reason, parked_at)
				SELECT type, payload, origin, ?, ? FROM outbox WHERE id = ?`, e.Reason(), now, e.ID)
			if err != nil {
				return err
			}
			if err := t.exec("DELETE FROM outbox WHERE id = ?", e.ID); err != nil {
				return err
			}
		}
		return nil
	})
}

// OutboxStatistics implements orders.Store.
func (s *OrderStore) OutboxStatistics(ctx context.Context) (o hangar.OutboxStatistics, err error) {
	err = s.file.readers.query(ctx, selectStatistics, []any{int64(hangar.MaxParkedCount)}, func(r *row) error {
		o = hangar.OutboxStatistics{Waiting: r.ColumnInt64(0), Parked: r.ColumnInt64(2)}
		if !r.ColumnIsNull(1) {
			o.Oldest = max(0, time.Since(fromMicros(r.ColumnInt64(1))))
		}
		return nil
	})
	return o, err
}

// Parked implements orders.Store.
func (s *OrderStore) Parked(ctx context.Context, after int64, limit int) ([]orders.ParkedEvent, error) {
	var events []orders.ParkedEvent
	err := s.file.readers.query(ctx, selectParked, []any{after, int64(limit)}, func(r *row) error {
		events = append(events, orders.ParkedEvent{
			Event:    scanEvent(r),
			Reason:   r.ColumnText(4),
			ParkedAt: fromMicros(r.ColumnInt64(5)),
		})
		return nil
	})
	return events, err
}

// Unpark implements orders.Store.
func (s *OrderStore) Unpark(ctx context.Context, ids ...int64) (int, error) {
	ids = slices.Sorted(slices.Values(ids))
	now := micros(time.Now())
	unparked := 0
	err := s.file.writer.do(ctx, func(t *tx) error {
		unparked = 0
		for _, id := range ids {
			n, err := t.execCount("INSERT INTO outbox (type, payload, origin, created_at) SELECT type, payload, origin, ? FROM parked_events WHERE id = ?", now, id)
			if err != nil {
				return err
			}
			unparked += n
			if err := t.exec("DELETE FROM parked_events WHERE id = ?", id); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("put parked events back: %w", err)
	}
	if unparked > 0 {
		s.hint()
	}
	return unparked, nil
}

// Added implements orders.Store.
func (s *OrderStore) Added() <-chan struct{} { return s.added }

// hint says that events were added.
func (s *OrderStore) hint() {
	select {
	case s.added <- struct{}{}:
	default:
	}
}
