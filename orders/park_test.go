package orders_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/orders"
	"hangar/sqlite"
)

// Whatever of a batch is bad, the others are published as they would be without.
func TestBadEventsAreParkedAndTheOthersPublished(t *testing.T) {
	box, log := newOutbox(), &lockedBuffer{}
	box.add(250)
	broken := []int{0, 99, 100, 101, 249}
	for _, i := range broken {
		box.events[i].Payload = []byte("x")
	}
	box.events[7].Type = "unknown"
	var got []int64
	publish := orders.PublishTo(handlerFunc(func(e hangar.OrderCreated) error {
		got = append(got, e.Order.ID)
		return nil
	}))
	if err := orders.NewRelay(box, publish, slog.New(slog.NewTextHandler(log, nil))).Drain(t.Context()); err != nil {
		t.Fatalf("Drain: %v, want no error", err)
	}
	var want []int64
	for i := range 250 {
		if i != 7 && !slices.Contains(broken, i) {
			want = append(want, int64(i+1))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("orders whose events were published (-want +got):\n%s", diff)
	}
	if len(box.parked) != 6 || !strings.Contains(box.parked[8], "unknown type") || !strings.Contains(box.parked[1], "decode") {
		t.Errorf("parked: %v, want six events and why", box.parked)
	}
	if n := strings.Count(log.String(), "is parked"); n != 6 {
		t.Errorf("the log speaks of %d parked events, want 6:\n%s", n, log)
	}
}

// In a bubble of its own time: an event that fails by itself is tried for a
// while, in its place, and then parked.
func TestEventThatKeepsFailingIsParked(t *testing.T) {
	for _, failure := range []string{"error", "panic"} {
		synctest.Test(t, func(t *testing.T) {
			box := newOutbox()
			box.add(3)
			tries, began, gaveUp := 0, time.Now(), time.Duration(0)
			var got []int64
			relay := orders.NewRelay(box, orders.PublishTo(handlerFunc(func(e hangar.OrderCreated) error {
				switch {
				case e.Order.ID == 2 && failure == "panic":
					tries++
					panic("boom")
				case e.Order.ID == 2:
					tries++
					return errors.New("boom")
				case e.Order.ID == 3:
					gaveUp = time.Since(began)
				}
				got = append(got, e.Order.ID)
				return nil
			})), noLog)
			runFor(t, relay, time.Hour)
			if tries != orders.PublishTries || box.len() != 0 || len(got) == 0 || got[len(got)-1] != 3 {
				t.Errorf("%d tries, then %v were handled and %d are left; want %d tries, 3 at last, and none left", tries, got, box.len(), orders.PublishTries)
			}
			if reason := box.parked[2]; len(box.parked) != 1 || !strings.Contains(reason, "boom") || !strings.Contains(reason, "100 times") {
				t.Errorf("parked: %v, want event 2 and why", box.parked)
			}
			if gaveUp < 3*time.Minute || gaveUp > 10*time.Minute {
				t.Errorf("the event behind it waited %v, want about six minutes", gaveUp)
			}
		})
	}
}

// runFor runs the relay for a time of the bubble.
func runFor(t *testing.T, relay *orders.Relay, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- relay.Run(ctx) }()
	time.Sleep(d)
	synctest.Wait()
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("Run, cancelled: %v, want nil", err)
	}
}

// While what an event needs is away, that is not the event's fault.
func TestEventIsNotParkedWhileItsHandlerIsUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := newOutbox()
		box.add(2)
		tries, failing := 0, 10*orders.PublishTries
		handler := handlerFunc(func(hangar.OrderCreated) error {
			if tries++; tries <= failing {
				return fmt.Errorf("take the stock: %w", hangar.Errorf(hangar.Unavailable, "Redis cannot be reached."))
			}
			return nil
		})
		runFor(t, orders.NewRelay(box, orders.PublishTo(handler), noLog), 2*time.Hour)
		if tries != failing+2 || len(box.parked) != 0 || box.len() != 0 {
			t.Errorf("after %d failures: %d tries, parked %v, %d left; want %d tries and nothing parked or left",
				failing, tries, box.parked, box.len(), failing+2)
		}
	})
}

// Only failures one after the other count.
func TestEventThatSucceedsInBetweenIsNotParked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := newOutbox()
		calls := 0
		relay := orders.NewRelay(box, orders.PublishTo(handlerFunc(func(hangar.OrderCreated) error {
			if calls++; calls%orders.PublishTries != 0 {
				return errors.New("boom")
			}
			return nil
		})), noLog)
		for range 3 {
			box.mu.Lock()
			box.events = []orders.Event{{ID: 1, Type: hangar.OrderCreatedEvent, Payload: []byte("{}")}} // ids come again
			box.mu.Unlock()
			runFor(t, relay, time.Hour)
		}
		if len(box.parked) != 0 || box.len() != 0 || calls != 3*orders.PublishTries {
			t.Errorf("after %d calls: parked %v, %d left; want none", calls, box.parked, box.len())
		}
	})
}

