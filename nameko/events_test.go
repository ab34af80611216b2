package nameko_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"hangar/hangartest"
	"hangar/nameko"
)

// heard counts which subscriber got which event.
type heard struct {
	mu sync.Mutex
	by map[string]int
}

func (h *heard) handler(name string) nameko.EventHandler {
	return func(_ context.Context, e nameko.Event) error {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.by[name+string(e.Payload)]++
		return nil
	}
}

func (h *heard) count(prefix string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, times := range h.by {
		if strings.HasPrefix(name, prefix) {
			n += times
		}
	}
	return n
}

func TestEventsReachWhomTheyShould(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	h := &heard{by: make(map[string]int)}
	for instance := range 2 {
		s := nameko.NewServer(broker, "listener", 0, 0)
		for name, kind := range map[string]nameko.Kind{"pool": nameko.ServicePool, "other": nameko.ServicePool, "single": nameko.Singleton, "all": nameko.Broadcast} {
			sub := nameko.Subscription{Source: "src", Event: "happened", Method: name, Kind: kind}
			s.HandleEvent(sub, h.handler(fmt.Sprintf("%s %d ", name, instance)))
		}
		start(t, s)
	}
	second := nameko.NewServer(broker, "second", 0, 0)
	second.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "m", Kind: nameko.Singleton}, h.handler("single 2 "))
	start(t, second)
	publisher := nameko.NewPublisher(broker, "src")
	const events = 20
	for i := range events {
		must(t, publisher.Publish(t.Context(), nameko.Event{Type: "happened", Payload: json.RawMessage(fmt.Sprint(i))}))
	}
	must(t, publisher.Publish(t.Context(), nameko.Event{Type: "unheard", Payload: json.RawMessage("1")}))
	for prefix, want := range map[string]int{"pool": events, "other": events, "single": events, "all 0": events, "all 1": events} {
		eventually(t, fmt.Sprintf("%s got %d events", prefix, want), func() bool { return h.count(prefix) == want })
	}
	if a, b := h.count("pool 0"), h.count("pool 1"); a == 0 || b == 0 {
		t.Errorf("instances of a pool got %d and %d events, want some each", a, b)
	}
}

// An event that must not be missed waits for a service that has never run.
func TestEventBeforeTheFirstSubscriber(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	sub := nameko.Subscription{Source: "src", Event: "happened", Method: "late"}
	publisher := nameko.NewPublisher(broker, "src", nameko.Subscriber{Service: "listener", Subscription: sub})
	ctx := nameko.WithData(nameko.Begin(t.Context(), "a", "b"), "language", "en")
	must(t, publisher.Publish(ctx, nameko.Event{Type: "happened", Payload: json.RawMessage(`{"n": 1}`)}))

	ch := dial(t, url)
	d, ok, err := ch.Get("evt-src-happened--listener.late", false)
	if err != nil || !ok {
		t.Fatalf("the event in its queue: %v, %v, want it there", ok, err)
	}
	if d.DeliveryMode != 2 || d.ContentType != "application/json" || d.ContentEncoding != "utf-8" || d.Priority != 0 || d.ReplyTo != "" ||
		d.CorrelationId != "" || d.Exchange != "src.events" || d.RoutingKey != "happened" || d.Headers["nameko.language"] != "en" || d.Expiration != "" {
		t.Errorf("properties of the event: %+v", d)
	}
	must(t, d.Nack(false, true))

	h := &heard{by: make(map[string]int)}
	s := nameko.NewServer(broker, "listener", 0, 0)
	s.HandleEvent(sub, h.handler("late "))
	start(t, s)
	eventually(t, "the event is handled", func() bool { return h.count("late") == 1 })

	// The queue is deleted behind our backs: the next event says so, the one after has it again.
	_, err = ch.QueueDelete("evt-src-happened--listener.late", false, false, false)
	must(t, err)
	eventually(t, "the service listens again, and an event reaches it", func() bool {
		return publisher.Publish(t.Context(), nameko.Event{Type: "happened", Payload: json.RawMessage("2")}) == nil && h.count("late 2") > 0
	})
}

// An event that can never be published is named, whatever is beside it, and the
// others can be published without it.
func TestEventThatCanNeverBePublishedIsNamed(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	h := &heard{by: make(map[string]int)}
	s := nameko.NewServer(broker, "listener", 0, 0)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "m"}, h.handler("got "))
	start(t, s)
	publisher := nameko.NewPublisher(broker, "src")
	for name, bad := range map[string]string{
		"not JSON":                 `{"n":`,
		"JSON that cannot be sent": `{"__type__": 1, "__value__": 2}`,
		"too large":                `"` + strings.Repeat("x", 17<<20) + `"`,
	} {
		t.Run(name, func(t *testing.T) {
			var events []nameko.Event
			for i := range 300 { // more than one batch
				events = append(events, nameko.Event{Type: "happened", Payload: json.RawMessage(fmt.Sprintf("%q", fmt.Sprint(name, i)))})
			}
			// What is large, and yet taken, is not taken for the bad one.
			events[270].Payload = json.RawMessage(`"` + strings.Repeat("y", 2<<20) + `"`)
			events[280].Payload = json.RawMessage(bad)
			err := publisher.Publish(t.Context(), events...)
			e, ok := errors.AsType[nameko.EventError](err)
			if !ok || e.Index != 280 {
				t.Fatalf("Publish with event 280 bad: %.300v, want an EventError that names it", err)
			}
			must(t, publisher.Publish(t.Context(), append(events[:280:280], events[281:]...)...))
			eventually(t, "the others came", func() bool {
				for i := range 300 {
					if i != 270 && i != 280 && h.count(fmt.Sprintf("got %q", fmt.Sprint(name, i))) == 0 {
						return false
					}
				}
				return true
			})
		})
	}
}
