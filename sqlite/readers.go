package sqlite

import (
	"context"
	"errors"
	"fmt"

	lowlevel "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// readers are connections that read side by side. They go around database/sql:
// a read by index takes less time than it.
type readers struct {
	idle   chan *lowlevel.Conn
	opened int
	closed chan struct{}
}

// row is where a query stands.
type row = lowlevel.Stmt

func openReaders(path string, n int) (*readers, error) {
	r := &readers{idle: make(chan *lowlevel.Conn, n), closed: make(chan struct{})}
	for range n {
		conn, err := lowlevel.OpenConn(path, lowlevel.OpenReadWrite)
		if err == nil {
			r.idle <- conn
			r.opened++
			err = setPragmas(conn)
		}
		if err != nil {
			return nil, errors.Join(err, r.close())
		}
	}
	return r, nil
}

func setPragmas(conn *lowlevel.Conn) error {
	for _, pragma := range append([]string{"query_only(true)"}, pragmas...) {
		if err := sqlitex.ExecuteTransient(conn, "PRAGMA "+pragma, nil); err != nil {
			return fmt.Errorf("PRAGMA %s: %w", pragma, err)
		}
	}
	return nil
}

// query runs a query, whose arguments are strings and int64s, and calls each
// for every row. The row's columns are valid until each returns.
func (r *readers) query(ctx context.Context, query string, args []any, each func(*row) error) (err error) {
	var conn *lowlevel.Conn
	select {
	case <-r.closed:
		return errClosed
	default:
	}
	select {
	case conn = <-r.idle:
	case <-r.closed:
		return errClosed
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.idle <- conn }()
	stmt, err := conn.Prepare(query) // which keeps it
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stmt.Reset()) }()
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			stmt.BindText(i+1, arg)
		case int64:
			stmt.BindInt64(i+1, arg)
		default:
			return fmt.Errorf("argument %d of a query is a %T", i+1, arg)
		}
	}
	for {
		found, err := stmt.Step()
		if err != nil || !found {
			return err
		}
		if err := each(stmt); err != nil {
			return err
		}
	}
}

// close waits until nobody reads any more. It may be called once.
func (r *readers) close() error {
	close(r.closed)
	var errs []error
	for range r.opened {
		errs = append(errs, (<-r.idle).Close())
	}
	return errors.Join(errs...)
}
