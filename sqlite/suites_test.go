package sqlite_test

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

func TestOrderStore(t *testing.T) {
	t.Parallel()
	hangartest.TestOrderStore(t, func(t *testing.T) orders.Store {
		return openOrders(t, filepath.Join(t.TempDir(), "orders.db"))
	})
}

func TestProductStore(t *testing.T) {
	t.Parallel()
	hangartest.TestProductStore(t, func(t *testing.T) products.Store {
		return openProducts(t, filepath.Join(t.TempDir(), "products.db"))
	})
}

func TestServices(t *testing.T) {
	t.Parallel()
	hangartest.TestServices(t, func(t *testing.T) hangartest.Services {
		dir, log := t.TempDir(), slog.New(slog.DiscardHandler)
		p := products.NewService(openProducts(t, filepath.Join(dir, "products.db")), log)
		o := orders.NewService(openOrders(t, filepath.Join(dir, "orders.db")), p, log)
		return hangartest.Services{Products: p, Stock: p, Orders: o, Events: p}
	})
}

func TestCrashes(t *testing.T) {
	t.Parallel()
	hangartest.TestCrashes(t, openStores)
}

func TestTogether(t *testing.T) {
	t.Parallel()
	hangartest.TestTogether(t, openStores)
}

func openStores(t *testing.T) hangartest.Stores {
	dir := t.TempDir()
	return hangartest.Stores{
		Orders:   openOrders(t, filepath.Join(dir, "orders.db")),
		Products: openProducts(t, filepath.Join(dir, "products.db")),
	}
}

// openOrders opens a store that is closed when the test ends.
func openOrders(t *testing.T, path string) *sqlite.OrderStore {
	t.Helper()
	s, err := sqlite.OpenOrders(t.Context(), path)
	if err != nil {
		t.Fatalf("OpenOrders(%q): %v", path, err)
	}
	closeAtEnd(t, s.Close)
	return s
}

// openProducts opens a store that is closed when the test ends.
func openProducts(t *testing.T, path string) *sqlite.ProductStore {
	t.Helper()
	s, err := sqlite.OpenProducts(t.Context(), path)
	if err != nil {
		t.Fatalf("OpenProducts(%q): %v", path, err)
	}
	closeAtEnd(t, s.Close)
	return s
}

func closeAtEnd(t *testing.T, closeStore func() error) {
	t.Cleanup(func() {
		if err := closeStore(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
