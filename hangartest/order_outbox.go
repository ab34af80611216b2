package hangartest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/orders"
)

func insertEvent(t *testing.T, s orders.Store, payload string) {
	t.Helper()
	stored := insert(t, s, newOrder(line("a", 1)), nil)
	event := &orders.Event{Type: hangar.OrderCreatedEvent, Payload: []byte(payload)}
	settle(t, s, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: event})
}

// relayed empties the outbox.
func relayed(t *testing.T, s orders.Store, limit int) []orders.Event {
	t.Helper()
	var events []orders.Event
	for {
		n, err := s.Relay(t.Context(), limit, func(_ context.Context, batch []orders.Event) error {
			if len(batch) == 0 || len(batch) > limit {
				t.Errorf("Relay(%d) passed %d events, want 1 to %d", limit, len(batch), limit)
			}
			events = append(events, batch...)
			return nil
		})
		wantNil(t, "Relay", err)
		if n == 0 {
			return events
		}
	}
}

func payloads(events []orders.Event) []string {
	list := []string{}
	for _, e := range events {
		list = append(list, string(e.Payload))
	}
	return list
}

func testRelay(t *testing.T, s orders.Store) {
	var want []string
	for i := range 5 {
		want = append(want, fmt.Sprintf(`{"n":%d,"text":"ü ☃"}`, i))
		insertEvent(t, s, want[i])
	}
	n, err := s.Relay(t.Context(), 2, func(_ context.Context, events []orders.Event) error {
		wantEqual(t, "the first two events", payloads(events), want[:2])
		return nil
	})
	if n != 2 || err != nil {
		t.Fatalf("Relay(2) = %d, %v, want 2", n, err)
	}
	rest := relayed(t, s, 2)
	if diff := cmp.Diff(want[2:], payloads(rest)); diff != "" {
		t.Fatalf("the other events (-want +got):\n%s", diff)
	}
	last := int64(0)
	for _, e := range rest {
		if e.Type != hangar.OrderCreatedEvent || e.ID <= last {
			t.Errorf("event %d after event %d has the type %q, want a rising id and %q", e.ID, last, e.Type, hangar.OrderCreatedEvent)
		}
		last = e.ID
	}
}

func testRelayFailure(t *testing.T, s orders.Store) {
	insertEvent(t, s, "1")
	insertEvent(t, s, "2")
	down := errors.New("the broker is down")
	for range 3 {
		n, err := s.Relay(t.Context(), 10, func(_ context.Context, events []orders.Event) error {
			wantEqual(t, "events that are passed again", payloads(events), []string{"1", "2"})
			return down
		})
		if n != 0 || !errors.Is(err, down) {
			t.Errorf("Relay = %d, %v, want 0 and the error of publish", n, err)
		}
	}
	wantEqual(t, "events after the failures", payloads(relayed(t, s, 10)), []string{"1", "2"})
}

func testRelayEmpty(t *testing.T, s orders.Store) {
	n, err := s.Relay(t.Context(), 10, func(_ context.Context, events []orders.Event) error {
		t.Errorf("publish was called with %d events of an empty outbox", len(events))
		return nil
	})
	if n != 0 || err != nil {
		t.Errorf("Relay of an empty outbox = %d, %v, want 0", n, err)
	}
}

// An order is confirmed between the moment at which events were published and
// the one at which they are deleted.
func testRelayMeanwhile(t *testing.T, s orders.Store) {
	insertEvent(t, s, "1")
	n, err := s.Relay(t.Context(), 10, func(context.Context, []orders.Event) error {
		insertEvent(t, s, "2")
		return nil
	})
	if n != 1 || err != nil {
		t.Fatalf("Relay = %d, %v, want 1", n, err)
	}
	wantEqual(t, "events after one was added while another was published", payloads(relayed(t, s, 10)), []string{"2"})
}

