package sqlite

import (
	"errors"
	"fmt"

	lowlevel "zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// row is where a query stands.
type row = lowlevel.Stmt

// openConn opens a connection with these pragmas. It goes around database/sql: a
// statement by index takes less time than that.
func openConn(path string, pragmas ...string) (*lowlevel.Conn, error) {
	conn, err := lowlevel.OpenConn(path, lowlevel.OpenReadWrite)
	if err != nil {
		return nil, errors.Join(err, closeConn(conn))
	}
	for _, pragma := range pragmas {
		if err := sqlitex.ExecuteTransient(conn, "PRAGMA "+pragma, nil); err != nil {
			return nil, errors.Join(fmt.Errorf("PRAGMA %s: %w", pragma, err), conn.Close())
		}
	}
	return conn, nil
}

func closeConn(conn *lowlevel.Conn) error {
	if conn == nil {
		return nil
	}
	return conn.Close()
}

// run runs a statement, which is kept prepared, and calls each for every row it
// returns; nil passes over them. A row's columns are valid until each returns.
func run(conn *lowlevel.Conn, query string, args []any, each func(*row) error) (err error) {
	stmt, err := conn.Prepare(query)
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
		case int:
			stmt.BindInt64(i+1, int64(arg))
		case []byte:
			stmt.BindBytes(i+1, arg)
		case nil:
			stmt.BindNull(i + 1)
		default:
			return fmt.Errorf("argument %d of a query is a %T", i+1, arg)
		}
	}
	for {
		found, err := stmt.Step()
		if err != nil || !found {
			return err
		}
		if each == nil {
			continue
		}
		if err := each(stmt); err != nil {
			return err
		}
	}
}
