package sqlite_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"hangar"
	"hangar/orders"
	"hangar/sqlite"
)

func TestClosedStore(t *testing.T) {
	ctx := t.Context()
	s, err := sqlite.Open(ctx, newPath(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o, p := s.Orders, s.Products
	insertErr := func() error {
		_, err := o.Insert(ctx, oneOrder, nil)
		return err
	}()
	_, settleErr := o.Settle(ctx, 1, 1, orders.Settlement{})
	_, unparkErr := o.Unpark(ctx, 1)
	_, parkedErr := o.Parked(ctx, 0, 1)
	_, statisticsErr := o.OutboxStatistics(ctx)
	for name, err := range map[string]error{
		"Insert of an order": insertErr,
		"Unpark":             unparkErr,
		"Parked":             parkedErr,
		"OutboxStatistics":   statisticsErr,
		"Settle":             settleErr,
		"Begin":              o.Begin(ctx, 1, 1, orders.Change{}),
		"SweepKeys":          o.SweepKeys(ctx, time.Now()),
		"Put":                p.Put(ctx, hangar.Product{ID: "a"}),
		"Delete":             p.Delete(ctx, "a"),
		"Hold":               p.Hold(ctx, hangar.Hold{ID: "h", Version: 1}),
	} {
		if code := hangar.CodeOf(err); code != hangar.Unavailable {
			t.Errorf("%s of a closed store: %v with code %q, want UNAVAILABLE", name, err, code)
		}
	}
	if _, err := o.Order(ctx, 1); err == nil || hangar.CodeOf(err) == hangar.OrderNotFound {
		t.Errorf("Order of a closed store: %v, want an error that does not say what is stored", err)
	}
	if _, err := p.Product(ctx, "a"); err == nil || hangar.CodeOf(err) == hangar.ProductNotFound {
		t.Errorf("Product of a closed store: %v, want an error that does not say what is stored", err)
	}
}

// What was accepted before a store was closed, is stored or refused, and what was
// acknowledged is there afterwards.
func TestCloseFinishesWrites(t *testing.T) {
	path := newPath(t)
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	ids, errs := make([]int64, 200), make([]error, 200)
	var wg sync.WaitGroup
	first := make(chan struct{}, len(ids))
	for i := range ids {
		wg.Go(func() {
			stored, err := s.Orders.Insert(t.Context(), oneOrder, nil)
			ids[i], errs[i] = stored.ID, err
			first <- struct{}{}
		})
	}
	<-first
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	s = open(t, path)
	for i, err := range errs {
		if err != nil {
			if code := hangar.CodeOf(err); code != hangar.Unavailable {
				t.Errorf("Insert while the store is closed: %v, want no error or UNAVAILABLE", err)
			}
			continue
		}
		if _, err := s.Orders.Order(t.Context(), ids[i]); err != nil {
			t.Errorf("order %d was acknowledged, and is not there: %v", ids[i], err)
		}
	}
}

func TestCancelledContext(t *testing.T) {
	o := open(t, newPath(t)).Orders
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 {
		if _, err := o.Insert(cancelled, oneOrder, nil); hangar.CodeOf(err) != hangar.Unavailable {
			t.Errorf("Insert of a request that has ended: %v, want UNAVAILABLE", err)
		}
	}
	list, err := o.List(t.Context(), hangar.OrderQuery{Limit: 10})
	if err != nil || len(list) != 0 {
		t.Errorf("orders of requests that had ended: %+v, %v, want none", list, err)
	}
	if _, err := sqlite.Open(cancelled, newPath(t)); err == nil {
		t.Error("Open for a request that has ended: no error, want one")
	}
}

// A second relay would delete by an id that stands for another event by then.
func TestOneRelayAtATime(t *testing.T) {
	o := open(t, newPath(t)).Orders
	stored, err := o.Insert(t.Context(), oneOrder, nil)
	if err != nil {
		t.Fatal(err)
	}
	event := &orders.Event{Type: hangar.OrderCreatedEvent, Payload: []byte("{}")}
	if _, err := o.Settle(t.Context(), stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: event}); err != nil {
		t.Fatal(err)
	}
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	n, err := o.Relay(t.Context(), 10, func(context.Context, []orders.Event) error {
		for range 20 {
			n, err := o.Relay(cancelled, 10, func(context.Context, []orders.Event) error {
				t.Error("an event was published twice at the same time")
				return nil
			})
			if n != 0 || hangar.CodeOf(err) != hangar.Unavailable {
				t.Errorf("Relay that waits for another until its request ends = %d, %v, want UNAVAILABLE", n, err)
			}
		}
		return nil
	})
	if n != 1 || err != nil {
		t.Errorf("Relay = %d, %v, want 1", n, err)
	}
}