func testRelayAtOnce(t *testing.T, s orders.Store) {
	var (
		mu        sync.Mutex
		published = map[string]bool{}
		stop      = make(chan struct{})
		relays    sync.WaitGroup
	)
	for range 4 {
		relays.Go(func() {
			for stopped := false; !stopped; {
				select {
				case <-stop:
					stopped = true
				default:
				}
				_, err := s.Relay(t.Context(), 2, func(_ context.Context, events []orders.Event) error {
					mu.Lock()
					defer mu.Unlock()
					for _, payload := range payloads(events) {
						published[payload] = true
					}
					return nil
				})
				if err != nil {
					t.Errorf("Relay: %v, want no error", err)
				}
			}
		})
	}
	for i := range 100 {
		insertEvent(t, s, fmt.Sprint(i))
	}
	close(stop)
	relays.Wait()
	for _, payload := range payloads(relayed(t, s, 10)) {
		published[payload] = true
	}
	if len(published) != 100 {
		t.Errorf("of 100 events %d were published, want all", len(published))
	}
}

func testAdded(t *testing.T, s orders.Store) {
	insertEvent(t, s, "1")
	select {
	case <-s.Added():
	case <-t.Context().Done():
		t.Error("Added received nothing after an event was added")
	}
	relayed(t, s, 10)
	for range 300 { // nobody listens, and nobody waits for that
		insertEvent(t, s, "2")
	}
	select {
	case <-s.Added():
	case <-t.Context().Done():
		t.Error("Added received nothing after 300 events were added")
	}
}

// park passes the outbox to a publish that says of those payloads that they can
// never be delivered.
func park(t *testing.T, s orders.Store, reasons map[string]string) {
	t.Helper()
	var bad orders.BadEvents
	n, err := s.Relay(t.Context(), 100, func(_ context.Context, events []orders.Event) error {
		for _, e := range events {
			if reason, ok := reasons[string(e.Payload)]; ok {
				bad = append(bad, orders.EventError{ID: e.ID, Err: errors.New(reason)})
			}
		}
		return fmt.Errorf("publish: %w", bad)
	})
	got, ok := errors.AsType[orders.BadEvents](err)
	if n != 0 || !ok || len(got) != len(reasons) {
		t.Fatalf("Relay with %d bad events = %d, %v, want 0 and what publish said", len(reasons), n, err)
	}
}

func parked(t *testing.T, s orders.Store, after int64, limit int) []orders.ParkedEvent {
	t.Helper()
	list, err := s.Parked(t.Context(), after, limit)
	wantNil(t, "Parked", err)
	return list
}

func testPark(t *testing.T, s orders.Store) {
	wantEqual(t, "parked events of a new store", len(parked(t, s, 0, 10)), 0)
	for _, payload := range []string{"1", `{"n":2,"text":"ü ☃"}`, "3", "4", "5"} {
		insertEvent(t, s, payload)
	}
	began := time.Now().Truncate(time.Microsecond)
	park(t, s, map[string]string{`{"n":2,"text":"ü ☃"}`: "it is \x00 \xff bad ☃", "4": strings.Repeat("long", 10000)})
	got := parked(t, s, 0, 10)
	if len(got) != 2 {
		t.Fatalf("parked events: %+v, want 2", got)
	}
	for _, e := range got {
		if e.Type != hangar.OrderCreatedEvent || e.ParkedAt.Before(began) || e.ParkedAt.Location() != time.UTC {
			t.Errorf("parked event: %+v, want its type, and a time in UTC since %v", e, began)
		}
	}
	wantEqual(t, "payload of a parked event", string(got[0].Payload), `{"n":2,"text":"ü ☃"}`)
	wantEqual(t, "why it was parked", got[0].Reason, "it is \uFFFD \uFFFD bad ☃")
	if n := len(got[1].Reason); n == 0 || n > 2000 {
		t.Errorf("a long reason came back with %d bytes, want its beginning", n)
	}
	wantEqual(t, "the events that are left", payloads(relayed(t, s, 10)), []string{"1", "3", "5"})
	wantEqual(t, "parked events after the others were relayed", parked(t, s, 0, 10), got)
}

