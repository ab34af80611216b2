package orders_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/cache"
	"hangar/orders"
)

// Each change is announced before it takes effect, and before the stock is asked;
// an order that is created is not, as nobody can have it stored.
func TestChangesAreAnnouncedBeforeTheyTakeEffect(t *testing.T) {
	store := openStore(t)
	var told []string
	s := orders.NewService(store, stockFunc(func(_ context.Context, h hangar.Hold) error {
		told = append(told, fmt.Sprintf("held at version %d", h.Version))
		return nil
	}), noLog)
	s.AnnounceTo(func(ctx context.Context, e hangar.OrderChanged) {
		o, err := s.Order(ctx, e.ID)
		told = append(told, fmt.Sprintf("version %d announced of %s order at version %d, unsettled %t, %v", e.Version, o.Status, o.Version, o.Unsettled, err))
	})
	updated, deleted := create(t, s), create(t, s)
	line := hangar.LineUpdate{ID: updated.Details[0].ID, Price: 5, Quantity: 9}
	if _, err := s.UpdateOrder(t.Context(), hangar.OrderUpdate{ID: updated.ID, Lines: []hangar.LineUpdate{line}}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.CancelOrder(t.Context(), updated.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.DeleteOrder(t.Context(), deleted.ID); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"held at version 1", "held at version 1",
		"version 2 announced of confirmed order at version 2, unsettled true, <nil>", "held at version 2",
		"version 3 announced of confirmed order at version 3, unsettled true, <nil>", "held at version 3",
		"version 2 announced of confirmed order at version 2, unsettled true, <nil>", "held at version 2",
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("what was told and held (-want +got):\n%s", diff)
	}
	if o, err := s.Order(t.Context(), updated.ID); err != nil || o.Unsettled {
		t.Errorf("the order afterwards: %+v, %v, want it settled", o, err)
	}
}

// A change that another process left between two steps is announced by the one
// that carries it through.
func TestRecoveryAnnounces(t *testing.T) {
	store, stock := openStore(t), &breakable{}
	s := orders.NewService(store, stock, noLog)
	id := create(t, s).ID
	stock.down.Store(true)
	_, err := s.CancelOrder(t.Context(), id)
	wantCode(t, "CancelOrder while the stock is down", err, hangar.Unavailable)

	stock.down.Store(false)
	next := orders.NewService(store, stock, noLog)
	var told []hangar.OrderChanged
	next.AnnounceTo(func(_ context.Context, e hangar.OrderChanged) {
		wantStatus(t, next, id, hangar.Confirmed)
		told = append(told, e)
	})
	if n, err := next.Recover(t.Context()); n != 1 || err != nil {
		t.Fatalf("Recover = %d, %v, want 1", n, err)
	}
	wantStatus(t, next, id, hangar.Cancelled)
	if diff := cmp.Diff([]hangar.OrderChanged{{ID: id, Version: 2}}, told); diff != "" {
		t.Errorf("announced (-want +got):\n%s", diff)
	}
}

// Many read an order through a cache while it is changed, again and again: whoever
// asks after a change was answered gets that change, or a later one.
func TestCacheNeverAnswersWhatWasBeforeAnAnsweredChange(t *testing.T) {
	store := openStore(t)
	s := orders.NewService(store, stockFunc(func(context.Context, hangar.Hold) error {
		time.Sleep(rand.N(time.Millisecond)) // so that some read while a change is under way
		return nil
	}), noLog)
	cached := cache.NewOrders(s, cache.Config{MaxAge: time.Hour, Size: 100, Log: noLog})
	s.AnnounceTo(cached.OrderChanged)
	cached.Listening()
	var running sync.WaitGroup
	ending, end := context.WithCancel(t.Context())
	running.Go(func() { cached.Run(ending) })
	o := create(t, s)

	const changes = 60
	var answered atomic.Int64 // the version of the last change that was answered
	changing, stop := context.WithCancel(t.Context())
	for range 4 {
		running.Go(func() {
			for changing.Err() == nil {
				least := answered.Load()
				got, err := cached.Order(t.Context(), o.ID)
				if err != nil || got.Version < least || !got.Unsettled && got.Details[0].Quantity != got.Version {
					t.Errorf("the order after version %d was answered: %+v, %v", least, got, err)
					return
				}
			}
		})
	}
	for version := int64(2); version < changes; version++ {
		line := hangar.LineUpdate{ID: o.Details[0].ID, Price: 1, Quantity: version}
		// Not through the cache: the announcement alone must do it.
		changed, err := s.UpdateOrder(t.Context(), hangar.OrderUpdate{ID: o.ID, Lines: []hangar.LineUpdate{line}})
		if err != nil || changed.Version != version {
			t.Fatalf("UpdateOrder = %+v, %v", changed, err)
		}
		answered.Store(version)
		time.Sleep(rand.N(time.Millisecond))
	}
	stop()
	end()
	running.Wait()
	if stats := cached.Stats(); stats.Hits == 0 || stats.Loads < changes/10 {
		t.Errorf("the cache did little: %+v", stats)
	}
}
