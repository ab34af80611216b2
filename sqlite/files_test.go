package sqlite_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/orders"
	"hangar/sqlite"
)

// wantRefused fails unless the file is refused and stays as it was.
func wantRefused(t *testing.T, path, complaint string) {
	t.Helper()
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(t.Context(), path)
	if err == nil {
		t.Fatalf("opening %s: no error, want one; closing it: %v", path, store.Close())
	}
	if !strings.Contains(err.Error(), complaint) || !strings.Contains(err.Error(), path) {
		t.Errorf("opening %s: %v, want the path and %q in it", path, err, complaint)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Errorf("opening %s changed a file that it refused", path)
	}
}

// build makes a file of the statements in testdata, as an old hangar left it.
func build(t *testing.T, path, script string) {
	t.Helper()
	statements, err := os.ReadFile(filepath.Join("testdata", script))
	if err != nil {
		t.Fatal(err)
	}
	execute(t, path, "PRAGMA journal_mode = WAL", string(statements))
}

func execute(t *testing.T, path string, statements ...string) {
	t.Helper()
	db, err := sql.Open("sqlite", (&url.URL{Scheme: "file", Path: path}).String())
	if err != nil {
		t.Fatal(err)
	}
	for _, statement := range statements {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
}

// Earlier versions kept orders and products in a file each.
func TestEarlierOrdersAreTakenOver(t *testing.T) {
	path := newPath(t)
	earlier := filepath.Join(filepath.Dir(path), "orders.db")
	build(t, earlier, "orders_1.sql")
	for range 2 { // the second time, nothing is left to do
		file, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		s := file.Orders
		got, err := s.List(t.Context(), hangar.OrderQuery{Limit: 10})
		if err != nil {
			t.Fatal(err)
		}
		want := []hangar.Order{
			{
				ID: 1, Status: hangar.Confirmed, Version: 3, Hold: "0199f5a0-0000-7000-8000-000000000001",
				CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC),
				Details: []hangar.OrderDetail{
					{ID: 1, ProductID: "the_odyssey", Price: 10000099, Quantity: 1},
					{ID: 2, ProductID: "ü ☃", Price: 550, Quantity: 2147483647},
				},
			},
			{
				ID: 4, Status: hangar.Pending, Version: 1, Hold: "0199f5a0-0000-7000-8000-000000000004",
				CreatedAt: time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC),
				Details:   []hangar.OrderDetail{{ID: 7, ProductID: "the_odyssey", Price: 0, Quantity: 5}},
			},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("orders of an earlier file (-want +got):\n%s", diff)
		}
		unsettled, err := s.Unsettled(t.Context(), 0, 10)
		if err != nil || len(unsettled) != 1 || unsettled[0].ID != 4 || unsettled[0].Change.Kind != orders.Create {
			t.Errorf("unsettled orders of an earlier file = %+v, %v, want the creation of order 4", unsettled, err)
		}
		if err := file.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(earlier); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file that was taken over is still there: %v", err)
		}
	}
	s := open(t, path).Orders
	_, err := s.Relay(t.Context(), 10, func(_ context.Context, events []orders.Event) error {
		want := []orders.Event{{ID: 3, Type: hangar.OrderCreatedEvent, Payload: []byte(`{"order":{"id":1}}`)}}
		if diff := cmp.Diff(want, events); diff != "" {
			t.Errorf("outbox of an earlier file (-want +got):\n%s", diff)
		}
		return orders.BadEvents{{ID: 3, Err: errors.New("bad")}}
	})
	if _, ok := errors.AsType[orders.BadEvents](err); !ok {
		t.Fatalf("Relay of an earlier file's outbox: %v, want what publish said", err)
	}
	parked, err := s.Parked(t.Context(), 0, 10)
	if err != nil || len(parked) != 1 || string(parked[0].Payload) != `{"order":{"id":1}}` || parked[0].Reason != "bad" {
		t.Errorf("parked events of an earlier file: %+v, %v, want the one that was bad", parked, err)
	}
	stored, err := s.Insert(t.Context(), oneOrder, &orders.Key{Key: "k", BodyHash: []byte("hash")})
	if err != nil {
		t.Fatal(err)
	}
	// 9 was given to an order that was deleted since.
	if stored.ID != 10 || stored.Details[0].ID != 8 {
		t.Errorf("after order 9 and line 7 come order %d and line %d, want 10 and 8", stored.ID, stored.Details[0].ID)
	}
}

var oneOrder = hangar.Order{
	Status: hangar.Pending, Version: 1, Hold: "h", CreatedAt: time.Unix(1, 0),
	Details: []hangar.OrderDetail{{ProductID: "a", Price: 1, Quantity: 1}},
}

func TestEarlierProductsAreTakenOver(t *testing.T) {
	path := newPath(t)
	build(t, filepath.Join(filepath.Dir(path), "products.db"), "products_1.sql")
	s := open(t, path).Products
	got, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10})
	if err != nil {
		t.Fatal(err)
	}
	want := []hangar.Product{
		{ID: "the_odyssey", Title: "The Odyssey", PassengerCapacity: 101, MaximumSpeed: 5, InStock: 10},
		{ID: "ü ☃", Title: "Zeppelin", PassengerCapacity: 0, MaximumSpeed: 9007199254740991, InStock: -3},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("products of an earlier file (-want +got):\n%s", diff)
	}
	h := hangar.Hold{ID: "h", Version: 1, Quantities: map[string]int64{"the_odyssey": 4}}
	for range 2 {
		if err := s.Hold(t.Context(), h); err != nil {
			t.Errorf("Hold in an earlier file: %v, want no error", err)
		}
	}
	p, err := s.Product(t.Context(), "the_odyssey")
	if err != nil || p.InStock != 6 {
		t.Errorf("in stock after a hold of 4 of 10: %d, %v, want 6", p.InStock, err)
	}
}

