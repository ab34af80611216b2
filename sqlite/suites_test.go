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
		return open(t, newPath(t)).Orders
	})
}

func TestProductStore(t *testing.T) {
	t.Parallel()
	hangartest.TestProductStore(t, func(t *testing.T) products.Store {
		return open(t, newPath(t)).Products
	})
}

func TestServices(t *testing.T) {
	t.Parallel()
	for name, atOnce := range inBothWays {
		t.Run(name, func(t *testing.T) {
			hangartest.TestServices(t, func(t *testing.T) hangartest.Services {
				file, log := open(t, newPath(t)), slog.New(slog.DiscardHandler)
				p := products.NewService(file.Products, log)
				o := orders.NewService(file.Orders, p, log)
				if atOnce {
					o.CreateWith(file.Orders)
				}
				return hangartest.Services{Products: p, Stock: p, Orders: o, Events: p}
			})
		})
	}
}

// inBothWays says by name whether orders are created in one transaction.
var inBothWays = map[string]bool{"at once": true, "step by step": false}

func TestCrashes(t *testing.T) {
	t.Parallel()
	for name, atOnce := range inBothWays {
		t.Run(name, func(t *testing.T) { hangartest.TestCrashes(t, openStores(atOnce)) })
	}
}

func TestTogether(t *testing.T) {
	t.Parallel()
	for name, atOnce := range inBothWays {
		t.Run(name, func(t *testing.T) { hangartest.TestTogether(t, openStores(atOnce)) })
	}
}

func openStores(atOnce bool) func(t *testing.T) hangartest.Stores {
	return func(t *testing.T) hangartest.Stores {
		file := open(t, newPath(t))
		stores := hangartest.Stores{Orders: file.Orders, Products: file.Products}
		if atOnce {
			stores.Creator = file.Orders
		}
		return stores
	}
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "hangar.db") }

// open opens a store that is closed when the test ends.
func open(t *testing.T, path string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatalf("Open(%q): %v", path, err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}
