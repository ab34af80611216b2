package nameko_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar/hangartest"
	"hangar/nameko"
)

// tally is a meter that counts.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func newTally() *tally { return &tally{counts: make(map[string]int)} }

func (c *tally) note(what string, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if took <= 0 {
		what += " in no time"
	}
	c.counts[what]++
}

func (c *tally) CallServed(service, method, outcome string, took time.Duration) {
	c.note("served "+service+"."+method+" "+outcome, took)
}

func (c *tally) CallMade(service, method, outcome string, took time.Duration) {
	c.note("made "+service+"."+method+" "+outcome, took)
}

func (c *tally) of(what string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.counts[what]
}

func TestMeterIsToldOfEachCall(t *testing.T) {
	meter := newTally()
	broker := newBrokerWith(t, nameko.Config{URL: hangartest.RabbitMQ(t), Meter: meter})
	s := nameko.NewServer(broker, "measured", 0, 0)
	for name, result := range map[string]error{"ok": nil, "raise": nameko.Errorf("x.Y", "no"), "fail": errors.New("broken")} {
		s.Handle(name, nameko.Params(), func(context.Context, nameko.Args) (any, error) { return nil, result })
	}
	s.Handle("panic", nameko.Params(), func(context.Context, nameko.Args) (any, error) { panic("oh") })
	s.Handle("encode", nameko.Params(), func(context.Context, nameko.Args) (any, error) { return func() {}, nil })
	started := make(chan struct{})
	goOn := make(chan struct{})
	s.Handle("hang", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		close(started)
		<-goOn
		return nil, nil
	})
	start(t, s)
	client := newClient(t, broker)
	for _, method := range []string{"ok", "raise", "fail", "panic", "encode", "nobody's"} {
		_, _ = client.Call(t.Context(), nameko.Call{Service: "measured", Method: method})
	}
	_, _ = client.Call(t.Context(), nameko.Call{Service: "nowhere", Method: "ok"})
	ctx, leave := context.WithCancel(t.Context())
	go func() { <-started; leave() }()
	_, _ = client.Call(ctx, nameko.Call{Service: "measured", Method: "hang"})
	close(goOn)
	short, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	_, _ = client.Call(short, nameko.Call{Service: "measured", Method: "ok"})
	want := map[string]int{
		"served measured.ok ok": 1, "made measured.ok ok": 1, "made measured.ok unanswered": 1,
		"served measured.raise raised": 1, "made measured.raise raised": 1,
		"served measured.fail failed": 1, "made measured.fail raised": 1,
		"served measured.panic failed": 1, "made measured.panic raised": 1,
		"served measured.encode failed": 1, "made measured.encode raised": 1,
		"served measured. raised": 1, "made measured.nobody's raised": 1,
		"made nowhere.ok unknown_service": 1,
		"served measured.hang ok":         1, "made measured.hang abandoned": 1,
	}
	eventually(t, "the meter is told of the last call", func() bool { return meter.of("served measured.hang ok") == 1 })
	if diff := cmp.Diff(want, meter.counts); diff != "" {
		t.Errorf("the meter was told (-want +got):\n%s", diff)
	}
}

func TestStateOfABusyService(t *testing.T) {
	meter := newTally()
	broker := newBrokerWith(t, nameko.Config{URL: hangartest.RabbitMQ(t), Meter: meter})
	s := newBusyService(broker, 0)
	start(t, s.Server)
	if diff := cmp.Diff(nameko.ServerState{Service: "busy", Workers: 2, Prefetch: 8}, s.State()); diff != "" {
		t.Errorf("a service that has nothing to do (-want +got):\n%s", diff)
	}
	const room, more = 4, 3 // two run and two wait
	errs := make(chan error, room+more)
	for range room + more {
		callSlow(t, broker, errs)
	}
	want := nameko.ServerState{Service: "busy", Workers: 2, Running: 2, Waiting: 2, Prefetch: 8}
	eventually(t, "two calls run, and two wait", func() bool { return s.State() == want })
	eventually(t, "the others are refused", func() bool { return meter.of("served busy.slow refused") == more })
	go func() {
		for range room {
			<-s.running
		}
	}()
	close(s.finish)
	for range room + more {
		receive(t, "answer", errs)
	}
}

func TestQueue(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	queue := func(name string) nameko.QueueState {
		t.Helper()
		var state nameko.QueueState
		eventually(t, "the broker tells of "+name, func() (ok bool) {
			var err error
			state, err = broker.Queue(t.Context(), name)
			return err == nil
		})
		return state
	}
	for range 2 { // that there is none, the broker says by closing the channel
		if got := queue("nothing"); got != (nameko.QueueState{}) {
			t.Errorf("a queue that does not exist: %+v", got)
		}
	}
	ch := dial(t, url)
	must(t, ch.ExchangeDeclare("counted.events", "topic", true, false, false, false, nil))
	p := nameko.NewPublisher(broker, "counted", nameko.Subscriber{Service: "counted", Subscription: nameko.Subscription{Source: "counted", Event: "e", Method: "m"}})
	must(t, p.Publish(t.Context(), nameko.Event{Type: "e", Payload: []byte("1")}, nameko.Event{Type: "e", Payload: []byte("2")}))
	if got := queue("evt-counted-e--counted.m"); got != (nameko.QueueState{Messages: 2}) {
		t.Errorf("a queue with two events: %+v", got)
	}
	s := nameko.NewServer(broker, "counted", 0, 0)
	s.Handle("m", nameko.Params(), func(context.Context, nameko.Args) (any, error) { return nil, nil })
	start(t, s)
	if got := queue(nameko.CallQueue("counted")); got != (nameko.QueueState{Consumers: 1}) {
		t.Errorf("the queue of a service: %+v", got)
	}
}

// Whoever asks is answered in time, whatever the broker does.
func TestPing(t *testing.T) {
	server := hangartest.StartRabbitMQ(t)
	p := newProxy(t, server.URL)
	broker := newBroker(t, p.url)
	ping := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		return broker.Ping(ctx)
	}
	eventually(t, "the broker answers", func() bool { return ping() == nil })
	p.hold("all")
	if err := ping(); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ping of a broker that says nothing: %v, want the end of its context", err)
	}
	p.hold("")
	p.cut()
	eventually(t, "the broker answers on another connection", func() bool { return ping() == nil })
	must(t, server.Kill())
	eventually(t, "the broker is gone", func() bool { return errors.Is(ping(), nameko.ErrNoBroker) })
}
