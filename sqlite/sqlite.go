// Package sqlite stores orders and products in SQLite files, one for each: the
// embedded default, with nothing to set up.
//
// What is answered is durable: the files are in WAL mode with synchronous=FULL.
// One goroutine a file writes; it puts all the writes that wait into one
// transaction, so that they share one fsync. Readers run beside it and see what
// is committed. A file belongs to one process at a time.
//
// Its limits: one machine, a file system that keeps its promise of fsync, and a
// disk that can be read. Files are mapped into memory, so that a disk that fails
// to read ends the process; what was answered stays in the file.
package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/gofrs/flock"
	"github.com/pressly/goose/v3"
	driver "modernc.org/sqlite"

	"hangar"
)

// ErrInUse says that another process has the file open.
var ErrInUse = errors.New("in use by another process")

//go:embed migrations
var migrations embed.FS

// kind is one of the two files that this package knows.
type kind struct {
	name          string
	applicationID uint32 // marks the file's header, as set by the first migration
}

var (
	ordersFile   = kind{"orders", 0x686e676f}
	productsFile = kind{"products", 0x686e6770}
)

// database is an open file: a writer and readers.
type database struct {
	lock    *flock.Flock
	readers *readers
	writer  *writer
}

// openDatabase opens the file at path, and makes it if it is not there. It
// brings an older one up to date; one that is not ours, that is newer, or that
// another process has open is an error, and stays as it is.
func openDatabase(ctx context.Context, path string, k kind) (_ *database, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Before anything is made beside a file that is not ours.
	if _, err := checkHeader(path, k); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	lock := flock.New(path + ".lock")
	locked, err := lock.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	if !locked {
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	db := &database{lock: lock}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", path, errors.Join(err, db.close()))
		}
	}()
	if err := prepareFile(ctx, path, k); err != nil {
		return nil, err
	}
	return db, db.connect(ctx, path)
}

// openBeside opens a file that another process may have open. SQLite itself
// keeps their transactions apart.
func openBeside(ctx context.Context, path string, k kind) (_ *database, err error) {
	isNew, err := checkHeader(path, k)
	if err == nil && isNew {
		err = fs.ErrNotExist
	}
	db := new(database)
	if err == nil {
		err = db.connect(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, db.close()))
	}
	return db, nil
}

func (db *database) connect(ctx context.Context, path string) error {
	pool, err := openPool(path)
	if err != nil {
		return err
	}
	if db.writer, err = startWriter(ctx, pool); err != nil {
		return err
	}
	// Reads are short and never wait for the writer: a few connections do.
	db.readers, err = openReaders(path, max(4, 2*runtime.NumCPU()))
	return err
}

// prepareFile leaves an up-to-date file at path.
func prepareFile(ctx context.Context, path string, k kind) error {
	isNew, err := checkHeader(path, k)
	if err != nil {
		return err
	}
	if !isNew {
		return migrate(ctx, path, k)
	}
	// A new file appears whole or not at all.
	unfinished := path + ".new"
	if err := removeAll(unfinished, unfinished+"-wal", unfinished+"-shm", unfinished+"-journal"); err != nil {
		return err
	}
	if err := migrate(ctx, unfinished, k); err != nil {
		return err
	}
	return os.Rename(unfinished, path)
}

func removeAll(paths ...string) error {
	for _, path := range paths {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// checkHeader reports whether there is no file, or an empty one, at path. It is
// an error if there is something else than a file of this kind. The header is
// that of https://www.sqlite.org/fileformat2.html#the_database_header.
func checkHeader(path string, k kind) (isNew bool, err error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	header := make([]byte, 100)
	n, err := io.ReadFull(f, header)
	switch {
	case n == 0 && errors.Is(err, io.EOF):
		return true, nil
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return false, err
	case string(header[:16]) != "SQLite format 3\x00":
		return false, errors.New("not a SQLite database; hangar leaves it as it is: name another data folder")
	case binary.BigEndian.Uint32(header[68:]) != k.applicationID:
		return false, fmt.Errorf("not a hangar database of %s; hangar leaves it as it is: name another data folder", k.name)
	}
	return false, nil
}

// migrate brings the file up to date.
func migrate(ctx context.Context, path string, k kind) (err error) {
	pool, err := openPool(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	scripts, err := fs.Sub(migrations, "migrations/"+k.name)
	if err != nil {
		return err
	}
	provider, err := goose.NewProvider(goose.DialectSQLite3, pool, scripts, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return err
	}
	sources := provider.ListSources()
	newest := sources[len(sources)-1].Version
	version, err := provider.GetDBVersion(ctx)
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	switch {
	case version > newest:
		return fmt.Errorf("comes from a newer hangar: its schema has version %d, this one knows up to %d; "+
			"use the newer hangar or name another data folder", version, newest)
	case version == newest:
		return nil
	}
	if _, err := provider.Up(ctx); err != nil {
		return fmt.Errorf("migrate from version %d to %d: %w", version, newest, err)
	}
	return nil
}

// pragmas are what every connection has.
var pragmas = []string{
	"journal_mode(WAL)",
	"synchronous(FULL)",
	"busy_timeout(5000)",
	"foreign_keys(true)",
	"cache_size(-8192)", // KiB
	"temp_store(MEMORY)",
	"mmap_size(268435456)", // bytes; a page that is not in the cache costs no system call
}

// openPool opens one connection behind database/sql.
func openPool(path string) (*sql.DB, error) {
	query := url.Values{"_pragma": pragmas}
	name := (&url.URL{Scheme: "file", Path: path, RawQuery: query.Encode()}).String()
	pool, err := sql.Open("sqlite", name)
	if err != nil {
		return nil, err
	}
	pool.SetMaxOpenConns(1)
	return pool, nil
}

// close finishes the writes that were accepted and lets go of the file.
func (db *database) close() error {
	var errs []error
	if db.writer != nil {
		errs = append(errs, db.writer.close())
	}
	if db.readers != nil {
		errs = append(errs, db.readers.close())
	}
	if db.lock != nil {
		errs = append(errs, db.lock.Close())
	}
	return errors.Join(errs...)
}

// translate gives the driver's errors that a user can do something about a code.
func translate(err error) error {
	failure, ok := errors.AsType[*driver.Error](err)
	if !ok {
		return err
	}
	const full, busy, mask = 13, 5, 0xff // SQLITE_FULL, SQLITE_BUSY; extended codes lie above
	switch failure.Code() & mask {
	case full:
		return &hangar.Error{Code: hangar.Unavailable, Message: "There is no room left to store this.", Err: err}
	case busy:
		return &hangar.Error{Code: hangar.Unavailable, Message: "The store is busy. Try again.", Err: err}
	}
	return err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
