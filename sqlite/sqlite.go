// Package sqlite stores orders and products in one SQLite file: the embedded
// default, with nothing to set up.
//
// What is answered is durable: the file is in WAL mode with synchronous=FULL.
// One goroutine writes; it puts all the writes that wait into one transaction,
// so that they share one fsync. Readers run beside it and see what is committed.
// A file belongs to one process at a time.
//
// Its limits: one machine, and a file system that keeps its promise of fsync.
//
// The file is not mapped into memory: after each commit every reader would map it
// anew, which costs the more the larger it is.
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
	_ "modernc.org/sqlite" // the driver that migrations use
	lowlevel "zombiezen.com/go/sqlite"

	"hangar"
)

// ErrInUse says that another process has the file open.
var ErrInUse = errors.New("in use by another process")

//go:embed migrations
var scripts embed.FS

// applicationID marks a file of this package in its header.
const applicationID = 0x686e6772 // "hngr"

// Store is an open file.
type Store struct {
	Orders   *OrderStore
	Products *ProductStore

	lock    *flock.Flock
	readers *readers
	writer  *writer
}

// Open opens the file at path, makes it if it is not there, and brings an older
// one up to date. One that is not ours, that is newer, or that another process
// has open is an error (ErrInUse), and stays as it is. Of a new file it takes over
// what earlier versions kept beside it, in orders.db and products.db.
func Open(ctx context.Context, path string) (_ *Store, err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	// Before anything is made beside a file that is not ours.
	if _, err := checkHeader(path, applicationID); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	s := new(Store)
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s: %w", path, errors.Join(err, s.Close()))
		}
	}()
	if s.lock, err = lock(path); err != nil {
		return nil, err
	}
	if err := prepareFile(ctx, path); err != nil {
		return nil, err
	}
	return s, s.connect(ctx, path)
}

// OpenBeside opens a file that a store in another process may be running on: to
// read, and for Orders.Unpark. The other methods that write are not for it.
// Error: fs.ErrNotExist.
func OpenBeside(ctx context.Context, path string) (_ *Store, err error) {
	isNew, err := checkHeader(path, applicationID)
	if err == nil && isNew {
		err = fs.ErrNotExist
	}
	s := new(Store)
	if err == nil {
		err = s.connect(ctx, path) // SQLite itself keeps the transactions of both apart
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, errors.Join(err, s.Close()))
	}
	return s, nil
}

// lock takes a file for this process.
func lock(path string) (*flock.Flock, error) {
	l := flock.New(path + ".lock")
	locked, err := l.TryLock()
	if err != nil {
		return nil, fmt.Errorf("lock: %w", err)
	}
	if !locked {
		return nil, ErrInUse
	}
	return l, nil
}

func (s *Store) connect(ctx context.Context, path string) error {
	writer, err := openWriter(path)
	if err != nil {
		return err
	}
	// Reads are short and never wait for the writer: a few connections do.
	s.readers, err = openReaders(path, max(4, 2*runtime.NumCPU()), &writer.commits)
	if err != nil {
		return errors.Join(err, writer.conn.Close())
	}
	writer.relax = s.readers.giveUpSnapshots
	go writer.run() // until close
	s.writer = writer
	s.Products = &ProductStore{s}
	s.Orders, err = newOrderStore(ctx, s)
	return err
}

// prepareFile leaves an up-to-date file at path.
func prepareFile(ctx context.Context, path string) error {
	isNew, err := checkHeader(path, applicationID)
	if err != nil {
		return err
	}
	if !isNew {
		return migrate(ctx, path, scripts, "migrations")
	}
	// A new file appears whole or not at all.
	unfinished := path + ".new"
	if err := removeAll(unfinished, unfinished+"-wal", unfinished+"-shm", unfinished+"-journal"); err != nil {
		return err
	}
	if err := migrate(ctx, unfinished, scripts, "migrations"); err != nil {
		return err
	}
	taken, err := takeOver(ctx, unfinished, filepath.Dir(path))
	if err != nil {
		return err
	}
	if err := os.Rename(unfinished, path); err != nil {
		return err
	}
	return taken()
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
// an error if there is something else than a file with this application id. The
// header is that of https://www.sqlite.org/fileformat2.html#the_database_header.
func checkHeader(path string, id uint32) (isNew bool, err error) {
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
	case binary.BigEndian.Uint32(header[68:]) != id:
		return false, errors.New("not a hangar database; hangar leaves it as it is: name another data folder")
	}
	return false, nil
}

// migrate brings the file up to date, with the scripts in a folder.
func migrate(ctx context.Context, path string, scripts fs.FS, folder string) (err error) {
	scripts, err = fs.Sub(scripts, folder)
	if err != nil {
		return err
	}
	pool, err := openPool(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
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
	"cache_size(-4096)", // KiB
	"temp_store(MEMORY)",
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

// Close finishes the writes that were accepted and lets go of the file.
func (s *Store) Close() error {
	var errs []error
	if s.writer != nil {
		errs = append(errs, s.writer.close())
	}
	if s.readers != nil {
		errs = append(errs, s.readers.close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.Close())
	}
	return errors.Join(errs...)
}

// translate gives the driver's errors that a user can do something about a code.
func translate(err error) error {
	switch lowlevel.ErrCode(err).ToPrimary() {
	case lowlevel.ResultFull:
		return &hangar.Error{Code: hangar.Unavailable, Message: "There is no room left to store this.", Err: err}
	case lowlevel.ResultBusy:
		return &hangar.Error{Code: hangar.Unavailable, Message: "The store is busy. Try again.", Err: err}
	}
	return err
}

func micros(t time.Time) int64 { return t.UnixMicro() }

func fromMicros(n int64) time.Time { return time.UnixMicro(n).UTC() }
