package nameko_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

const (
	failQueue   = "evt-src-happened--listener.m"
	parkedQueue = "hangar.parked-" + failQueue
)

var errNotNow = errors.New("not now")

// quickly retries a few times within a moment.
func quickly() []time.Duration {
	return []time.Duration{time.Millisecond, 20 * time.Millisecond, 40 * time.Millisecond}
}

// listener returns a service with one handler of src.happened. It takes one event
// at a time.
func listener(b *nameko.Broker, h nameko.EventHandler) *nameko.Server {
	s := nameko.NewServer(b, "listener", 1, 1)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "m"}, h)
	return s
}

func retrying(t *testing.T, url string, delays ...time.Duration) *nameko.Broker {
	t.Helper()
	return newBrokerWith(t, nameko.Config{URL: url, RetryDelays: delays})
}

// announce publishes events of src, of type "happened".
func announce(t *testing.T, b *nameko.Broker, payloads ...string) {
	t.Helper()
	publisher := nameko.NewPublisher(b, "src")
	for _, payload := range payloads {
		must(t, publisher.Publish(t.Context(), nameko.Event{Type: "happened", Payload: json.RawMessage(payload)}))
	}
}

// messages returns how many messages are ready in a queue, -1 if it is not there.
func messages(t *testing.T, url, queue string) int {
	t.Helper()
	conn, err := amqp.Dial(url)
	must(t, err)
	defer conn.Close()
	ch, err := conn.Channel()
	must(t, err)
	state, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
	if err != nil {
		return -1
	}
	return state.Messages
}

// isDone reports whether nothing is left in a queue, acknowledged or not. It
// deletes it.
func isDone(t *testing.T, url, queue string) bool {
	t.Helper()
	_, err := dial(t, url).QueueDelete(queue, false, true, false)
	return err == nil
}

// parked waits until so many events are parked, and returns them.
func parked(t *testing.T, b *nameko.Broker, want int) []nameko.ParkedEvent {
	t.Helper()
	list := nameko.NewParked(b, failQueue)
	var events []nameko.ParkedEvent
	eventually(t, fmt.Sprintf("%d events are parked", want), func() bool {
		var err error
		events, _, err = list.List(t.Context(), 1000)
		must(t, err)
		return len(events) == want
	})
	return events
}

// A failed event comes back after longer and longer, and at last is parked.
func TestFailedEventIsTriedAgainAndParked(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := retrying(t, url, quickly()...)
	tries := make(chan nameko.Event, 100)
	start(t, listener(broker, func(_ context.Context, e nameko.Event) error {
		tries <- e
		if len(tries) == 2 {
			panic("not now either")
		}
		return fmt.Errorf("%s: %w", strings.Repeat("ü", 1000), errNotNow)
	}))
	announce(t, broker, `{"n": "☃"}`)
	got := parked(t, broker, 1)[0]
	if len(tries) != 4 {
		t.Errorf("the event was tried %d times, want once and after each of %v", len(tries), quickly())
	}
	for range len(tries) {
		if e := <-tries; e.Type != "happened" || string(e.Payload) != `{"n":"☃"}` {
			t.Errorf("a try was of %s %s, want the event as it was published", e.Type, e.Payload)
		}
	}
	if got.Type != "happened" || got.Tries != 4 || got.FailedAt.IsZero() || got.ParkedAt.Before(got.FailedAt) || !strings.HasPrefix(got.Reason, "üü") || len(got.Reason) > 1010 {
		t.Errorf("parked is %+v, want its type, 4 tries, when, and the beginning of the reason", got)
	}
	if string(got.Body) != `{"n":"☃"}` || got.Size != len(got.Body) {
		t.Errorf("the parked body is %s of %d bytes, want it as it was published", got.Body, got.Size)
	}
	// Each delay has its queue, which leads back; the service's own has no arguments.
	ch := dial(t, url)
	for _, delay := range quickly() {
		_, err := ch.QueueDeclare(fmt.Sprintf("hangar.retry-%s-%dms", failQueue, delay.Milliseconds()), true, false, false, false, amqp.Table{
			"x-message-ttl": delay.Milliseconds(), "x-dead-letter-exchange": "", "x-dead-letter-routing-key": failQueue,
			"x-queue-type": "quorum", "x-dead-letter-strategy": "at-least-once", "x-max-length": int64(100_000), "x-overflow": "reject-publish",
		})
		must(t, err)
	}
	_, err := ch.QueueDeclare(failQueue, true, false, false, false, nil)
	must(t, err)
	eventually(t, "nothing is left", func() bool { return isDone(t, url, failQueue) })
}

