package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"hangar"
	"hangar/crash"
)

// maxBatch bounds the writes of one transaction, and so how long the first of
// them waits for the others.
const maxBatch = 256

// writer is the one connection that writes. Its goroutine puts the writes that
// wait into one transaction, so that one fsync makes all of them durable.
type writer struct {
	pool    *sql.DB
	conn    *sql.Conn
	stmts   map[string]*sql.Stmt
	waiting chan *write
	closing chan struct{}
	closed  chan struct{}
}

// write is a function that waits to be part of a transaction.
type write struct {
	ctx  context.Context
	fn   func(*tx) error
	err  error
	done chan struct{}
}

var errClosed = &hangar.Error{Code: hangar.Unavailable, Message: "The store is closed."}

func startWriter(ctx context.Context, pool *sql.DB) (*writer, error) {
	conn, err := pool.Conn(ctx)
	if err != nil {
		return nil, errors.Join(err, pool.Close())
	}
	w := &writer{
		pool:    pool,
		conn:    conn,
		stmts:   make(map[string]*sql.Stmt),
		waiting: make(chan *write, maxBatch),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}
	go w.run()
	return w, nil
}

// do runs fn in a transaction and returns when that is durable. An error with a
// Code is an answer: what fn wrote before it stays. After any other error
// nothing of fn stays. As fn may run more than once, it must set its results
// anew each time.
func (w *writer) do(ctx context.Context, fn func(*tx) error) error {
	req := &write{ctx: ctx, fn: fn, done: make(chan struct{})}
	select {
	case <-w.closing:
		return errClosed
	default:
	}
	select {
	case w.waiting <- req:
	case <-w.closing:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-req.done:
		return translate(req.err)
	case <-w.closed: // it came in too late to be seen
		select {
		case <-req.done:
			return translate(req.err)
		default:
			return errClosed
		}
	}
}

// close runs the writes that wait and closes the connection. It may be called
// once.
func (w *writer) close() error {
	close(w.closing)
	<-w.closed
	var errs []error
	for _, stmt := range w.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, w.conn.Close(), w.pool.Close())...)
}

func (w *writer) run() {
	defer close(w.closed)
	for {
		select {
		case first := <-w.waiting:
			w.runBatch(first)
		case <-w.closing:
			for {
				select {
				case first := <-w.waiting:
					w.runBatch(first)
				default:
					return
				}
			}
		}
	}
}

func (w *writer) runBatch(first *write) {
	// Those that the last transaction answered may be about to write again: let
	// them come in, and share this fsync.
	runtime.Gosched()
	batch := append(make([]*write, 0, 1+len(w.waiting)), first)
	for range min(len(w.waiting), maxBatch-1) {
		batch = append(batch, <-w.waiting)
	}
	if err := w.commit(batch); err != nil && len(batch) > 1 {
		// One of them spoilt it for all. Alone, each gets what it deserves.
		for _, req := range batch {
			if err := w.commit([]*write{req}); err != nil {
				req.err = err
			}
		}
	} else if err != nil {
		first.err = err
	}
	if crash.Off("commit") {
		return // they have been answered
	}
	for _, req := range batch {
		close(req.done)
	}
}

// answerEarly answers before anything is durable, and goes on so for a while: a
// test must notice.
func (w *writer) answerEarly(t *tx, batch []*write) {
	for _, req := range batch {
		close(req.done)
	}
	for end := time.After(100 * time.Millisecond); ; {
		select {
		case req := <-w.waiting:
			req.err = req.run(t)
			close(req.done)
		case <-w.closing:
			return
		case <-end:
			return
		}
	}
}

// commit runs the writes in one transaction. If it returns an error, nothing
// was written.
func (w *writer) commit(batch []*write) error {
	t := &tx{w: w}
	if err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	for _, req := range batch {
		req.err = req.run(t)
		if _, answer := errors.AsType[*hangar.Error](req.err); req.err != nil && !answer {
			return w.rollback(req.err)
		}
	}
	if crash.Off("commit") {
		w.answerEarly(t, batch)
	}
	crash.At("sqlite.commit")
	if err := t.exec("COMMIT"); err != nil {
		return w.rollback(fmt.Errorf("commit: %w", err))
	}
	return nil
}

func (w *writer) rollback(cause error) error {
	t := &tx{w: w}
	if err := t.exec("ROLLBACK"); err != nil {
		// SQLite rolls back by itself after some errors; then there is nothing
		// to roll back, and the next BEGIN shows whether all is well.
		return errors.Join(cause, fmt.Errorf("roll back: %w", err))
	}
	return cause
}

func (req *write) run(t *tx) (err error) {
	if err := req.ctx.Err(); err != nil {
		// Nobody waits for it any more. With a code, so that the others go on.
		return &hangar.Error{Code: hangar.Unavailable, Message: "The request ended before it was stored.", Err: err}
	}
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a write: %v\n%s", p, debug.Stack())
		}
	}()
	return req.fn(t)
}

// tx is the transaction that a write is part of.
type tx struct{ w *writer }

func (t *tx) stmt(query string) (*sql.Stmt, error) {
	if stmt, ok := t.w.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := t.w.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	t.w.stmts[query] = stmt
	return stmt, nil
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.result(query, args...)
	return err
}

// execCount returns how many rows changed.
func (t *tx) execCount(query string, args ...any) (int64, error) {
	result, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// insert returns the new row's id.
func (t *tx) insert(query string, args ...any) (int64, error) {
	result, err := t.result(query, args...)
	if err != nil {
		return 0, err
	}
	return result.LastInsertId()
}

func (t *tx) result(query string, args ...any) (sql.Result, error) {
	stmt, err := t.stmt(query)
	if err != nil {
		return nil, err
	}
	return stmt.ExecContext(context.Background(), args...)
}

func (t *tx) queryRow(query string, args []any, dest ...any) error {
	stmt, err := t.stmt(query)
	if err != nil {
		return err
	}
	return stmt.QueryRowContext(context.Background(), args...).Scan(dest...)
}

// sweepBatch bounds the rows that one write deletes, so that others need not
// wait for all of them.
const sweepBatch = 1000

// sweep runs a query that deletes rows from before a time, up to a limit, until
// none are left.
func (w *writer) sweep(ctx context.Context, query string, before time.Time) error {
	for {
		var n int64
		err := w.do(ctx, func(t *tx) (err error) {
			n, err = t.execCount(query, micros(before), sweepBatch)
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
