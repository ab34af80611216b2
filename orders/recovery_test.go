package orders_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/orders"
)

var errDown = errors.New("the stock is down")

// breakable is a stock that is down while it is told to be.
type breakable struct {
	down  atomic.Bool
	holds atomic.Int64
}

func (b *breakable) Hold(context.Context, hangar.Hold) error {
	b.holds.Add(1)
	if b.down.Load() {
		return errDown
	}
	return nil
}

func TestUnknownOutcomeIsSettledByRecovery(t *testing.T) {
	store, stock := openStore(t), &breakable{}
	s := orders.NewService(store, stock, noLog)
	toCancel, toDelete, toUpdate := create(t, s), create(t, s), create(t, s)
	stock.down.Store(true)
	n := oneLine(2)
	n.IdempotencyKey = "k"
	for range 2 {
		_, err := s.CreateOrder(t.Context(), n)
		wantCode(t, "CreateOrder while the stock is down", err, hangar.Unavailable)
		if !errors.Is(err, errDown) {
			t.Errorf("CreateOrder while the stock is down: %v, want the cause in it", err)
		}
	}
	_, err := s.CancelOrder(t.Context(), toCancel.ID)
	wantCode(t, "CancelOrder while the stock is down", err, hangar.Unavailable)
	wantCode(t, "DeleteOrder while the stock is down", s.DeleteOrder(t.Context(), toDelete.ID), hangar.Unavailable)
	line := hangar.LineUpdate{ID: toUpdate.Details[0].ID, Price: 5, Quantity: 9}
	_, err = s.UpdateOrder(t.Context(), hangar.OrderUpdate{ID: toUpdate.ID, Lines: []hangar.LineUpdate{line}})
	wantCode(t, "UpdateOrder while the stock is down", err, hangar.Unavailable)
	if n, err := s.Recover(t.Context()); n != 0 || !errors.Is(err, errDown) {
		t.Errorf("Recover while the stock is down = %d, %v, want 0 and the cause", n, err)
	}
	wantStatus(t, s, toCancel.ID, hangar.Confirmed)

	stock.down.Store(false)
	next := orders.NewService(store, stock, noLog) // of the next process
	if n, err := next.Recover(t.Context()); n != 4 || err != nil {
		t.Errorf("Recover = %d, %v, want 4", n, err)
	}
	wantStatus(t, next, toCancel.ID, hangar.Cancelled)
	_, err = next.Order(t.Context(), toDelete.ID)
	wantCode(t, "the order that was to be deleted", err, hangar.OrderNotFound)
	updated, err := next.Order(t.Context(), toUpdate.ID)
	want := []hangar.OrderDetail{{ID: line.ID, ProductID: "a", Price: 5, Quantity: 9}}
	if diff := cmp.Diff(want, updated.Details); err != nil || diff != "" {
		t.Errorf("the order that was to be updated: error %v (-want +got):\n%s", err, diff)
	}
	created, err := next.CreateOrder(t.Context(), n)
	if err != nil || !created.Replayed || created.Order.Status != hangar.Confirmed {
		t.Errorf("CreateOrder with the same key = %+v, %v, want a confirmed order, replayed", created, err)
	}
	if n, err := next.Recover(t.Context()); n != 0 || err != nil {
		t.Errorf("Recover of nothing = %d, %v, want 0", n, err)
	}
}

func TestRetryWithTheKeySettles(t *testing.T) {
	stock := &breakable{}
	s := orders.NewService(openStore(t), stock, noLog)
	stock.down.Store(true)
	n := oneLine(2)
	n.IdempotencyKey = "k"
	_, err := s.CreateOrder(t.Context(), n)
	wantCode(t, "CreateOrder while the stock is down", err, hangar.Unavailable)
	stock.down.Store(false)
	created, err := s.CreateOrder(t.Context(), n)
	if err != nil || !created.Replayed || created.Order.Status != hangar.Confirmed {
		t.Errorf("CreateOrder with the same key = %+v, %v, want a confirmed order, replayed", created, err)
	}
}

func TestRecoveryOfManyOrders(t *testing.T) {
	stock := &breakable{}
	s := orders.NewService(openStore(t), stock, noLog)
	stock.down.Store(true)
	for range 205 { // more than recovery takes at a time
		_, err := s.CreateOrder(t.Context(), oneLine(1))
		wantCode(t, "CreateOrder while the stock is down", err, hangar.Unavailable)
	}
	stock.down.Store(false)
	if n, err := s.Recover(t.Context()); n != 205 || err != nil {
		t.Errorf("Recover = %d, %v, want 205", n, err)
	}
}

// Recovery leaves what a request works on to the request.
func TestRecoveryPassesOverLiveOrders(t *testing.T) {
	entered, leave := make(chan struct{}), make(chan struct{})
	s := orders.NewService(openStore(t), stockFunc(func(context.Context, hangar.Hold) error {
		close(entered) // panics if recovery comes here, too
		<-leave
		return nil
	}), noLog)
	created := make(chan error)
	go func() {
		_, err := s.CreateOrder(t.Context(), oneLine(1))
		created <- err
	}()
	<-entered
	if n, err := s.Recover(t.Context()); n != 0 || err != nil {
		t.Errorf("Recover while a request works on the only order = %d, %v, want 0", n, err)
	}
	close(leave)
	if err := <-created; err != nil {
		t.Errorf("CreateOrder: %v, want no error", err)
	}
}

