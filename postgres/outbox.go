package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"hangar"
	"hangar/orders"
)

const (
	// channel is where processes tell each other of events.
	channel = "hangar_outbox"

	// publishTimeout bounds how long a relay holds a connection, and its events
	// from other relays.
	publishTimeout = 30 * time.Second

	// notifyPause is the least time between two notifications. A transaction that
	// notifies keeps all others that do from committing at the same time: so no
	// transaction of an order does, but one after many of them.
	notifyPause = 20 * time.Millisecond

	// listenTimeout is how long a connection may be silent before it is asked
	// whether it is alive.
	listenTimeout = 30 * time.Second
)

const (
	selectOutbox = "SELECT id, type, payload, coalesce(origin, '') FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED"
	deleteEvents = "DELETE FROM outbox WHERE id = ANY($1)"

	// Three looks at the ends of indexes, and a count that has a bound. Ages are by
	// the clock that wrote the times.
	selectStatistics = `SELECT coalesce((SELECT max(id) FROM outbox) - (SELECT min(id) FROM outbox) + 1, 0),
		coalesce((SELECT extract(epoch FROM now() AT TIME ZONE 'utc' - created_at) FROM outbox ORDER BY id LIMIT 1), 0)::float8,
		(SELECT count(*) FROM (SELECT FROM parked_events ORDER BY id LIMIT $1) AS p)`

	parkEvent = `WITH e AS (DELETE FROM outbox WHERE id = $1 RETURNING type, payload, origin)
		INSERT INTO parked_events (type, payload, origin, reason, parked_at) SELECT type, payload, origin, $2, $3 FROM e`
	selectParked = "SELECT id, type, payload, coalesce(origin, ''), reason, parked_at FROM parked_events WHERE id > $1 ORDER BY id LIMIT $2"
	unparkEvents = `WITH e AS (DELETE FROM parked_events WHERE id = ANY($1) RETURNING id, type, payload, origin)
		INSERT INTO outbox (type, payload, origin) SELECT type, payload, origin FROM e ORDER BY id`
)

// Relay implements orders.Store. While publish runs, for 30 seconds at most, the
// events are locked, and other relays pass over them.
func (s *OrderStore) Relay(ctx context.Context, limit int, publish func(context.Context, []orders.Event) error) (int, error) {
	// One of a process is enough: the others would only keep connections.
	select {
	case s.relaying <- struct{}{}:
		defer func() { <-s.relaying }()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	if s.open.Err() != nil {
		return 0, errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, publishTimeout)
	defer cancel()
	var (
		n       int
		failure error // of publish
	)
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) (err error) {
		n, failure, err = relay(ctx, tx, limit, publish)
		return err
	})
	_, bad := errors.AsType[orders.BadEvents](failure)
	switch {
	case failure != nil && (err == nil || !bad): // without bad ones, nothing was written
		return 0, failure
	case err != nil && (ctx.Err() != nil || isTransient(err)):
		return 0, unavailable(fmt.Errorf("relay events: %w", err))
	case err != nil:
		return 0, fmt.Errorf("relay events: %w", err)
	}
	return n, nil
}

// relay publishes a batch and deletes it, or parks of it what is bad.
func relay(ctx context.Context, tx pgx.Tx, limit int, publish func(context.Context, []orders.Event) error) (n int, failure, err error) {
	events, err := lockEvents(ctx, tx, limit)
	if err != nil || len(events) == 0 {
		return 0, nil, err
	}
	if failure := publish(ctx, events); failure != nil {
		bad, _ := errors.AsType[orders.BadEvents](failure)
		return 0, failure, park(ctx, tx, bad)
	}
	ids := make([]int64, len(events))
	for i, e := range events {
		ids[i] = e.ID
	}
	_, err = tx.Exec(ctx, deleteEvents, ids)
	return len(events), nil, err
}

func lockEvents(ctx context.Context, tx pgx.Tx, limit int) ([]orders.Event, error) {
	rows, err := tx.Query(ctx, selectOutbox, limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (orders.Event, error) {
		var e orders.Event
		err := row.Scan(&e.ID, &e.Type, &e.Payload, &e.Origin)
		return e, err
	})
}