func TestPanickingHandlerIsTriedAgainAndParked(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := retrying(t, url, quickly()...)
	var tries atomic.Int64
	start(t, listener(broker, func(context.Context, nameko.Event) error { tries.Add(1); panic("at the disco") }))
	announce(t, broker, `1`)
	if got := parked(t, broker, 1)[0]; got.Tries != 4 || tries.Load() != 4 || !strings.HasPrefix(got.Reason, "panic: at the disco\n") {
		t.Errorf("parked after %d tries is %+v, want 4 and the panic as reason", tries.Load(), got)
	}
}

// With a prefetch of one, the event that failed is not in the way of the next.
func TestFailedEventDoesNotBlockOthers(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := retrying(t, url, time.Hour)
	handled := make(chan string, 100)
	start(t, listener(broker, func(_ context.Context, e nameko.Event) error {
		if string(e.Payload) == `"fails"` {
			return errNotNow
		}
		handled <- string(e.Payload)
		return nil
	}))
	announce(t, broker, `"fails"`, `1`, `"fails"`, `2`)
	for _, want := range []string{"1", "2"} {
		if got := receive(t, "event behind one that failed", handled); got != want {
			t.Errorf("handled %s, want %s", got, want)
		}
	}
	eventually(t, "nothing is left in the queue", func() bool { return isDone(t, url, failQueue) })
	// Of a quorum queue that takes its time RabbitMQ says that it is empty.
	eventually(t, "both wait to be tried again", func() bool { return messages(t, url, "hangar.retry-"+failQueue+"-3600000ms") == 2 })
}

// What can never be handled is not tried again, and not dropped.
func TestUnusableEventIsParkedAtOnce(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := retrying(t, url, time.Hour)
	start(t, listener(broker, func(context.Context, nameko.Event) error { return fmt.Errorf("%w: it is blue", nameko.ErrUnusable) }))
	announce(t, broker, `"blue"`)
	ch := dial(t, url)
	for _, m := range []amqp.Publishing{
		{Body: []byte("not json")},
		{Body: []byte(`"x"`), ContentType: "application/x-python-serialize"},
		{Body: []byte(`"x"`), Headers: amqp.Table{"compression": "application/x-gzip"}},
		{Body: []byte(`"x"`), Headers: amqp.Table{"compression": strings.Repeat("x", 100_000)}},
		{Body: []byte(`"x`), Headers: amqp.Table{strings.Repeat("n", 250): strings.Repeat("x", 100_000)}},
	} {
		must(t, ch.Publish("src.events", "happened", true, false, m))
	}
	var bodies []string
	for _, e := range parked(t, broker, 6) {
		bodies = append(bodies, string(e.Body))
		if e.Tries != 1 || !strings.HasPrefix(e.Reason, "unusable event: ") {
			t.Errorf("parked is %+v, want one try and the reason", e)
		}
	}
	if diff := cmp.Diff([]string{`"blue"`, `not json`, `"x"`, `"x"`, `"x"`, `"x`}, bodies); diff != "" {
		t.Errorf("bodies of what is parked (-want +got):\n%s", diff)
	}
	eventually(t, "nothing is left", func() bool { return isDone(t, url, failQueue) })
}

