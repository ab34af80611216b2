package postgres_test

import (
	"log/slog"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"hangar/hangartest"
	"hangar/orders"
	"hangar/postgres"
	"hangar/products"
	"hangar/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(hangartest.WithServers(m)) }

func TestOrderStore(t *testing.T) {
	t.Parallel()
	hangartest.TestOrderStore(t, func(t *testing.T) orders.Store { return openOrders(t, hangartest.Postgres(t)) })
}

func TestServices(t *testing.T) {
	t.Parallel()
	hangartest.TestServices(t, func(t *testing.T) hangartest.Services {
		stores, log := openStores(t), slog.New(slog.DiscardHandler)
		p := products.NewService(stores.Products, log)
		o := orders.NewService(stores.Orders, p, log)
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
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, file.Close)
	return hangartest.Stores{Orders: openOrders(t, hangartest.Postgres(t)), Products: file.Products}
}

// openOrders opens a store that is closed when the test ends.
func openOrders(t testing.TB, url string) *postgres.OrderStore {
	t.Helper()
	s, err := postgres.OpenOrders(t.Context(), url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("OpenOrders: %v", err)
	}
	closeAtEnd(t, s.Close)
	return s
}

func closeAtEnd(t testing.TB, closeStore func() error) {
	t.Cleanup(func() {
		if err := closeStore(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
