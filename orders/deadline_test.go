package orders_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"hangar"
	"hangar/orders"
)

// silent is a stock that does not answer while it is told to be.
type silent struct {
	silent   atomic.Bool
	deadline time.Time // by which the last one to ask wanted an answer
}

func (s *silent) Hold(ctx context.Context, _ hangar.Hold) error {
	if !s.silent.Load() {
		return nil
	}
	s.deadline, _ = ctx.Deadline()
	<-ctx.Done()
	return ctx.Err()
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// In a bubble of its own time, so that the disk takes none of the deadlines.
func TestRequestIsAnsweredByItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stock := new(silent)
		stock.silent.Store(true)
		s := orders.NewService(openStore(t), stock, noLog)
		keyed := oneLine(1)
		keyed.IdempotencyKey = "k"
		for what, test := range map[string]struct {
			order  hangar.NewOrder
			advice []string
		}{
			"without a key": {oneLine(1), []string{"Order ", "is stored", "Look at the order"}},
			"with a key":    {keyed, []string{"Order ", "is stored", "Ask again with the same Idempotency-Key."}},
		} {
			ctx := within(t, time.Second)
			created, err := s.CreateOrder(ctx, test.order)
			wantCode(t, "CreateOrder "+what+" of a silent stock", err, hangar.Unavailable)
			if deadline, _ := ctx.Deadline(); !stock.deadline.Before(deadline) {
				t.Errorf("CreateOrder %s by %v waits for the stock until %v, want some time left for the answer", what, deadline, stock.deadline)
			}
			for _, advice := range test.advice {
				if !strings.Contains(err.Error(), advice) {
					t.Errorf("CreateOrder %s: %q, want %q in it", what, err, advice)
				}
			}
			if created.Replayed {
				t.Errorf("CreateOrder %s says that it was replayed", what)
			}
		}
		stock.silent.Store(false)
		if n, err := s.Recover(t.Context()); n != 2 || err != nil {
			t.Errorf("Recover after both have given up = %d, %v, want 2", n, err)
		}
		again, err := s.CreateOrder(t.Context(), keyed)
		if err != nil || !again.Replayed || again.Order.Status != hangar.Confirmed {
			t.Errorf("CreateOrder with the same key = %+v, %v, want it confirmed, replayed", again, err)
		}

		stock.silent.Store(true)
		_, err = s.CancelOrder(within(t, time.Second), again.Order.ID)
		wantCode(t, "CancelOrder of a silent stock", err, hangar.Unavailable)
		if !strings.Contains(err.Error(), "Look at the order") || strings.Contains(err.Error(), "Idempotency-Key") {
			t.Errorf("CancelOrder: %q, want the advice to look at the order", err)
		}
		stock.silent.Store(false)
		if n, err := s.Recover(t.Context()); n != 1 || err != nil {
			t.Errorf("Recover = %d, %v, want 1", n, err)
		}
		wantStatus(t, s, again.Order.ID, hangar.Cancelled)
	})
}

// However much time a request has, what it has begun is not waited for longer
// than ten seconds.
func TestSettlementIsBounded(t *testing.T) {
	s := orders.NewService(openStore(t), stockFunc(func(ctx context.Context, _ hangar.Hold) error {
		if deadline, ok := ctx.Deadline(); !ok || time.Until(deadline) > 10*time.Second {
			t.Errorf("the stock is asked with the deadline %v, %v, want one within 10s", deadline, ok)
		}
		return nil
	}), noLog)
	if _, err := s.CreateOrder(within(t, time.Hour), oneLine(1)); err != nil {
		t.Error(err)
	}
}

// In a bubble of its own time, so that the disk takes none of the deadlines.
func TestSecondRequestWaitsForTheFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release, asked := make(chan struct{}), make(chan struct{}, 10)
		stock := stockFunc(func(ctx context.Context, _ hangar.Hold) error {
			asked <- struct{}{}
			select {
			case <-release:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		store := openStore(t)
		s := orders.NewService(store, stock, noLog)
		n := oneLine(1)
		n.IdempotencyKey = "k"
		type answer struct {
			created hangar.OrderCreation
			err     error
		}
		answers := make(chan answer, 2)
		request := func() {
			created, err := s.CreateOrder(t.Context(), n)
			answers <- answer{created, err}
		}
		go request()
		<-asked

		_, err := s.CreateOrder(within(t, time.Second), n)
		wantCode(t, "a second request, up to its deadline", err, hangar.Conflict)
		if !strings.Contains(err.Error(), "still being worked on") {
			t.Errorf("a second request: %q, want it to say that the first is still being worked on", err)
		}
		<-asked
		other := n
		other.Details = oneLine(2).Details
		_, err = s.CreateOrder(t.Context(), other)
		wantCode(t, "another order with the key, meanwhile", err, hangar.IdempotencyKeyReused)

		// In another process nobody knows of the first.
		_, err = orders.NewService(store, stock, noLog).CreateOrder(within(t, time.Second), n)
		wantCode(t, "a second request elsewhere", err, hangar.Unavailable)
		if !strings.Contains(err.Error(), "same Idempotency-Key") {
			t.Errorf("a second request elsewhere: %q, want the advice to ask again with the key", err)
		}
		<-asked

		go request()
		<-asked
		close(release)
		first, second := <-answers, <-answers
		if first.err != nil || second.err != nil || first.created.Order.ID != second.created.Order.ID ||
			first.created.Replayed == second.created.Replayed {
			t.Errorf("both requests: %+v and %+v, want the same order, once replayed", first, second)
		}
	})
}
