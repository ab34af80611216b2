// Package postgres stores orders in PostgreSQL, version 11 or later, in the
// tables of the Python services.
//
// A database of theirs is adopted as it is, with its rows, and they go on using
// it at the same time: migrations only add. What they insert is a confirmed
// order without a hold of its own. What they store and nobody can read as a
// price, such as NaN, is read as 0 and reported in the log.
//
// What is answered is durable, as far as the server's fsync and
// synchronous_commit are on. Each call is one statement and one round trip;
// orders that are inserted or confirmed at the same time share a transaction, and
// so one of each. A call whose answer was lost, as the connection or the server
// was, is made again and finds out what became of the first: an order is known by
// its hold, a change by its version. So it ends with the right answer, or after
// ten seconds, or when its context ends, with Unavailable. With Unavailable ends
// also a call that half of its time waited for its turn to use a connection.
//
// Its limits: ids of orders and lines are those of the Python services' tables,
// of type integer, and end at 2^31-1. Events leave in their order only while one
// process relays. Behind a pooler that gives each transaction another connection,
// the processes do not wake each other's relays, which then poll.
package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"hangar"
	"hangar/orders"
)

// OrderStore is an orders.Store in a PostgreSQL database. It may be used by many
// processes at the same time.
type OrderStore struct {
	pool   *pgxpool.Pool
	log    *slog.Logger
	name   string // by which the store knows its own notifications
	tables tables

	turns    chan struct{} // one for each call that uses a connection alone
	writes   chan *write
	written  chan struct{} // is closed when no write will be made any more
	added    chan struct{}
	notify   chan struct{} // says that other processes are to be told of events
	relaying chan struct{} // holds one while a Relay is under way
	reported sync.Map      // the ids of lines whose price was reported as unreadable

	open    context.Context // ends with Close
	close   func()
	running sync.WaitGroup
}

var _ orders.Store = (*OrderStore)(nil)

var errClosed = &hangar.Error{Code: hangar.Unavailable, Message: "The store is closed."}

// OpenOrders connects to the database at url, adopts or makes its tables, and
// brings them up to date.
//
// The url is postgres:// or postgresql://, as libpq has it; a driver in its
// scheme, as in postgresql+psycopg2://, is left out. It may set the most
// connections that are open at once, such as pool_max_conns=50; there are 16
// otherwise, and one that listens. No error shows its password.
//
// While the server cannot be reached, or is starting, or others hold locks that
// a migration needs, OpenOrders waits until ctx is done, and says so in the log.
func OpenOrders(ctx context.Context, url string, log *slog.Logger) (*OrderStore, error) {
	config, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	// It connects when it is used.
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	t, err := prepare(ctx, pool, log)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s := &OrderStore{
		pool:     pool,
		log:      log,
		name:     uuid.NewString(),
		tables:   t,
		turns:    make(chan struct{}, max(1, int(config.MaxConns)-reserved)),
		writes:   make(chan *write, maxBatch),
		written:  make(chan struct{}),
		added:    make(chan struct{}, 1),
		notify:   make(chan struct{}, 1),
		relaying: make(chan struct{}, 1),
	}
	open, end := context.WithCancel(context.WithoutCancel(ctx))
	s.open, s.close = open, sync.OnceFunc(func() {
		end()
		s.running.Wait()
		close(s.written)
		pool.Close()
	})
	s.running.Go(s.listen)
	s.running.Go(s.tell)
	for range writers {
		s.running.Go(s.write)
	}
	return s, nil
}

// Close waits for the calls that are under way and closes the connections. It
// may be called twice.
func (s *OrderStore) Close() error {
	s.close()
	return nil
}

// numbered gives the lines the ids that were given to them, in their order.
func numbered(details []hangar.OrderDetail, ids []int64) ([]hangar.OrderDetail, error) {
	if len(ids) != len(details) {
		return nil, fmt.Errorf("%d lines were stored as %d", len(details), len(ids))
	}
	slices.Sort(ids)
	details = slices.Clone(details)
	for i, id := range ids {
		details[i].ID = id
	}
	return details, nil
}

// timestamp is a time as a column holds it.
func timestamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }
