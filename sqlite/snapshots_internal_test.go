package sqlite

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"hangar"
)

// Reads share snapshots, and yet each sees all that was answered before it began.
func TestReadsSeeWhatWasAnswered(t *testing.T) {
	s := openTest(t)
	var readers sync.WaitGroup
	defer readers.Wait()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	for range 4 { // keep all connections in use, and their snapshots fresh
		readers.Go(func() {
			for ctx.Err() == nil {
				if _, err := s.Products.List(ctx, hangar.ProductQuery{Limit: 1}); err != nil && ctx.Err() == nil {
					t.Errorf("List: %v, want no error", err)
				}
			}
		})
	}
	for n := range int64(100) {
		if err := s.Products.Put(ctx, hangar.Product{ID: "a", Title: "t", InStock: n}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			if p, err := s.Products.Product(ctx, "a"); err != nil || p.InStock != n {
				t.Fatalf("in stock after %d was put: %d, %v", n, p.InStock, err)
			}
		}
	}
}

// Whatever was read, the write-ahead log begins anew now and then.
func TestWriteAheadLogDoesNotGrow(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hangar.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx := t.Context()
	// Each connection reads once, and then is idle: its snapshot stays.
	var reading, readers sync.WaitGroup
	reading.Add(s.readers.opened)
	for range s.readers.opened {
		readers.Go(func() {
			err := s.readers.query(ctx, "SELECT count(*) FROM products", nil, func(*row) error {
				reading.Done()
				reading.Wait()
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	readers.Wait()
	logged := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	// Of as many rows in each transaction: what a transaction adds to the log are pages.
	const rows = 50
	round := func(stock int64) {
		for first := 0; first < 2*checkpointAfter; first += rows {
			err := s.writer.do(ctx, func(t *tx) error {
				for n := range rows {
					err := t.exec("INSERT INTO products ("+productColumns+`) VALUES (?, 't', 0, 0, ?)
						ON CONFLICT (id) DO UPDATE SET in_stock = excluded.in_stock`, fmt.Sprintf("p%d", first+n), stock)
					if err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	round(0)
	once := logged()
	for n := range int64(9) {
		round(n + 1)
	}
	if now := logged(); now > 2*once {
		t.Errorf("the write-ahead log has %d bytes after one round of writes and %d after ten: it grows", once, now)
	}
}

// An error in a read must not leave its connection in a snapshot that has ended.
func TestReadAfterAFailedOne(t *testing.T) {
	s := openTest(t)
	for range 2 * s.readers.opened {
		err := s.readers.query(t.Context(), "SELECT abs(-9223372036854775808)", nil, func(*row) error { return nil })
		if err == nil {
			t.Fatal("a query that cannot be computed: no error")
		}
		if _, err := s.Products.List(t.Context(), hangar.ProductQuery{Limit: 1}); err != nil {
			t.Errorf("List after a read that failed: %v, want no error", err)
		}
	}
}
