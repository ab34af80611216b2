package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// earlierScripts bring the files of earlier versions to their last schema.
//
//go:embed earlier
var earlierScripts embed.FS

// earlierFile is a file that earlier versions kept. Its tables are those of the
// store, with the same columns.
type earlierFile struct {
	name          string
	scripts       string
	applicationID uint32
	tables        []string
}

var earlierFiles = []earlierFile{
	{"orders.db", "earlier/orders", 0x686e676f, []string{"orders", "order_details", "outbox", "idempotency_keys", "parked_events"}},
	{"products.db", "earlier/products", 0x686e6770, []string{"products", "holds"}},
}

// takeOver copies what earlier versions kept in the folder into the new file at
// path. Done is to be called when that is in place: it puts their files aside, so
// that nobody takes them for the store.
func takeOver(ctx context.Context, path, folder string) (done func() error, err error) {
	var taken []string
	for _, earlier := range earlierFiles {
		from := filepath.Join(folder, earlier.name)
		found, err := earlier.copy(ctx, from, path)
		if err != nil {
			return nil, fmt.Errorf("take over %s: %w", from, err)
		}
		if found {
			taken = append(taken, from)
		}
	}
	return func() error {
		var errs []error
		for _, from := range taken {
			errs = append(errs, os.Rename(from, from+".taken-over"), removeAll(from+"-wal", from+"-shm", from+".lock"))
		}
		return errors.Join(errs...)
	}, nil
}

// copy copies the file at from, and reports whether there is one.
func (e earlierFile) copy(ctx context.Context, from, to string) (found bool, err error) {
	isNew, err := checkHeader(from, e.applicationID)
	if isNew || err != nil {
		return false, err
	}
	l, err := lock(from) // an earlier version may run on it
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := migrate(ctx, from, earlierScripts, e.scripts); err != nil {
		return false, err
	}
	pool, err := openPool(to)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	if _, err := pool.ExecContext(ctx, "ATTACH DATABASE ? AS earlier", from); err != nil {
		return false, err
	}
	return true, e.copyTables(ctx, pool)
}

func (e earlierFile) copyTables(ctx context.Context, pool *sql.DB) (err error) {
	tx, err := pool.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, tx.Rollback())
		}
	}()
	for _, table := range e.tables {
		var columns string // that there were; others have been added since
		err := tx.QueryRowContext(ctx, "SELECT group_concat(name) FROM pragma_table_info(?, 'earlier')", table).Scan(&columns)
		if err != nil {
			return fmt.Errorf("columns of %s: %w", table, err)
		}
		statements := []string{
			"INSERT INTO main." + table + " (" + columns + ") SELECT " + columns + " FROM earlier." + table,
			// No id is given twice, not even after a deletion.
			"DELETE FROM main.sqlite_sequence WHERE name = '" + table + "'",
			"INSERT INTO main.sqlite_sequence SELECT * FROM earlier.sqlite_sequence WHERE name = '" + table + "'",
		}
		for _, statement := range statements {
			if _, err := tx.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
	}
	return tx.Commit()
}
