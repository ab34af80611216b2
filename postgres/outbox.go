package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

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
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		events, err := lockEvents(ctx, tx, limit)
		if err != nil || len(events) == 0 {
			return err
		}
		if failure = publish(ctx, events); failure != nil {
			return failure
		}
		ids := make([]int64, len(events))
		for i, e := range events {
			ids[i] = e.ID
		}
		n = len(events)
		_, err = tx.Exec(ctx, "DELETE FROM outbox WHERE id = ANY($1)", ids)
		return err
	})
	switch {
	case failure != nil:
		return 0, failure
	case err != nil && (ctx.Err() != nil || isTransient(err)):
		return 0, unavailable(fmt.Errorf("relay events: %w", err))
	case err != nil:
		return 0, fmt.Errorf("relay events: %w", err)
	}
	return n, nil
}

func lockEvents(ctx context.Context, tx pgx.Tx, limit int) ([]orders.Event, error) {
	rows, err := tx.Query(ctx, "SELECT id, type, payload FROM outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED", limit)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (orders.Event, error) {
		var e orders.Event
		err := row.Scan(&e.ID, &e.Type, &e.Payload)
		return e, err
	})
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