// The outbox is empty in between: what comes then may have the ids that the
// parked ones had.
func testParkAll(t *testing.T, s orders.Store) {
	for _, payload := range []string{"1", "2", "3"} {
		insertEvent(t, s, payload)
		park(t, s, map[string]string{payload: "bad"})
	}
	last := int64(0)
	for i, e := range parked(t, s, 0, 10) {
		if want := fmt.Sprint(i + 1); string(e.Payload) != want || e.ID <= last {
			t.Errorf("parked event %d after %d: %q, want %s and a rising id", e.ID, last, e.Payload, want)
		}
		last = e.ID
	}
	insertEvent(t, s, "4")
	wantEqual(t, "the events behind them", payloads(relayed(t, s, 10)), []string{"4"})
}

func testParkUnknown(t *testing.T, s orders.Store) {
	insertEvent(t, s, "1")
	_, err := s.Relay(t.Context(), 10, func(_ context.Context, events []orders.Event) error {
		return orders.BadEvents{{ID: events[0].ID + 1, Err: errors.New("bad")}}
	})
	if err == nil {
		t.Error("Relay with an error of publish: no error, want that")
	}
	wantEqual(t, "parked events", len(parked(t, s, 0, 10)), 0)
	wantEqual(t, "events", payloads(relayed(t, s, 10)), []string{"1"})
}

func testParkedPages(t *testing.T, s orders.Store) {
	for _, payload := range []string{"1", "2", "3"} {
		insertEvent(t, s, payload)
	}
	park(t, s, map[string]string{"1": "a", "2": "b", "3": "c"})
	all := parked(t, s, 0, 10)
	if len(all) != 3 {
		t.Fatalf("parked events: %+v, want 3", all)
	}
	wantEqual(t, "the first two", parked(t, s, 0, 2), all[:2])
	wantEqual(t, "those after the first", parked(t, s, all[0].ID, 10), all[1:])
	wantEqual(t, "those after the last", len(parked(t, s, all[2].ID, 10)), 0)
}

func testUnpark(t *testing.T, s orders.Store) {
	for _, payload := range []string{"1", "2", "3"} {
		insertEvent(t, s, payload)
	}
	park(t, s, map[string]string{"1": "a", "2": "b", "3": "c"})
	all := parked(t, s, 0, 10)
	insertEvent(t, s, "4")
	for len(s.Added()) > 0 {
		<-s.Added()
	}
	n, err := s.Unpark(t.Context(), all[2].ID, all[0].ID, all[2].ID+100)
	if n != 2 || err != nil {
		t.Fatalf("Unpark of two events and one that is not there = %d, %v, want 2", n, err)
	}
	select {
	case <-s.Added():
	case <-t.Context().Done():
		t.Error("Added received nothing after events were put back")
	}
	wantEqual(t, "events that are still parked", parked(t, s, 0, 10), all[1:2])
	wantEqual(t, "the outbox", payloads(relayed(t, s, 10)), []string{"4", "1", "3"})
	if n, err := s.Unpark(t.Context(), all[2].ID, all[0].ID); n != 0 || err != nil {
		t.Errorf("Unpark again = %d, %v, want 0", n, err)
	}
	if n, err := s.Unpark(t.Context()); n != 0 || err != nil {
		t.Errorf("Unpark of nothing = %d, %v, want 0", n, err)
	}
	insertEvent(t, s, "5")
	park(t, s, map[string]string{"5": "bad"})
	if e := parked(t, s, all[2].ID, 10); len(e) != 1 {
		t.Errorf("parked after %d was put back: %+v, want one event with a higher id", all[2].ID, e)
	}
}