func TestIDsContinueAfterRestart(t *testing.T) {
	path := newPath(t)
	lastOrder, lastLine := int64(0), int64(0)
	for range 3 {
		s, err := sqlite.Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		stored, err := s.Orders.Insert(t.Context(), oneOrder, nil)
		if err != nil {
			t.Fatal(err)
		}
		if stored.ID <= lastOrder || stored.Details[0].ID <= lastLine {
			t.Errorf("after order %d and line %d come %d and %d, want higher ids", lastOrder, lastLine, stored.ID, stored.Details[0].ID)
		}
		lastOrder, lastLine = stored.ID, stored.Details[0].ID
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// What cannot be taken over stops the start: else it would be forgotten.
func TestEarlierFileThatCannotBeTakenOver(t *testing.T) {
	for name, test := range map[string]struct {
		spoil     func(t *testing.T, earlier string)
		complaint string
	}{
		"another program's": {func(t *testing.T, earlier string) {
			execute(t, earlier, "CREATE TABLE orders (id INTEGER)")
		}, "not a hangar database"},
		"from a newer hangar": {func(t *testing.T, earlier string) {
			build(t, earlier, "orders_1.sql")
			execute(t, earlier, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
		}, "newer hangar"},
		"in use": {func(t *testing.T, earlier string) {
			build(t, earlier, "orders_1.sql")
			lock := flock.New(earlier + ".lock")
			if _, err := lock.TryLock(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { lock.Close() })
		}, "in use"},
		"damaged": {func(t *testing.T, earlier string) {
			build(t, earlier, "orders_1.sql")
			execute(t, earlier, "DROP TABLE order_details")
		}, "order_details"},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			earlier := filepath.Join(filepath.Dir(path), "orders.db")
			build(t, filepath.Join(filepath.Dir(path), "products.db"), "products_1.sql")
			test.spoil(t, earlier)
			_, err := sqlite.Open(t.Context(), path)
			if err == nil || !strings.Contains(err.Error(), test.complaint) || !strings.Contains(err.Error(), earlier) {
				t.Errorf("Open beside it: %v, want %q and %s in it", err, test.complaint, earlier)
			}
			for _, kept := range []string{earlier, filepath.Join(filepath.Dir(path), "products.db")} {
				if _, err := os.Stat(kept); err != nil {
					t.Errorf("an earlier file: %v, want it where it was", err)
				}
			}
			if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the store's file: %v, want none", err)
			}
		})
	}
}

func TestNewerFileIsRefused(t *testing.T) {
	path := newPath(t)
	store, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	execute(t, path, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (99, 1)")
	wantRefused(t, path, "newer hangar")
}

func TestForeignFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	foreign := filepath.Join(dir, "foreign.db")
	execute(t, foreign, "CREATE TABLE orders (id INTEGER)")
	files := map[string]string{
		"text.db":   "not a database, but long enough to have a header of a hundred bytes: " + strings.Repeat("x", 200),
		"short.db":  "x",
		"header.db": "SQLite format 3\x00",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	wantRefused(t, foreign, "not a hangar database")
	wantRefused(t, filepath.Join(dir, "header.db"), "not a hangar database")
	wantRefused(t, filepath.Join(dir, "text.db"), "not a SQLite database")
	wantRefused(t, filepath.Join(dir, "short.db"), "not a SQLite database")
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if ext := filepath.Ext(entry.Name()); ext != ".db" && ext != ".lock" {
			t.Errorf("opening files that were refused left %s behind", entry.Name())
		}
	}
}

func TestFileInUse(t *testing.T) {
	path := newPath(t)
	first, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sqlite.Open(t.Context(), path); !errors.Is(err, sqlite.ErrInUse) {
		t.Errorf("opening a file a second time: %v, want ErrInUse", err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, path)
}

func TestEmptyFileIsAccepted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	// As a crash while a new file was made leaves it.
	if err := os.WriteFile(path+".new", []byte("unfinished"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, path).Products
	if err := s.Put(t.Context(), hangar.Product{ID: "a", Title: "t"}); err != nil {
		t.Errorf("Put into a file that was empty: %v, want no error", err)
	}
}

func TestOddPaths(t *testing.T) {
	for _, name := range []string{"with space", "what?mode=ro", "a#b", "100%", "%41", "ü☃", "a&_pragma=x", "a;b'c\"d", ":memory:"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, name+".db")
			for n := range 2 {
				s, err := sqlite.Open(t.Context(), path)
				if err != nil {
					t.Fatalf("Open(%q): %v", path, err)
				}
				if err := s.Products.Put(t.Context(), hangar.Product{ID: fmt.Sprint(n), Title: "t"}); err != nil {
					t.Fatal(err)
				}
				list, err := s.Products.List(t.Context(), hangar.ProductQuery{Limit: 10})
				if err != nil || len(list) != n+1 {
					t.Errorf("%q has %d products, %v, want %d", path, len(list), err, n+1)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the file at %q: %v", path, err)
			}
		})
	}
}

func TestMissingFolderIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "missing", "hangar.db")
	if _, err := sqlite.Open(t.Context(), path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("opening a file in a folder that is not there: %v, want an error that names it", err)
	}
}