// park moves the events out of the outbox.
func park(ctx context.Context, tx pgx.Tx, bad orders.BadEvents) error {
	now := timestamp(time.Now())
	for _, e := range bad {
		if _, err := tx.Exec(ctx, parkEvent, e.ID, e.Reason(), now); err != nil {
			return err
		}
	}
	return nil
}

// OutboxStatistics implements orders.Store.
func (s *OrderStore) OutboxStatistics(ctx context.Context) (o hangar.OutboxStatistics, err error) {
	var oldest float64 // seconds
	err = s.try(ctx, func(ctx context.Context, _ bool) error {
		return s.pool.QueryRow(ctx, selectStatistics, hangar.MaxParkedCount).Scan(&o.Waiting, &oldest, &o.Parked)
	})
	o.Oldest = time.Duration(max(0, oldest) * float64(time.Second))
	return o, err
}

// Parked implements orders.Store.
func (s *OrderStore) Parked(ctx context.Context, after int64, limit int) (events []orders.ParkedEvent, err error) {
	err = s.try(ctx, func(ctx context.Context, _ bool) error {
		rows, err := s.pool.Query(ctx, selectParked, after, limit)
		if err != nil {
			return err
		}
		events, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (orders.ParkedEvent, error) {
			var e orders.ParkedEvent
			err := row.Scan(&e.ID, &e.Type, &e.Payload, &e.Origin, &e.Reason, &e.ParkedAt)
			return e, err
		})
		return err
	})
	return events, err
}

// Unpark implements orders.Store. Where the answer of the database is lost, it
// may return fewer than it has put back.
func (s *OrderStore) Unpark(ctx context.Context, ids ...int64) (n int, err error) {
	err = s.try(ctx, func(ctx context.Context, again bool) error {
		tag, err := s.pool.Exec(ctx, unparkEvents, ids)
		n = int(tag.RowsAffected())
		if err == nil && (n > 0 || again) {
			s.hint()
		}
		return err
	})
	return n, err
}

// Added implements orders.Store. It also hints at events that other processes
// added.
func (s *OrderStore) Added() <-chan struct{} { return s.added }

// hint wakes the relays of this process now, and those of others soon.
func (s *OrderStore) hint() {
	offer(s.added)
	offer(s.notify)
}

func offer(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// tell notifies other processes until the store is closed. What does not arrive
// is no loss: relays also look by themselves.
func (s *OrderStore) tell() {
	for {
		select {
		case <-s.open.Done():
			return
		case <-s.notify:
		}
		ctx, cancel := context.WithTimeout(s.open, time.Second)
		if _, err := s.pool.Exec(ctx, "SELECT pg_notify($1, $2)", channel, s.name); err != nil {
			s.log.Debug("other processes could not be told of events", "error", err)
		}
		cancel()
		sleep(s.open, notifyPause)
	}
}

// listen hears of events of other processes until the store is closed, on a
// connection of its own.
func (s *OrderStore) listen() {
	const first = 100 * time.Millisecond
	pause := first
	for s.open.Err() == nil {
		err := s.listenOnce(func() { pause = first })
		if s.open.Err() != nil {
			return
		}
		if pause == first {
			s.log.Warn("the connection that hears of others' events was lost; until it is back, relays look every second", "error", err)
		}
		sleep(s.open, pause/2+rand.N(pause/2))
		pause = min(2*pause, longestPause)
	}
}

// listenOnce listens until the connection is lost.
func (s *OrderStore) listenOnce(listening func()) error {
	conn, err := pgx.ConnectConfig(s.open, s.pool.Config().ConnConfig)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = conn.Close(ctx) // it has nothing to lose
	}()
	if _, err := conn.Exec(s.open, "LISTEN "+channel); err != nil {
		return err
	}
	listening()
	offer(s.added) // for what came while nobody listened
	for {
		ctx, cancel := context.WithTimeout(s.open, listenTimeout)
		notification, err := conn.WaitForNotification(ctx)
		cancel()
		switch {
		case err == nil && notification.Payload != s.name:
			offer(s.added)
		case errors.Is(err, context.DeadlineExceeded):
			ctx, cancel := context.WithTimeout(s.open, connectTimeout)
			err := conn.Ping(ctx)
			cancel()
			if err != nil {
				return err
			}
		case err != nil:
			return err
		}
	}
}