func testUnparkAtOnce(t *testing.T, s orders.Store) {
	for _, payload := range []string{"1", "2", "3"} {
		insertEvent(t, s, payload)
	}
	park(t, s, map[string]string{"1": "a", "2": "b", "3": "c"})
	all := parked(t, s, 0, 10)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			if _, err := s.Unpark(t.Context(), all[i%3].ID, all[(i+1)%3].ID, all[(i+2)%3].ID); err != nil {
				t.Errorf("Unpark: %v, want no error", err)
			}
		})
	}
	wg.Wait()
	wantEqual(t, "the outbox", payloads(relayed(t, s, 10)), []string{"1", "2", "3"})
	wantEqual(t, "parked events", len(parked(t, s, 0, 10)), 0)
}

func testOutboxStatistics(t *testing.T, s orders.Store) {
	counted := func(what string, waiting, parked int64) time.Duration {
		t.Helper()
		got, err := s.OutboxStatistics(t.Context())
		wantNil(t, "OutboxStatistics", err)
		wantEqual(t, "OutboxStatistics with "+what, got, hangar.OutboxStatistics{Waiting: waiting, Oldest: got.Oldest, Parked: parked})
		return got.Oldest
	}
	if age := counted("an empty outbox", 0, 0); age != 0 {
		t.Errorf("the oldest event of an empty outbox has waited %v, want 0", age)
	}
	began := time.Now()
	insertEvent(t, s, "0")
	for counted("one event", 1, 0) < 20*time.Millisecond && t.Context().Err() == nil {
		time.Sleep(time.Millisecond)
	}
	later := time.Now()
	for n := range 4 {
		insertEvent(t, s, fmt.Sprint(n+1))
	}
	age := counted("five events", 5, 0)
	if most := time.Since(began) + time.Millisecond; age < 20*time.Millisecond || age > most {
		t.Errorf("the first event waits for %v, want 20ms to %v", age, most)
	}
	park(t, s, map[string]string{"0": "bad"})
	age = counted("one of five parked", 4, 1)
	if most := time.Since(later) + time.Millisecond; age > most {
		t.Errorf("the second event waits for %v, want up to %v", age, most)
	}
	if _, err := s.Relay(t.Context(), 2, func(context.Context, []orders.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	counted("three of five gone", 2, 1)
	relayed(t, s, 10)
	counted("all gone", 0, 1)
	later = time.Now()
	if _, err := s.Unpark(t.Context(), parked(t, s, 0, 1)[0].ID); err != nil {
		t.Fatal(err)
	}
	age = counted("one that was put back", 1, 0)
	if most := time.Since(later) + time.Millisecond; age > most {
		t.Errorf("an event that was put back waits for %v, want up to %v", age, most)
	}
}

// testOrigins checks that an event keeps what it comes from, wherever it goes.
func testOrigins(t *testing.T, s orders.Store) {
	want := []string{`{"request_id": "ü"}`, ""}
	for _, origin := range want {
		stored := insert(t, s, newOrder(line("a", 1)), nil)
		event := &orders.Event{Type: hangar.OrderCreatedEvent, Payload: []byte("{}"), Origin: origin}
		settle(t, s, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: event})
	}
	_, err := s.Relay(t.Context(), 10, func(_ context.Context, events []orders.Event) error {
		wantEqual(t, "the origins of events", origins(events), want)
		bad := orders.BadEvents{}
		for _, e := range events {
			bad = append(bad, orders.EventError{ID: e.ID, Err: errors.New("bad")})
		}
		return bad
	})
	if _, ok := errors.AsType[orders.BadEvents](err); !ok {
		t.Fatalf("Relay: %v, want the bad events", err)
	}
	parked, err := s.Parked(t.Context(), 0, 10)
	wantNil(t, "Parked", err)
	var events []orders.Event
	var ids []int64
	for _, e := range parked {
		events, ids = append(events, e.Event), append(ids, e.ID)
	}
	wantEqual(t, "the origins of parked events", origins(events), want)
	_, err = s.Unpark(t.Context(), ids...)
	wantNil(t, "Unpark", err)
	wantEqual(t, "the origins of events that were put back", origins(relayed(t, s, 10)), want)
}

func origins(events []orders.Event) []string {
	list := []string{}
	for _, e := range events {
		list = append(list, e.Origin)
	}
	return list
}
