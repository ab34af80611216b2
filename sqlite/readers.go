package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	lowlevel "zombiezen.com/go/sqlite"

	"hangar/tracing"
)

// maxSnapshotAge bounds for how long reads share a snapshot, and so how late they
// see what another process has written: see OpenBeside.
const maxSnapshotAge = 10 * time.Millisecond

// readers are connections that read side by side.
//
// Reads of one connection share a snapshot as long as nothing was committed since
// it was taken: to take one costs more than to read a row, in system calls and in
// pages that are read anew. So the connection that was used last is taken first.
type readers struct {
	commits *atomic.Int64 // so many transactions have been committed
	turns   chan struct{} // one for each idle connection
	closed  chan struct{}

	mu     sync.Mutex
	idle   []*reader // the last is the one that was used last
	opened int
	recall int64 // snapshots from before are to be given up
}

type reader struct {
	conn     *lowlevel.Conn
	commits  int64 // that the snapshot has, at least
	recall   int64
	taken    time.Time
	snapshot bool // there is one
}

func openReaders(path string, n int, commits *atomic.Int64) (*readers, error) {
	r := &readers{commits: commits, turns: make(chan struct{}, n), closed: make(chan struct{})}
	for range n {
		conn, err := openConn(path, append([]string{"query_only(true)"}, pragmas...)...)
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
		r.opened++
		r.put(&reader{conn: conn})
	}
	return r, nil
}

// query runs a query and calls each for every row. The row's columns are valid
// until each returns. It sees all that was committed before.
func (r *readers) query(ctx context.Context, query string, args []any, each func(*row) error) (err error) {
	_, span := tracing.Query(ctx, semconv.DBSystemNameSQLite, query)
	defer func() { tracing.End(span, kindOf(err)) }()
	select {
	case <-r.closed:
		return errClosed
	default:
	}
	select {
	case <-r.turns:
	case <-r.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	conn := r.take()
	defer r.put(conn)
	if err := conn.renew(r.commits.Load()); err != nil {
		return err
	}
	err = run(conn.conn, query, args, each)
	if err != nil {
		conn.giveUp() // the error may have ended it
	}
	return err
}

func (r *readers) take() *reader {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.idle) - 1
	conn := r.idle[last]
	r.idle = r.idle[:last]
	return conn
}

func (r *readers) put(conn *reader) {
	r.mu.Lock()
	if conn.recall != r.recall {
		conn.recall = r.recall
		conn.giveUp()
	}
	r.idle = append(r.idle, conn)
	r.mu.Unlock()
	r.turns <- struct{}{}
}

// giveUpSnapshots ends the snapshots that nobody reads from now; the others end
// with their reads. Snapshots keep the write-ahead log from beginning anew.
func (r *readers) giveUpSnapshots() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.recall++
	for _, conn := range r.idle {
		conn.recall = r.recall
		conn.giveUp()
	}
}

// renew takes a snapshot that has so many commits, unless there is one.
func (c *reader) renew(commits int64) error {
	now := time.Now()
	if c.snapshot && c.commits == commits && now.Sub(c.taken) < maxSnapshotAge {
		return nil
	}
	c.giveUp()
	if err := run(c.conn, "BEGIN", nil, nil); err != nil {
		return err
	}
	c.snapshot, c.commits, c.taken = true, commits, now
	return nil
}

// giveUp ends the snapshot, if there is one.
func (c *reader) giveUp() {
	c.snapshot = false
	if !c.conn.AutocommitEnabled() {
		_ = run(c.conn, "ROLLBACK", nil, nil) // fails only where there is nothing to end
	}
}

// close waits until nobody reads any more. It may be called once.
func (r *readers) close() error {
	close(r.closed)
	var errs []error
	for range r.opened {
		<-r.turns
		errs = append(errs, r.take().conn.Close())
	}
	return errors.Join(errs...)
}
