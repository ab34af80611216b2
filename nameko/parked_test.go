package nameko_test

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

// parkAll lets a service park events, and stops it.
func parkAll(t *testing.T, url string, payloads ...string) {
	t.Helper()
	broker := newBroker(t, url)
	stop := start(t, listener(broker, func(context.Context, nameko.Event) error { return nameko.ErrUnusable }))
	announce(t, broker, payloads...)
	parked(t, broker, len(payloads))
	stop()
}

func TestParkedEventsAreListedAndStay(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	list := nameko.NewParked(broker, failQueue)
	if events, all, err := list.List(t.Context(), 10); err != nil || all != 0 || len(events) != 0 {
		t.Errorf("list where nothing ever was parked: %v, %d, %v, want nothing", events, all, err)
	}
	large := `"` + strings.Repeat("x", 5000) + `"`
	parkAll(t, url, `1`, `2`, large)
	for range 25 { // looking is no delivery that counts
		events, all, err := list.List(t.Context(), 2)
		if err != nil || all != 3 || len(events) != 2 || string(events[0].Body) != "1" || string(events[1].Body) != "2" {
			t.Fatalf("list of two: %v, %d, %v, want the first two of 3", events, all, err)
		}
	}
	events := parked(t, broker, 3)
	if last := events[2]; string(last.Body) != large[:1000] || last.Size != len(large) {
		t.Errorf("a large body is %d of %d bytes, want its first 1000 of %d", len(last.Body), last.Size, len(large))
	}
	// What somebody else has put there says nothing of itself.
	must(t, dial(t, url).Publish("", parkedQueue, true, false, amqp.Publishing{Body: []byte("\xff"), ContentType: "x/y"}))
	want := nameko.ParkedEvent{Body: []byte("\xff"), Size: 1}
	if diff := cmp.Diff(want, parked(t, broker, 4)[3]); diff != "" {
		t.Errorf("a stranger's message (-want +got):\n%s", diff)
	}
}

func TestParkedEventsAreReplayed(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	var payloads []string
	for i := range 250 {
		payloads = append(payloads, fmt.Sprint(i))
	}
	parkAll(t, url, payloads...)
	broker := retrying(t, url, time.Millisecond)
	list := nameko.NewParked(broker, failQueue)
	replay := func(most, want int) {
		t.Helper()
		if n, err := list.Replay(t.Context(), most); err != nil || n != want {
			t.Errorf("replay of %d: %d, %v, want %d", most, n, err, want)
		}
	}
	replay(2, 2)
	if first := parked(t, broker, 248)[0]; string(first.Body) != "2" {
		t.Errorf("after two were replayed the first is %s, want the third", first.Body)
	}
	replay(1000, 248)
	replay(1000, 0)

	handled := make(chan nameko.Event, len(payloads))
	var tries atomic.Int64
	start(t, listener(broker, func(_ context.Context, e nameko.Event) error {
		if string(e.Payload) == "0" {
			tries.Add(1)
			return errNotNow
		}
		handled <- e
		return nil
	}))
	for i := range payloads[1:] {
		if e := receive(t, "replayed event", handled); string(e.Payload) != payloads[i+1] || e.Type != "happened" {
			t.Fatalf("replayed event %d is %+v, want %s in its turn", i+1, e, payloads[i+1])
		}
	}
	// Its tries begin anew.
	if got := parked(t, broker, 1)[0]; got.Tries != 2 || tries.Load() != 2 || got.Type != "happened" {
		t.Errorf("an event that fails again is parked as %+v after %d tries, want 2", got, tries.Load())
	}
}

// Events whose service is gone stay parked.
func TestReplayIntoAQueueThatIsGone(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	parkAll(t, url, `1`, `2`)
	_, err := dial(t, url).QueueDelete(failQueue, false, false, false)
	must(t, err)
	broker := newBroker(t, url)
	if n, err := nameko.NewParked(broker, failQueue).Replay(t.Context(), 10); err == nil || n != 0 {
		t.Errorf("replay into a queue that is gone: %d, %v, want an error", n, err)
	}
	parked(t, broker, 2)
}

// What does not fit is tried again, after the longest time that there is.
func TestParkedQueueIsFull(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	parkAll(t, url, `1`)
	ch := dial(t, url)
	for range 99_999 {
		must(t, ch.Publish("", parkedQueue, false, false, amqp.Publishing{Body: []byte("1")}))
	}
	eventually(t, "it is full", func() bool { return messages(t, url, parkedQueue) == 100_000 })
	broker := retrying(t, url, 2*time.Hour, time.Hour)
	stop := start(t, listener(broker, func(_ context.Context, e nameko.Event) error { return nameko.ErrUnusable }))
	announce(t, broker, `"more"`, `"and more"`)
	eventually(t, "what does not fit waits", func() bool { return messages(t, url, "hangar.retry-"+failQueue+"-7200000ms") == 2 })
	stop()
	eventually(t, "nothing is left", func() bool { return isDone(t, url, failQueue) })
	if n := messages(t, url, parkedQueue); n != 100_000 {
		t.Errorf("%d are parked, want no more than before", n)
	}
}

// Replaying without a broker ends.
func TestParkedWithoutABroker(t *testing.T) {
	list := nameko.NewParked(newBroker(t, "amqp://127.0.0.1:1"), failQueue)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, _, err := list.List(ctx, 1); err == nil {
		t.Error("list without a broker: no error")
	}
	if _, err := list.Replay(ctx, 1); err == nil {
		t.Error("replay without a broker: no error")
	}
}