// A Python instance on the same queue may get the event when it comes again. It
// finds what was published.
func TestRetriedEventIsAsPublished(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	handling, fail := make(chan struct{}), make(chan struct{})
	stop := start(t, listener(retrying(t, url, time.Millisecond), func(context.Context, nameko.Event) error {
		handling <- struct{}{}
		<-fail
		return errNotNow
	}))
	uri, err := amqp.ParseURI(url)
	must(t, err)
	ch := dial(t, url)
	const body = `{"n":  1.10, "s": "\u00fc"}`
	other, err := ch.QueueDeclare("other", true, false, false, false, nil)
	must(t, err)
	published := amqp.Publishing{
		Headers:         amqp.Table{"nameko.call_id_stack": []any{"a.b.c"}, "nameko.language": "en", "plain": int32(1), "CC": []any{other.Name}},
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    2,
		Expiration:      "3600000",
		UserId:          uri.Username,
		MessageId:       "m1",
		Body:            []byte(body),
	}
	must(t, ch.Publish("src.events", "happened", true, false, published))
	receive(t, "event", handling)
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	eventually(t, "the service takes no more", func() bool {
		q, err := ch.QueueDeclare(failQueue, true, false, false, false, nil) // as Python does
		return err == nil && q.Consumers == 0
	})
	close(fail)
	receive(t, "end of the service", stopped)
	deliveries, err := ch.Consume(failQueue, "None1", false, false, false, false, nil)
	must(t, err)
	d := receive(t, "event at a Python instance", deliveries)
	if string(d.Body) != body || d.ContentType != "application/json" || d.ContentEncoding != "utf-8" || d.DeliveryMode != 2 || d.Expiration != "" || d.UserId != "" || d.MessageId != "m1" || d.Priority != 0 {
		t.Errorf("the event came again as %+v, want what was published", d)
	}
	stack, _ := d.Headers["nameko.call_id_stack"].([]any)
	if len(stack) != 1 || d.Headers["nameko.language"] != "en" || d.Headers["plain"] != int32(1) || d.Headers["CC"] != nil {
		t.Errorf("its headers are %v, want those that were published", d.Headers)
	}
	if d.Headers["hangar.tries"] != int64(1) || d.Headers["hangar.event"] != "happened" {
		t.Errorf("its headers are %v, want one try and the type", d.Headers)
	}
	must(t, d.Ack(false))
	if n := messages(t, url, other.Name); n != 0 {
		t.Errorf("the retry sent %d copies to a queue that the event named, want none", n)
	}
}

// What failures and the broker note in headers goes no further; nor does what a
// Python service has passed on of another event.
func TestFailuresDoNotTravel(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := retrying(t, url, time.Millisecond)
	follow := nameko.NewPublisher(broker, "listener")
	var tries atomic.Int64
	start(t, listener(broker, func(ctx context.Context, e nameko.Event) error {
		if tries.Add(1) == 1 {
			return errNotNow
		}
		for _, name := range []string{"hangar.tries", "hangar.event", "x-death", "x-first-death-queue"} {
			if value := nameko.Data(ctx, name); value != nil {
				t.Errorf("the handler sees %s: %v", name, value)
			}
		}
		return follow.Publish(ctx, nameko.Event{Type: "followed", Payload: json.RawMessage(`1`)})
	}))
	ch := dial(t, url)
	must(t, ch.ExchangeDeclare("listener.events", "topic", true, false, false, false, nil))
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	must(t, err)
	must(t, ch.QueueBind(q.Name, "followed", "listener.events", false, nil))
	deliveries, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	must(t, err)
	must(t, ch.Publish("src.events", "happened", true, false, amqp.Publishing{Body: []byte(`1`), Headers: amqp.Table{
		"nameko.language": "en", "nameko.hangar.tries": int64(100), "nameko.x-death": []any{amqp.Table{"count": int64(1)}},
		"hangar.tries": int64(100), "hangar.event": "other",
	}}))
	d := receive(t, "event that followed", deliveries)
	if len(d.Headers) != 2 || d.Headers["nameko.language"] != "en" || d.Headers["nameko.call_id_stack"] == nil {
		t.Errorf("the event that followed carries %v, want the language and the call ids", d.Headers)
	}
}

