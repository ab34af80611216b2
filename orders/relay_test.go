package orders_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/orders"
)

// waitFor returns when the condition holds. If it never does, the time limit of
// all tests shows the line that waits.
func waitFor(condition func() bool) {
	for !condition() {
		runtime.Gosched()
	}
}

// outbox is a store that has nothing but an outbox.
type outbox struct {
	orders.Store
	mu     sync.Mutex
	events []orders.Event
	parked map[int64]string // why, by id
	more   int64            // that wait, beside the events
	added  chan struct{}
	fail   error
}

func newOutbox() *outbox {
	return &outbox{added: make(chan struct{}, 1), parked: make(map[int64]string)}
}

func (o *outbox) add(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for range n {
		id := int64(len(o.events) + 1)
		o.events = append(o.events, orders.Event{ID: id, Type: hangar.OrderCreatedEvent, Payload: fmt.Appendf(nil, `{"order":{"id":%d}}`, id)})
	}
}

func (o *outbox) len() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.events)
}

func (o *outbox) Added() <-chan struct{} { return o.added }

func (o *outbox) Relay(ctx context.Context, limit int, publish func(context.Context, []orders.Event) error) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	batch := o.events[:min(limit, len(o.events))]
	if o.fail != nil {
		return 0, o.fail
	}
	if len(batch) == 0 {
		return 0, nil
	}
	if err := publish(ctx, batch); err != nil {
		bad, _ := errors.AsType[orders.BadEvents](err)
		for _, e := range bad {
			o.parked[e.ID] = e.Reason()
			o.events = slices.DeleteFunc(o.events, func(other orders.Event) bool { return other.ID == e.ID })
		}
		return 0, err
	}
	o.events = o.events[len(batch):]
	return len(batch), nil
}

func (o *outbox) OutboxStatistics(context.Context) (hangar.OutboxStatistics, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return hangar.OutboxStatistics{Waiting: int64(len(o.events)) + o.more}, o.fail
}

func (o *outbox) setMore(n int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.more = n
}

func TestDrainEmptiesTheOutbox(t *testing.T) {
	for _, n := range []int{0, 1, 100, 250} {
		box := newOutbox()
		box.add(n)
		var got []int64
		publish := func(_ context.Context, events []orders.Event) error {
			for _, e := range events {
				got = append(got, e.ID)
			}
			return nil
		}
		if err := orders.NewRelay(box, publish, noLog).Drain(t.Context()); err != nil {
			t.Errorf("Drain of %d events: %v, want no error", n, err)
		}
		if len(got) != n || box.len() != 0 {
			t.Errorf("Drain of %d events published %d and left %d", n, len(got), box.len())
		}
		for i, id := range got {
			if id != int64(i+1) {
				t.Fatalf("event %d of %d that were published is %d, want them in their order", i+1, n, id)
			}
		}
	}
}

func TestDrainStopsAtAFailure(t *testing.T) {
	box, down := newOutbox(), errors.New("the broker is down")
	box.add(2)
	err := orders.NewRelay(box, func(context.Context, []orders.Event) error { return down }, noLog).Drain(t.Context())
	if !errors.Is(err, down) || box.len() != 2 {
		t.Errorf("Drain = %v, with %d events left, want the failure and 2", err, box.len())
	}
}

// In a bubble of its own time, so that backing off takes none.
func TestRelayTriesAgainUntilAllIsPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box, log := newOutbox(), &lockedBuffer{}
		box.add(3)
		ctx, cancel := context.WithCancel(t.Context())
		tries, published := 0, 0
		var waits []time.Duration
		last := time.Now()
		relay := orders.NewRelay(box, func(_ context.Context, events []orders.Event) error {
			waits = append(waits, time.Since(last))
			last = time.Now()
			if tries++; tries <= 12 {
				return errors.New("the broker is down")
			}
			published += len(events)
			return nil
		}, slog.New(slog.NewTextHandler(log, nil)))
		ended := make(chan error)
		go func() { ended <- relay.Run(ctx) }()
		time.Sleep(time.Hour) // of the bubble
		synctest.Wait()
		if tries != 13 || published != 3 || box.len() != 0 {
			t.Errorf("after 12 failures: %d tries, %d published, %d left; want 13, 3 and 0", tries, published, box.len())
		}
		if n := strings.Count(log.String(), "the broker is down"); n != 12 {
			t.Errorf("12 failures are in the log %d times", n)
		}
		for i, wait := range waits[2:] {
			if wait > 5*time.Second || wait <= 0 {
				t.Errorf("wait %d: %v, want at most 5s, and some", i, wait)
			}
		}
		if first, tenth := waits[1], waits[10]; tenth <= first {
			t.Errorf("waits: %v, want them to grow", waits)
		}

		// A hint is followed soon, and without one the outbox is looked at.
		box.add(1)
		box.added <- struct{}{}
		time.Sleep(100 * time.Millisecond)
		synctest.Wait()
		if box.len() != 0 {
			t.Error("an event that was hinted at was not published")
		}
		box.add(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if box.len() != 0 {
			t.Error("an event whose hint was lost was not published")
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run, cancelled: %v, want nil", err)
		}
	})
}

func TestRelayEndsWhileItBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		box := newOutbox()
		box.fail = errors.New("the disk is full")
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- orders.NewRelay(box, nil, noLog).Run(ctx) }()
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run, cancelled: %v, want nil", err)
		}
	})
}

type handlerFunc func(e hangar.OrderCreated) error

func (f handlerFunc) HandleOrderCreated(_ context.Context, e hangar.OrderCreated) error { return f(e) }

func TestPublishTo(t *testing.T) {
	want := hangar.OrderCreated{Order: hangar.Order{
		ID: 7, Status: hangar.Confirmed, Version: 1, Hold: "h", CreatedAt: time.Unix(1, 0).UTC(),
		Details: []hangar.OrderDetail{{ID: 1, ProductID: "ü ☃", Price: hangar.MaxPrice, Quantity: 2}},
	}}
	payload, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	event := orders.Event{ID: 1, Type: hangar.OrderCreatedEvent, Payload: payload}
	var got []hangar.OrderCreated
	fail := error(nil)
	publish := orders.PublishTo(handlerFunc(func(e hangar.OrderCreated) error {
		got = append(got, e)
		return fail
	}))
	if err := publish(t.Context(), []orders.Event{event, event}); err != nil {
		t.Errorf("publish: %v, want no error", err)
	}
	if diff := cmp.Diff([]hangar.OrderCreated{want, want}, got); diff != "" {
		t.Errorf("what arrived (-want +got):\n%s", diff)
	}
	fail = errors.New("the stock is down")
	if err := publish(t.Context(), []orders.Event{event, event}); !errors.Is(err, fail) || len(got) != 3 {
		t.Errorf("publish to a handler that fails = %v after %d events, want its error after the first", err, len(got)-2)
	}
	if failure, ok := errors.AsType[orders.EventError](publish(t.Context(), []orders.Event{event})); !ok || failure.ID != 1 {
		t.Errorf("publish to a handler that fails: %v, want it to name the event", failure)
	}
	bad := []orders.Event{{ID: 8, Type: "unknown"}, event, {ID: 9, Type: hangar.OrderCreatedEvent, Payload: []byte("x")}}
	before := len(got)
	named, _ := errors.AsType[orders.BadEvents](publish(t.Context(), bad))
	if len(named) != 2 || named[0].ID != 8 || named[1].ID != 9 || len(got) != before {
		t.Errorf("publish with two events that cannot be read: %v after %d were handled, want these two before any is", named, len(got)-before)
	}
	if err := orders.CheckEvents(bad[1:2]); err != nil {
		t.Errorf("CheckEvents of a good one: %v, want no error", err)
	}
}

func TestPanicOfAHandlerIsAnError(t *testing.T) {
	publish := orders.PublishTo(handlerFunc(func(hangar.OrderCreated) error { panic("boom") }))
	err := publish(t.Context(), []orders.Event{{ID: 3, Type: hangar.OrderCreatedEvent, Payload: []byte("{}")}})
	failure, ok := errors.AsType[orders.EventError](err)
	if !ok || failure.ID != 3 || !strings.Contains(err.Error(), "boom") {
		t.Errorf("publish to a handler that panics: %v, want an error of event 3 that says why", err)
	}
}

// What the service puts into the outbox is what a handler gets.
func TestOrderCreatedOfAnOrder(t *testing.T) {
	store := openStore(t)
	s := orders.NewService(store, &breakable{}, noLog)
	want := []hangar.OrderCreated{{Order: create(t, s)}, {Order: create(t, s)}}
	var got []hangar.OrderCreated
	relay := orders.NewRelay(store, orders.PublishTo(handlerFunc(func(e hangar.OrderCreated) error {
		got = append(got, e)
		return nil
	})), noLog)
	if err := relay.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("events of two orders (-want +got):\n%s", diff)
	}
}
