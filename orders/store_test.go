package orders_test

import (
	"bytes"
	"context"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"hangar"
	"hangar/orders"
	"hangar/sqlite"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noLog = slog.New(slog.DiscardHandler)

func openStore(t *testing.T) orders.Store {
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
	return file.Orders
}

// stockFunc is a stock that answers as it is told.
type stockFunc func(ctx context.Context, h hangar.Hold) error

func (f stockFunc) Hold(ctx context.Context, h hangar.Hold) error { return f(ctx, h) }

func oneLine(quantity int64) hangar.NewOrder {
	return hangar.NewOrder{Details: []hangar.OrderDetail{{ProductID: "a", Price: 100, Quantity: quantity}}}
}

func create(t *testing.T, s *orders.Service) hangar.Order {
	t.Helper()
	created, err := s.CreateOrder(t.Context(), oneLine(1))
	if err != nil {
		t.Fatalf("CreateOrder: %v", err)
	}
	return created.Order
}

func wantCode(t *testing.T, what string, err error, want hangar.Code) {
	t.Helper()
	if got := hangar.CodeOf(err); got != want {
		t.Fatalf("%s: code %q of error %v, want %q", what, got, err, want)
	}
}

func wantStatus(t *testing.T, s *orders.Service, id int64, want hangar.OrderStatus) {
	t.Helper()
	if o, err := s.Order(t.Context(), id); err != nil || o.Status != want {
		t.Errorf("order %d: %q, %v, want %q", id, o.Status, err, want)
	}
}

// lockedBuffer is a log that a test reads while others write it.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