// Only what has come back is believed when it says what it is and how often it
// failed, and only if that makes sense.
func TestHeadersOfFailuresThatMakeNoSense(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := retrying(t, url, time.Hour)
	types := make(chan string, 10)
	start(t, listener(broker, func(_ context.Context, e nameko.Event) error {
		types <- e.Type
		return errNotNow
	}))
	ch := dial(t, url)
	for name, test := range map[string]struct {
		exchange, key string
		headers       amqp.Table
		want          string
	}{
		"a stranger's":       {"src.events", "happened", amqp.Table{"hangar.event": "other", "hangar.tries": int64(100)}, "happened"},
		"none":               {"", failQueue, nil, "happened"},
		"its own":            {"", failQueue, amqp.Table{"hangar.event": "other", "hangar.tries": int8(0)}, "other"},
		"numbers":            {"", failQueue, amqp.Table{"hangar.event": int32(1), "hangar.tries": "1", "hangar.failed_at": true}, "happened"},
		"control characters": {"", failQueue, amqp.Table{"hangar.event": "a\nb", "hangar.failed_at": "yesterday"}, "happened"},
		"broken text":        {"", failQueue, amqp.Table{"hangar.event": "a\xff", "hangar.tries": int64(-5)}, "happened"},
		"a long name":        {"", failQueue, amqp.Table{"hangar.event": strings.Repeat("n", 256)}, "happened"},
	} {
		must(t, ch.Publish(test.exchange, test.key, true, false, amqp.Publishing{Body: []byte(`1`), Headers: test.headers}))
		if got := receive(t, "event with "+name, types); got != test.want {
			t.Errorf("an event with headers %s has type %q, want %q", name, got, test.want)
		}
	}
	must(t, ch.Publish("", failQueue, true, false, amqp.Publishing{Body: []byte(`1`), Headers: amqp.Table{"hangar.tries": int64(1<<63 - 1)}}))
	receive(t, "event that says it failed for ever", types)
	if got := parked(t, broker, 1)[0]; got.Tries < 1 {
		t.Errorf("parked after %d tries, want a number", got.Tries)
	}
	eventually(t, "the others wait", func() bool { return messages(t, url, "hangar.retry-"+failQueue+"-3600000ms") == 7 })
}

// The names of queues have 255 bytes at most.
func TestRetriesOfAQueueWithALongName(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := retrying(t, url, time.Millisecond)
	var tries atomic.Int64
	sub := nameko.Subscriber{Service: "listener", Subscription: nameko.Subscription{Source: "src", Event: "happened", Method: "m"}}
	sub.Method = strings.Repeat("m", 256-len(sub.Queue()))
	s := nameko.NewServer(broker, "listener", 0, 0)
	s.HandleEvent(sub.Subscription, func(context.Context, nameko.Event) error { tries.Add(1); return errNotNow })
	start(t, s)
	announce(t, broker, `1`)
	list := nameko.NewParked(broker, sub.Queue())
	eventually(t, "the event is parked", func() bool {
		events, _, err := list.List(t.Context(), 10)
		must(t, err)
		return len(events) == 1 && events[0].Tries == 2
	})
}

// A broker that is killed while events wait loses none.
func TestBrokerKilledWhileEventsWait(t *testing.T) {
	server := hangartest.StartRabbitMQ(t)
	broker := retrying(t, server.URL, slices.Repeat([]time.Duration{time.Second}, 1000)...) // none is parked, however long the broker is away
	var (
		mu      sync.Mutex
		handled = make(map[string]bool)
		failed  = make(map[string]bool)
		again   atomic.Int64 // so many tries of what has failed
		allowed atomic.Bool
	)
	count := func(m map[string]bool) int { mu.Lock(); defer mu.Unlock(); return len(m) }
	s := nameko.NewServer(broker, "listener", 0, 0)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "m"}, func(_ context.Context, e nameko.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if failed[string(e.Payload)] {
			again.Add(1)
		}
		if !failed[string(e.Payload)] || !allowed.Load() {
			failed[string(e.Payload)] = true
			return errNotNow
		}
		handled[string(e.Payload)] = true
		return nil
	})
	start(t, s)
	const events = 300
	for i := range events {
		announce(t, broker, fmt.Sprint(i))
	}
	eventually(t, "all have failed", func() bool { return count(failed) == events })
	begun := again.Load()
	eventually(t, "some come back, so that others are on their way", func() bool { return again.Load() >= begun+events/10 })
	must(t, server.Kill())
	must(t, server.Restart(t.Context()))
	allowed.Store(true)
	eventually(t, "all are handled", func() bool { return count(handled) == events })
}