// A client that goes away does not stop what it has begun.
func TestRequestThatEndsIsCarriedThrough(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s := orders.NewService(openStore(t), stockFunc(func(ctx context.Context, _ hangar.Hold) error {
		cancel()
		if _, ok := ctx.Deadline(); !ok {
			t.Error("the stock is asked without a deadline")
		}
		return ctx.Err()
	}), noLog)
	created, err := s.CreateOrder(ctx, oneLine(1))
	if err != nil {
		t.Fatalf("CreateOrder of a client that goes away: %v, want no error", err)
	}
	wantStatus(t, s, created.Order.ID, hangar.Confirmed)
}

// What can never be held is refused: asking again for ever would keep later
// orders from being settled.
func TestHoldThatIsNotValidIsARefusal(t *testing.T) {
	invalid := false
	s := orders.NewService(openStore(t), stockFunc(func(context.Context, hangar.Hold) error {
		if invalid {
			return hangar.NewValidationError(map[string]any{"quantities": []string{"Must be at least 1."}})
		}
		return nil
	}), noLog)
	o := create(t, s)
	invalid = true
	line := hangar.LineUpdate{ID: o.Details[0].ID, Price: 5, Quantity: 9}
	_, err := s.UpdateOrder(t.Context(), hangar.OrderUpdate{ID: o.ID, Lines: []hangar.LineUpdate{line}})
	wantCode(t, "UpdateOrder to what cannot be held", err, hangar.ValidationError)
	invalid = false
	if n, err := s.Recover(t.Context()); n != 0 || err != nil {
		t.Errorf("Recover after the refusal = %d, %v, want nothing left to settle", n, err)
	}
	got, err := s.Order(t.Context(), o.ID)
	if diff := cmp.Diff(o.Details, got.Details); err != nil || diff != "" {
		t.Errorf("the order after the refusal: error %v (-want +got):\n%s", err, diff)
	}
}

func TestRunRecoversAndEndsWithItsContext(t *testing.T) {
	store, stock, log := openStore(t), &breakable{}, &lockedBuffer{}
	s := orders.NewService(store, stock, slog.New(slog.NewTextHandler(log, nil)))
	stock.down.Store(true)
	_, err := s.CreateOrder(t.Context(), oneLine(1))
	wantCode(t, "CreateOrder while the stock is down", err, hangar.Unavailable)
	asked := stock.holds.Load()

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- s.Run(ctx) }()
	waitFor(func() bool { return stock.holds.Load() > asked && strings.Contains(log.String(), "interrupted") })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run, cancelled: %v, want nil", err)
	}
	if !strings.Contains(log.String(), errDown.Error()) {
		t.Errorf("log %q, want the cause %q", log, errDown)
	}

	stock.down.Store(false)
	ctx, cancel = context.WithCancel(t.Context())
	go func() { ended <- s.Run(ctx) }()
	waitFor(func() bool { return strings.Contains(log.String(), "settled orders that were left unsettled") })
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run, cancelled: %v, want nil", err)
	}
	unsettled, err := store.Unsettled(t.Context(), 0, 10)
	if err != nil || len(unsettled) != 0 {
		t.Errorf("unsettled after Run: %+v, %v, want none", unsettled, err)
	}
}

// stuck is a stock that never answers for one hold.
type stuck struct{ hold atomic.Pointer[string] }

func (s *stuck) Hold(_ context.Context, h hangar.Hold) error {
	if id := s.hold.Load(); id != nil && *id == h.ID {
		return errDown
	}
	return nil
}

func TestOneStuckOrderDoesNotKeepOthersUnsettled(t *testing.T) {
	store, down := openStore(t), &breakable{}
	s := orders.NewService(store, down, noLog)
	down.down.Store(true)
	for range 3 {
		_, err := s.CreateOrder(t.Context(), oneLine(1))
		wantCode(t, "CreateOrder while the stock is down", err, hangar.Unavailable)
	}
	left, err := store.Unsettled(t.Context(), 0, 10)
	if err != nil || len(left) != 3 {
		t.Fatalf("unsettled: %d, %v, want 3", len(left), err)
	}
	stock := &stuck{}
	stock.hold.Store(&left[0].Hold)
	next := orders.NewService(store, stock, noLog)
	for range 2 { // the first call stops at the stuck one, the next goes on behind it
		if _, err := next.Recover(t.Context()); err != nil && !errors.Is(err, errDown) {
			t.Fatal(err)
		}
	}
	wantStatus(t, next, left[0].ID, hangar.Pending)
	wantStatus(t, next, left[1].ID, hangar.Confirmed)
	wantStatus(t, next, left[2].ID, hangar.Confirmed)
}

// touchy is a stock that panics for one order.
type touchy struct{ hold atomic.Value }

func (s *touchy) Hold(_ context.Context, h hangar.Hold) error {
	if h.ID == s.hold.Load() {
		panic("not this one")
	}
	return errDown
}

// One order whose settling panics neither ends the process nor keeps the others
// from being settled.
func TestRecoveryOutlivesAPanic(t *testing.T) {
	store, stock := openStore(t), new(touchy)
	s := orders.NewService(store, stock, noLog)
	for range 3 {
		_, err := s.CreateOrder(t.Context(), oneLine(1))
		wantCode(t, "CreateOrder while the stock is down", err, hangar.Unavailable)
	}
	unsettled, err := store.Unsettled(t.Context(), 0, 1)
	if err != nil || len(unsettled) != 1 {
		t.Fatalf("Unsettled = %d orders, %v, want 1", len(unsettled), err)
	}
	stock.hold.Store(unsettled[0].Hold)
	if n, err := s.Recover(t.Context()); n != 0 || err == nil || !strings.Contains(err.Error(), "not this one") {
		t.Errorf("Recover of an order that panics = %d, %v, want the panic", n, err)
	}
	next := orders.NewService(store, &breakable{}, noLog)
	if n, err := next.Recover(t.Context()); n != 3 || err != nil {
		t.Errorf("Recover = %d, %v, want 3", n, err)
	}
}
