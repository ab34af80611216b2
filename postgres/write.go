package postgres

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"hangar/tracing"
)

const (
	// writers is how many transactions of waiting writes run at once: while one
	// waits for the disk, others fill.
	writers = 3

	// maxBatch bounds the writes of one transaction, and so how long the first of
	// them waits for the others.
	maxBatch = 64
)

// write is a statement that waits to be part of a transaction. It returns a row
// of the id of an order and of those of its lines, or no row. It locks nothing
// that others keep for long.
type write struct {
	ctx   context.Context
	key   string // the idempotency key that it inserts, if any
	query string
	args  []any
	done  chan struct{}
	row
}

// row is what a write returns. The error is pgx.ErrNoRows for no row.
type row struct {
	id    int64
	lines []int64
	err   error
}

// writeTogether runs the statement in one transaction with others that wait at
// the same time: they share the round trip and the fsync.
func (s *OrderStore) writeTogether(ctx context.Context, key, query string, args []any) (r row) {
	ctx, span := tracing.Query(ctx, semconv.DBSystemNamePostgreSQL, query)
	if span.IsRecording() {
		describe(span, s.pool.Config().ConnConfig)
		defer func() { tracing.End(span, kindOf(r.err)) }()
	}
	w := &write{ctx: ctx, key: key, query: query, args: args, done: make(chan struct{})}
	turn, cancel := halfTime(ctx)
	defer cancel()
	select {
	case s.writes <- w:
	case <-turn.Done():
		return row{err: noTurn(ctx)}
	case <-s.open.Done():
		return row{err: errClosed}
	}
	select {
	case <-w.done:
		return w.row
	case <-ctx.Done():
		return row{err: ctx.Err()}
	case <-s.written:
	}
	select {
	case <-w.done:
		return w.row
	default: // it came in too late to be seen
		return row{err: errClosed}
	}
}

// writeAlone runs the statement in a transaction of its own.
func (s *OrderStore) writeAlone(ctx context.Context, query string, args []any) row {
	r, err := alone(ctx, s, func(ctx context.Context) (r row, err error) {
		err = s.pool.QueryRow(ctx, query, args...).Scan(&r.id, &r.lines)
		return r, err
	})
	r.err = err
	return r
}

// write runs writes until the store is closed and none waits.
func (s *OrderStore) write() {
	for {
		select {
		case w := <-s.writes:
			s.writeBatch(w)
		case <-s.open.Done():
			for {
				select {
				case w := <-s.writes:
					s.writeBatch(w)
				default:
					return
				}
			}
		}
	}
}

// writeBatch runs the first write and those that wait behind it.
func (s *OrderStore) writeBatch(first *write) {
	batch := append(make([]*write, 0, 1+len(s.writes)), first)
	for len(batch) < maxBatch {
		select {
		case w := <-s.writes:
			batch = append(batch, w)
			continue
		default:
		}
		break
	}
	// Those whose callers have left need not be written.
	live := slices.DeleteFunc(slices.Clone(batch), func(w *write) bool {
		w.err = w.ctx.Err()
		return w.err != nil
	})
	// In one order, so that batches with the same keys do not lock each other out.
	slices.SortStableFunc(live, func(a, b *write) int { return strings.Compare(a.key, b.key) })
	err := s.commit(live)
	if _, refused := errors.AsType[*pgconn.PgError](err); refused && len(live) > 1 {
		// One of them spoilt it for all. Alone, each gets what it deserves.
		for _, w := range live {
			_ = s.commit([]*write{w}) // the write has the error
		}
	}
	for _, w := range batch {
		close(w.done)
	}
}

// commit runs the batch in one transaction. Its error is also that of each of
// the batch.
func (s *OrderStore) commit(batch []*write) error {
	if len(batch) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.open), patience)
	defer cancel()
	b := &pgx.Batch{}
	// Should somebody keep a row locked, the others of the batch do not wait.
	b.Queue("SELECT set_config('lock_timeout', '500ms', true)")
	for _, w := range batch {
		b.Queue(w.query, w.args...)
	}
	results := s.pool.SendBatch(ctx, b)
	_, err := results.Exec()
	for _, w := range batch {
		w.row = row{}
		w.err = results.QueryRow().Scan(&w.id, &w.lines)
	}
	// Only now is it committed.
	if err = errors.Join(err, results.Close()); err != nil {
		for _, w := range batch {
			w.err = err
		}
	}
	return err
}