// Somebody deletes the queue where events wait: the next one goes back into the
// service's queue, and then waits again in one that is made anew.
func TestRetryQueueIsDeleted(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	log := new(logged)
	broker := newBrokerWith(t, nameko.Config{URL: url, RetryDelays: []time.Duration{time.Hour}, Log: slog.New(slog.NewTextHandler(log, nil))})
	start(t, listener(broker, func(context.Context, nameko.Event) error { return errNotNow }))
	const waiting = "hangar.retry-" + failQueue + "-3600000ms"
	announce(t, broker, `1`)
	eventually(t, "an event waits", func() bool { return messages(t, url, waiting) == 1 })
	_, err := dial(t, url).QueueDelete(waiting, false, false, false)
	must(t, err)
	announce(t, broker, `2`, `3`)
	eventually(t, "two more wait", func() bool { return messages(t, url, waiting) == 2 })
	eventually(t, "nothing is left", func() bool { return isDone(t, url, failQueue) })
	if log.count("could not be set aside") == 0 {
		t.Errorf("the log does not say that an event could not be set aside")
	}
}

// Without the right to make a queue nothing is lost: events go round, as they did
// before there were such queues.
func TestRetryQueueThatCannotBeMade(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	_, err := dial(t, url).QueueDeclare("hangar.retry-"+failQueue+"-1ms", true, false, false, false, nil) // with other arguments
	must(t, err)
	broker := retrying(t, url, time.Millisecond)
	var tries atomic.Int64
	handled := make(chan struct{}, 10)
	start(t, listener(broker, func(context.Context, nameko.Event) error {
		if tries.Add(1) <= 2 {
			return errNotNow
		}
		handled <- struct{}{}
		return nil
	}))
	announce(t, broker, `1`)
	receive(t, "event at last", handled)
	eventually(t, "nothing is left", func() bool { return isDone(t, url, failQueue) })
}

// What is not kept while nobody listens is not parked either, and leaves no
// queues behind.
func TestEventsThatAreNotKept(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := retrying(t, url, time.Millisecond)
	var tries atomic.Int64
	handled := make(chan string, 10)
	s := nameko.NewServer(broker, "listener", 0, 0)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "m", Unreliable: true}, func(_ context.Context, e nameko.Event) error {
		if string(e.Payload) == `"never"` {
			return nameko.ErrUnusable
		}
		if tries.Add(1) == 1 {
			return errNotNow
		}
		handled <- string(e.Payload)
		return nil
	})
	start(t, s)
	announce(t, broker, `"never"`, `"fails once"`)
	if got := receive(t, "event that failed once", handled); got != `"fails once"` {
		t.Errorf("handled %s", got)
	}
	for _, queue := range []string{parkedQueue, "hangar.retry-" + failQueue + "-1"} {
		if n := messages(t, url, queue); n >= 0 {
			t.Errorf("there is a queue %s, want none for events that are not kept", queue)
		}
	}
}

func TestRetryDelaysThatCannotBe(t *testing.T) {
	for _, delay := range []time.Duration{0, -1, time.Microsecond, 50 * 24 * time.Hour} {
		if _, err := nameko.NewBroker(nameko.Config{URL: "amqp://localhost", RetryDelays: []time.Duration{time.Second, delay}}); err == nil {
			t.Errorf("a delay of %v: no error, want one", delay)
		}
	}
	var all time.Duration
	for _, delay := range nameko.DefaultRetryDelays() {
		all += delay
	}
	if all < 8*time.Hour || all > 24*time.Hour {
		t.Errorf("events are tried for %v, want a night", all)
	}
}
