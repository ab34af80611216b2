package orders_test

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hangar/orders"
	"hangar/sqlite"
)

// sweeping is a store that has nothing to recover, and notes what is swept.
type sweeping struct {
	orders.Store
	mu      sync.Mutex
	swept   []time.Time
	looks   int           // for what is to be recovered
	blocked chan struct{} // a sweep waits for it
}

func (s *sweeping) Unsettled(context.Context, int64, int) ([]orders.Stored, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.looks++
	return nil, nil
}

func (s *sweeping) SweepKeys(ctx context.Context, before time.Time) error {
	s.mu.Lock()
	s.swept = append(s.swept, before)
	s.mu.Unlock()
	select {
	case <-s.blocked:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// In a bubble of its own time.
func TestRunSweepsOldKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &sweeping{blocked: make(chan struct{})}
		close(store.blocked)
		ctx, cancel := context.WithCancel(t.Context())
		began, ended := time.Now(), make(chan error)
		go func() { ended <- orders.NewService(store, nil, noLog).Run(ctx) }()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run, cancelled: %v, want nil", err)
		}
		if len(store.swept) < 3 || !store.swept[0].Equal(began.Add(-24*time.Hour)) || !store.swept[2].After(store.swept[1]) {
			t.Errorf("in two hours, swept up to %v; want first up to %v, and again and again", store.swept, began.Add(-24*time.Hour))
		}
	})
}

// A sweep of very many keys does not keep orders from being recovered.
func TestSweepBesideRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &sweeping{blocked: make(chan struct{})}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- orders.NewService(store, nil, noLog).Run(ctx) }()
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(store.swept) != 1 || store.looks < 10 {
			t.Errorf("in a minute, beside a sweep that takes long: %d sweeps and %d recoveries, want 1 and at least 10", len(store.swept), store.looks)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run, cancelled: %v, want nil", err)
		}
	})
}

// A key is good for 24 hours, and then stands for a new order.
func TestKeyIsForgottenAfterADay(t *testing.T) {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	store := file.Orders
	s := orders.NewService(store, &breakable{}, noLog)
	n := oneLine(1)
	n.IdempotencyKey = "k"
	used := time.Now()
	first, err := s.CreateOrder(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		age      time.Duration
		replayed bool
	}{{orders.KeyRetention - time.Minute, true}, {orders.KeyRetention + time.Minute, false}} {
		now := used.Add(test.age)
		if err := store.SweepKeys(t.Context(), now.Add(-orders.KeyRetention)); err != nil {
			t.Fatal(err)
		}
		again, err := s.CreateOrder(t.Context(), n)
		if err != nil || again.Replayed != test.replayed || (again.Order.ID == first.Order.ID) != test.replayed {
			t.Errorf("CreateOrder with a key of %v ago = %+v, %v, want it replayed: %v", test.age, again, err, test.replayed)
		}
	}
}
