package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"
	lowlevel "zombiezen.com/go/sqlite"

	"hangar"
	"hangar/crash"
	"hangar/tracing"
)

// checkpointAfter is how many rows change before the write-ahead log is copied
// into the file: some 4 MiB of it where a row is a page.
const checkpointAfter = 1000

// maxBatch bounds the writes of one transaction, and so how long the first of
// them waits for the others.
const maxBatch = 256

// writer is the one connection that writes. Its goroutine puts the writes that
// wait into one transaction, so that one fsync makes all of them durable.
type writer struct {
	conn    *lowlevel.Conn
	commits atomic.Int64 // so many transactions have been committed
	began   atomic.Int64 // when the one under way began, in Unix nanoseconds; 0 is none
	changed int          // rows since the last checkpoint
	relax   func()       // ends the snapshots of readers that are idle
	waiting chan *write
	closing chan struct{}
	closed  chan struct{}
}

// write is a function that waits to be part of a transaction.
type write struct {
	ctx  context.Context
	span trace.Span
	fn   func(*tx) error
	err  error
	done chan struct{}
}

var errClosed = &hangar.Error{Code: hangar.Unavailable, Message: "The store is closed."}

// openWriter opens the connection. Then run is to be started.
func openWriter(path string) (*writer, error) {
	// SQLite itself would write checkpoints within commits, which wait for it.
	conn, err := openConn(path, append([]string{"wal_autocheckpoint(0)"}, pragmas...)...)
	if err != nil {
		return nil, err
	}
	return &writer{
		conn:    conn,
		waiting: make(chan *write, maxBatch),
		closing: make(chan struct{}),
		closed:  make(chan struct{}),
	}, nil
}

// do runs fn in a transaction and returns when that is durable. An error with a
// Code is an answer: what fn wrote before it stays. After any other error
// nothing of fn stays. As fn may run more than once, it must set its results
// anew each time.
func (w *writer) do(ctx context.Context, fn func(*tx) error) (err error) {
	req := &write{ctx: ctx, span: beginWriteSpan(ctx), fn: fn, done: make(chan struct{})}
	defer func() { tracing.End(req.span, kindOf(err)) }()
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
	return w.conn.Close()
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
	w.began.Store(time.Now().UnixNano())
	defer w.began.Store(0)
	// Those that the last transaction answered may be about to write again: let
	// them come in, and share this fsync.
	runtime.Gosched()
	batch, err := w.commit([]*write{first}, true)
	if err != nil && len(batch) > 1 {
		// One of them spoilt it for all. Alone, each gets what it deserves.
		for _, req := range batch {
			if _, err := w.commit([]*write{req}, false); err != nil {
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
	if w.changed >= checkpointAfter {
		w.checkpoint()
	}
}

// join adds a write that has come in meanwhile to a batch, if there is one, and room:
// the more share an fsync, the sooner all are answered.
func (w *writer) join(batch []*write) []*write {
	if len(batch) == maxBatch {
		return batch
	}
	select {
	case req := <-w.waiting:
		return append(batch, req)
	default:
		return batch
	}
}

// checkpoint copies the write-ahead log into the file. The next write begins it
// anew, if no reader has a snapshot of it by then. If it fails it is tried again
// after the next commit; until then the log grows.
func (w *writer) checkpoint() {
	w.relax() // a snapshot keeps back what came after it
	if err := run(w.conn, "PRAGMA wal_checkpoint(PASSIVE)", nil, nil); err != nil {
		return
	}
	w.relax()
	w.changed = 0
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

// commit runs the writes in one transaction, with those that come in meanwhile if they
// may join, and returns all of them. If it returns an error, nothing was written.
func (w *writer) commit(batch []*write, others bool) ([]*write, error) {
	t := &tx{w: w}
	if err := run(w.conn, "BEGIN IMMEDIATE", nil, nil); err != nil {
		return batch, fmt.Errorf("begin: %w", err)
	}
	for i := 0; i < len(batch); i++ {
		req := batch[i]
		req.err = req.run(t)
		if _, answer := errors.AsType[*hangar.Error](req.err); req.err != nil && !answer {
			return batch, w.rollback(req.err)
		}
		if others {
			batch = w.join(batch)
		}
	}
	if crash.Off("commit") {
		w.answerEarly(t, batch)
	}
	crash.At("sqlite.commit")
	if err := run(w.conn, "COMMIT", nil, nil); err != nil {
		return batch, w.rollback(fmt.Errorf("commit: %w", err))
	}
	w.commits.Add(1) // readers are to see it before it is answered
	return batch, nil
}

func (w *writer) rollback(cause error) error {
	if err := run(w.conn, "ROLLBACK", nil, nil); err != nil {
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
	t.span = req.span
	return req.fn(t)
}

// tx is the transaction that a write is part of.
type tx struct {
	w    *writer
	span trace.Span // of the write that runs
}

func (t *tx) exec(query string, args ...any) error {
	_, err := t.execCount(query, args...)
	return err
}

// execCount returns how many rows changed.
func (t *tx) execCount(query string, args ...any) (int, error) {
	t.noteStatement(query)
	if err := run(t.w.conn, query, args, nil); err != nil {
		return 0, err
	}
	n := t.w.conn.Changes()
	t.w.changed += n
	return n, nil
}

// insert returns the new row's id.
func (t *tx) insert(query string, args ...any) (int64, error) {
	if err := t.exec(query, args...); err != nil {
		return 0, err
	}
	return t.w.conn.LastInsertRowID(), nil
}

func (t *tx) query(query string, args []any, each func(*row) error) error {
	t.noteStatement(query)
	return run(t.w.conn, query, args, each)
}

// sweepBatch bounds the rows that one write deletes, so that others need not
// wait for all of them.
const sweepBatch = 1000

// sweep runs a query that deletes rows from before a time, up to a limit, until
// none are left.
func (w *writer) sweep(ctx context.Context, query string, before time.Time) error {
	for {
		n := 0
		err := w.do(ctx, func(t *tx) (err error) {
			n, err = t.execCount(query, micros(before), sweepBatch)
			return err
		})
		if err != nil || n < sweepBatch {
			return err
		}
	}
}
