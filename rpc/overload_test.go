package rpc_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/orders"
	"hangar/rpc"
	"hangar/sqlite"
)

// unsteady is a products service whose first calls fail as Unavailable.
type unsteady struct {
	hangar.ProductService

	mu    sync.Mutex
	fails int
	calls int
}

func (u *unsteady) call() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.calls++
	if u.calls <= u.fails {
		return hangar.Errorf(hangar.Unavailable, "The database is away. Try again.")
	}
	return nil
}

// fail makes the next calls fail.
func (u *unsteady) fail(calls int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.fails, u.calls = calls, 0
}

// called returns how many calls came since.
func (u *unsteady) called() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.calls
}

func (u *unsteady) Product(context.Context, string) (hangar.Product, error) {
	return product("a", 1), u.call()
}

func (u *unsteady) DeleteProduct(context.Context, string) error { return u.call() }

func (u *unsteady) Restock(context.Context, hangar.Restock) (hangar.Restocked, error) {
	return hangar.Restocked{Product: product("a", 1)}, u.call()
}

func TestCallsAreMadeAgainWhereThatIsSafe(t *testing.T) {
	t.Parallel()
	url := hangartest.StartRabbitMQ(t).URL
	u := &unsteady{}
	serve(t, connect(t, url), "products", func(s *nameko.Server) { rpc.ServeProducts(s, u, nil, nil) })
	p := rpc.NewProducts(newClient(t, url, "gateway"))

	u.fail(2)
	got, err := p.Product(t.Context(), "a")
	if err != nil || got != product("a", 1) || u.called() != 3 {
		t.Errorf("Product = %+v, %v after %d calls, want it after 3", got, err, u.called())
	}
	u.fail(1)
	err = p.DeleteProduct(t.Context(), "a")
	if hangar.CodeOf(err) != hangar.Unavailable || u.called() != 1 {
		t.Errorf("DeleteProduct, which may have been done: %v after %d calls, want UNAVAILABLE after 1", err, u.called())
	}
	u.fail(1)
	_, err = p.Restock(t.Context(), hangar.Restock{ID: "a", Quantity: 1})
	if hangar.CodeOf(err) != hangar.Unavailable || u.called() != 1 {
		t.Errorf("Restock without a key, which may have been done: %v after %d calls, want UNAVAILABLE after 1", err, u.called())
	}
	u.fail(2)
	_, err = p.Restock(t.Context(), hangar.Restock{ID: "a", Quantity: 1, IdempotencyKey: "k"})
	if err != nil || u.called() != 3 {
		t.Errorf("Restock with a key: %v after %d calls, want no error after 3", err, u.called())
	}
	u.fail(1000)
	_, err = p.Product(t.Context(), "a")
	wantError(t, "Product of a service that stays as it is", err, hangar.Errorf(hangar.Unavailable, "The database is away. Try again."))
}

func TestBusyServiceIsUnavailable(t *testing.T) {
	t.Parallel()
	url := hangartest.StartRabbitMQ(t).URL
	finish := make(chan struct{})
	broker := connect(t, url)
	server := nameko.NewServer(broker, "products", 1, 0)
	stuck := stuckProducts{finish: finish}
	rpc.ServeProducts(server, stuck, nil, nil)
	run(t, server.Run)
	<-server.Ready()
	p := rpc.NewProducts(newClient(t, url, "gateway"))
	errs := make(chan error, 3)
	for range 3 { // one runs, one waits
		go func() { errs <- p.DeleteProduct(t.Context(), "a") }()
	}
	err := <-errs
	wantError(t, "a call of a busy service", err, hangar.Errorf(hangar.Unavailable, "The products service has too much to do. Nothing was done: try again."))
	close(finish)
	for range 2 {
		wantNil(t, "a call that was taken", <-errs)
	}
}

type stuckProducts struct {
	hangar.ProductService
	finish chan struct{}
}

func (s stuckProducts) DeleteProduct(context.Context, string) error {
	<-s.finish
	return nil
}

// An order whose hold cannot be asked for stays open, and is settled later.
func TestCutOffServiceIsTriedUntilItAnswers(t *testing.T) {
	t.Parallel()
	url := hangartest.StartRabbitMQ(t).URL
	var log lockedBuffer
	broker, err := nameko.NewBroker(nameko.Config{URL: url, Log: slog.New(slog.NewTextHandler(&log, nil))})
	wantNil(t, "NewBroker", err)
	run(t, broker.Run)
	client := runClient(t, nameko.NewClient(broker, "orders"))
	p := rpc.NewProducts(client)
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	wantNil(t, "Open", err)
	closeAtEnd(t, file.Close)
	service := orders.NewService(file.Orders, p, noLog)

	eventually(t, "the products service is cut off", func() error {
		_, err := p.Product(t.Context(), "a")
		wantError(t, "Product", err, hangar.Errorf(hangar.Unavailable, "The products service cannot be reached now. Try again."))
		if !errors.Is(err, rpc.ErrCutOff) {
			return err
		}
		return nil
	})
	_, err = service.CreateOrder(t.Context(), orderOf(line("a", 1)))
	wantUnavailable(t, "CreateOrder", err, nil)
	page, err := service.ListOrders(t.Context(), hangar.OrderQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 || page.Items[0].Status != hangar.Pending {
		t.Fatalf("orders %+v, %v, want one that is pending", page.Items, err)
	}

	serveProducts(t, url)
	eventually(t, "the products service is called again", func() error { return p.PutProduct(t.Context(), product("a", 10)) })
	settled, err := service.Recover(t.Context())
	if settled != 1 || err != nil {
		t.Errorf("Recover = %d, %v, want the order settled", settled, err)
	}
	o, err := service.Order(t.Context(), page.Items[0].ID)
	if err != nil || o.Status != hangar.Confirmed {
		t.Errorf("the order is %+v, %v, want it confirmed", o, err)
	}
	for _, line := range []string{"is cut off", "answers again"} {
		if n := strings.Count(log.String(), line); n != 1 {
			t.Errorf("the log says %q %d times, want once:\n%s", line, n, log.String())
		}
	}
}

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
