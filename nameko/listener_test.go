package nameko_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

// diary notes what a listener tells.
type diary struct {
	mu      sync.Mutex
	entries []string
	fail    func(payload string) error // nil never does
}

func (d *diary) note(entry string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
}

func (d *diary) Listening() { d.note("listening") }
func (d *diary) Deaf()      { d.note("deaf") }

func (d *diary) Hear(_ context.Context, e nameko.Event) error {
	d.note(e.Type + " " + string(e.Payload))
	if d.fail == nil {
		return nil
	}
	return d.fail(string(e.Payload))
}

func (d *diary) has(want ...string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Equal(d.entries, want)
}

func (d *diary) eventually(t *testing.T, want ...string) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the diary says %q, want %q", d.entries, want)
		}
	})
	eventually(t, "the diary says what it should", func() bool { return d.has(want...) })
}

func happened(payload string) nameko.Event {
	return nameko.Event{Type: "happened", Payload: json.RawMessage(payload), Transient: true}
}

func listens(s nameko.Subscription) nameko.Subscription {
	s.Source, s.Event = "src", "happened"
	return s
}

func TestEveryListenerHearsEveryEvent(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	publisher := nameko.NewPublisher(newBroker(t, url), "src")
	must(t, publisher.Publish(t.Context(), happened("0"))) // which nobody hears
	a, b := new(diary), new(diary)
	run(t, nameko.NewListener(newBroker(t, url), "listener", a, listens(nameko.Subscription{Method: "m"})).Run)
	stop := run(t, nameko.NewListener(newBroker(t, url), "listener", b, listens(nameko.Subscription{Method: "m"}),
		nameko.Subscription{Source: "src", Event: "other", Method: "m"}).Run)
	a.eventually(t, "listening")
	b.eventually(t, "listening")
	must(t, publisher.Publish(t.Context(), happened("1"), happened("2")))
	a.eventually(t, "listening", "happened 1", "happened 2")
	b.eventually(t, "listening", "happened 1", "happened 2")
	must(t, publisher.Publish(t.Context(), nameko.Event{Type: "other", Payload: json.RawMessage("3")}))
	b.eventually(t, "listening", "happened 1", "happened 2", "other 3")
	stop()
	b.eventually(t, "listening", "happened 1", "happened 2", "other 3", "deaf")
	must(t, publisher.Publish(t.Context(), happened("4")))
	a.eventually(t, "listening", "happened 1", "happened 2", "happened 4")
}

// What is transient is so on the wire.
func TestTransientEvent(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	ch := dial(t, url)
	must(t, ch.ExchangeDeclare("src.events", "topic", true, false, false, false, nil))
	_, err := ch.QueueDeclare("tap", false, true, true, false, nil)
	must(t, err)
	must(t, ch.QueueBind("tap", "happened", "src.events", false, nil))
	must(t, nameko.NewPublisher(newBroker(t, url), "src").Publish(t.Context(), happened("1")))
	d, ok, err := ch.Get("tap", true)
	if err != nil || !ok || d.DeliveryMode != amqp.Transient || d.ContentType != "application/json" || string(d.Body) != "1" {
		t.Errorf("the event in the queue: %v, %v, %+v, want it there, transient", ok, err, d)
	}
}

func TestListenerSaysWhenItIsDeaf(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	p := newProxy(t, url)
	d := new(diary)
	run(t, nameko.NewListener(newBroker(t, p.url), "listener", d, listens(nameko.Subscription{Method: "m"})).Run)
	d.eventually(t, "listening")
	p.cut()
	d.eventually(t, "listening", "deaf", "listening")
	must(t, nameko.NewPublisher(newBroker(t, url), "src").Publish(t.Context(), happened("1")))
	d.eventually(t, "listening", "deaf", "listening", "happened 1")
}

// What cannot be heard is missed, and the listener says so.
func TestListenerIsDeafToWhatItCannotHear(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	publisher := nameko.NewPublisher(newBroker(t, url), "src")
	d := &diary{fail: func(payload string) error {
		if payload == "2" {
			panic("of the audience")
		}
		return errors.New("of the audience")
	}}
	run(t, nameko.NewListener(newBroker(t, url), "listener", d, listens(nameko.Subscription{Method: "m"})).Run)
	want := []string{"listening"}
	d.eventually(t, want...)
	for _, payload := range []string{"1", "2"} {
		must(t, publisher.Publish(t.Context(), happened(payload)))
		want = append(want, "happened "+payload, "deaf", "listening")
		d.eventually(t, want...)
	}
	ch := dial(t, url)
	must(t, ch.PublishWithContext(t.Context(), "src.events", "happened", false, false, amqp.Publishing{ContentType: "application/json", Body: []byte("{")}))
	d.eventually(t, append(want, "deaf", "listening")...)
}
