package redis_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"hangar/hangartest"
	"hangar/orders"
	"hangar/products"
	"hangar/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestProductStore(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	hangartest.TestProductStore(t, func(t *testing.T) products.Store {
		db.flush(t)
		return db.open(t)
	})
}

func TestServices(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	hangartest.TestServices(t, func(t *testing.T) hangartest.Services {
		stores, log := openStores(t, db), slog.New(slog.DiscardHandler)
		p := products.NewService(stores.Products, log)
		o := orders.NewService(stores.Orders, p, log)
		return hangartest.Services{Products: p, Stock: p, Orders: o, Events: p}
	})
}

func TestCrashes(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	hangartest.TestCrashes(t, func(t *testing.T) hangartest.Stores { return openStores(t, db) })
}

func TestTogether(t *testing.T) {
	t.Parallel()
	db := newDatabase(t)
	hangartest.TestTogether(t, func(t *testing.T) hangartest.Stores { return openStores(t, db) })
}

// openStores opens the products in an empty database, and orders beside it.
func openStores(t *testing.T, db *database) hangartest.Stores {
	t.Helper()
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	db.flush(t)
	return hangartest.Stores{Orders: file.Orders, Products: db.open(t)}
}