// What was parked comes back when somebody has mended its cause.
func TestParkedEventIsDeliveredAfterUnpark(t *testing.T) {
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	store := file.Orders
	s := orders.NewService(store, &breakable{}, noLog)
	first, second := create(t, s), create(t, s)
	var got []int64
	mended := false
	publish := orders.PublishTo(handlerFunc(func(e hangar.OrderCreated) error {
		got = append(got, e.Order.ID)
		return nil
	}))
	relay := orders.NewRelay(store, func(ctx context.Context, events []orders.Event) error {
		if !mended && strings.Contains(string(events[0].Payload), first.Hold) {
			return orders.BadEvents{{ID: events[0].ID, Err: errors.New("bad")}}
		}
		return publish(ctx, events)
	}, noLog)
	if err := relay.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	mended = true
	parked, err := store.Parked(t.Context(), 0, 10)
	if err != nil || len(parked) != 1 {
		t.Fatalf("parked: %+v, %v, want one event", parked, err)
	}
	if n, err := store.Unpark(t.Context(), parked[0].ID); n != 1 || err != nil {
		t.Fatalf("Unpark = %d, %v, want 1", n, err)
	}
	if err := relay.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]int64{second.ID, first.ID}, got); diff != "" {
		t.Errorf("orders whose events were handled (-want +got):\n%s", diff)
	}
}

func TestReasonCanBeStored(t *testing.T) {
	for _, text := range []string{"", "plain", "nul \x00, not UTF-8 \xff\xc3", strings.Repeat("☃", 10000)} {
		reason := orders.EventError{ID: 1, Err: errors.New(text)}.Reason()
		if !utf8.ValidString(reason) || strings.Contains(reason, "\x00") || utf8.RuneCountInString(reason) > 500 {
			t.Errorf("reason of %.20q: %q, want at most 500 valid characters", text, reason)
		}
		if text == "plain" && reason != text {
			t.Errorf("reason of %q: %q", text, reason)
		}
	}
}

func TestOrdersAreRefusedWhileTheOutboxIsFull(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, log := newOutbox(), &lockedBuffer{}
		down := true
		relay := orders.NewRelay(box, func(context.Context, []orders.Event) error {
			if down {
				return errors.New("the broker is down")
			}
			return nil
		}, slog.New(slog.NewTextHandler(log, nil)))
		box.add(1)
		box.setMore(orders.MaxWaiting - 1)
		runFor(t, relay, time.Minute)
		if relay.IsFull() {
			t.Errorf("IsFull with %d events: true, want false", orders.MaxWaiting)
		}
		box.setMore(orders.MaxWaiting)
		runFor(t, relay, time.Minute)
		if n := strings.Count(log.String(), "new orders are refused"); !relay.IsFull() || n != 1 {
			t.Errorf("IsFull with one more: %v, want true, and once in the log, not %d times", relay.IsFull(), n)
		}
		box.setMore(orders.MaxWaiting - 1)
		down = false
		runFor(t, relay, time.Minute)
		if n := strings.Count(log.String(), "new orders are taken"); relay.IsFull() || n != 1 {
			t.Errorf("IsFull after events left: %v, want false, and once in the log, not %d times", relay.IsFull(), n)
		}
	})
}

func TestServiceRefusesWhile(t *testing.T) {
	full := false
	s := orders.NewService(openStore(t), &breakable{}, noLog)
	s.RefuseWhile(func() bool { return full })
	keyed := oneLine(1)
	keyed.IdempotencyKey = "k"
	first, err := s.CreateOrder(t.Context(), keyed)
	if err != nil {
		t.Fatal(err)
	}
	full = true
	fresh := oneLine(2)
	fresh.IdempotencyKey = "fresh"
	for _, n := range []hangar.NewOrder{oneLine(1), fresh} {
		_, err := s.CreateOrder(t.Context(), n)
		wantCode(t, "CreateOrder while the outbox is full", err, hangar.Unavailable)
		if !strings.Contains(err.Error(), "events of earlier orders cannot be delivered") {
			t.Errorf("CreateOrder while the outbox is full: %v, want it to say why", err)
		}
	}
	again, err := s.CreateOrder(t.Context(), keyed)
	if err != nil || !again.Replayed || again.Order.ID != first.Order.ID {
		t.Errorf("CreateOrder with a known key while the outbox is full = %+v, %v, want the first answer", again, err)
	}
	if _, err := s.CreateOrder(t.Context(), oneLine(0)); hangar.CodeOf(err) != hangar.ValidationError {
		t.Errorf("CreateOrder that is not valid: %v, want that", err)
	}
	if _, err := s.CancelOrder(t.Context(), first.Order.ID); err != nil {
		t.Errorf("CancelOrder while the outbox is full: %v, want no error", err)
	}
	page, err := s.ListOrders(t.Context(), hangar.OrderQuery{Limit: 10})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("orders: %+v, %v, want none of those that were refused", page.Items, err)
	}
	full = false
	if created, err := s.CreateOrder(t.Context(), fresh); err != nil || created.Replayed {
		t.Errorf("CreateOrder with the refused key, later = %+v, %v, want a new order", created, err)
	}
}

// SQLite's outbox gives ids again once it is empty: an event must not pay for
// another that had its id.
func TestEventWithTheIDOfAParkedOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := newOutbox()
		failures := orders.PublishTries + 1 // the first event is parked, the second fails once
		relay := orders.NewRelay(box, orders.PublishTo(handlerFunc(func(hangar.OrderCreated) error {
			if failures--; failures >= 0 {
				return errors.New("boom")
			}
			return nil
		})), noLog)
		box.add(1)
		runFor(t, relay, time.Hour)
		delete(box.parked, 1)
		box.add(1)
		runFor(t, relay, time.Hour)
		if failures >= 0 || len(box.parked) != 0 || box.len() != 0 {
			t.Errorf("an event with the id of a parked one failed once: parked %v, %d left, want none", box.parked, box.len())
		}
	})
}
