package nameko_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hangar/hangartest"
	"hangar/nameko"
)

// counted returns a service whose method counts how often it ran for each
// argument.
func counted(b *nameko.Broker) (*nameko.Server, func(arg string) int64) {
	var counts sync.Map
	of := func(arg string) *atomic.Int64 {
		n, _ := counts.LoadOrStore(arg, new(atomic.Int64))
		return n.(*atomic.Int64)
	}
	s := nameko.NewServer(b, "echo", 0, 0)
	s.Handle("count", nameko.Params("x"), func(_ context.Context, a nameko.Args) (any, error) {
		of(fmt.Sprint(a["x"])).Add(1)
		return a["x"], nil
	})
	return s, func(arg string) int64 { return of(arg).Load() }
}

// A request that is lost with its connection is sent again if the method may run
// twice, and else not.
func TestRequestLostWithItsConnection(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s, count := counted(newBroker(t, url))
	start(t, s)
	p := newProxy(t, url)
	client := newClient(t, newBroker(t, p.url))
	call := func(ctx context.Context, arg string, repeatable bool) error {
		_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "count", Args: []any{arg}, Repeatable: repeatable})
		return err
	}
	must(t, call(t.Context(), "before", false))
	p.hold("publish")
	again, once := make(chan error, 1), make(chan error, 1)
	ctx, giveUp := context.WithCancel(t.Context())
	defer giveUp()
	go func() { again <- call(t.Context(), "again", true) }()
	go func() { once <- call(ctx, "once", false) }()
	eventually(t, "both requests are on their way", func() bool { return p.swallowed(`"again"`, `"once"`) })
	p.hold("")
	p.cut()
	if err := receive(t, "end of the repeatable call", again); err != nil {
		t.Errorf("the repeatable call: %v, want its reply", err)
	}
	must(t, call(t.Context(), "after", false)) // behind all that was sent again
	giveUp()
	if err := receive(t, "end of the other call", once); !errors.Is(err, nameko.ErrNoReply) {
		t.Errorf("the call that must not run twice: %v, want ErrNoReply", err)
	}
	if again, once := count("again"), count("once"); again != 1 || once != 0 {
		t.Errorf("the repeatable call ran %d times, want once; the other %d times, want never", again, once)
	}
}

// The queue for replies outlives the connection: the reply waits there.
func TestReplyWhileTheClientIsCutOff(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	s := nameko.NewServer(broker, "echo", 0, 0)
	var runs atomic.Int64
	running, finish := make(chan struct{}, 1), make(chan struct{})
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		runs.Add(1)
		running <- struct{}{}
		<-finish
		return "done", nil
	})
	start(t, s)
	p := newProxy(t, url)
	client := newClient(t, newBroker(t, p.url))
	ended := make(chan error, 1)
	go func() {
		_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "slow"})
		ended <- err
	}()
	receive(t, "running call", running)
	p.hold("all") // no new connection comes about
	p.cut()
	replied := tappedReplies(t, url)
	close(finish)
	receive(t, "reply on the way", replied)
	p.hold("")
	p.cut()
	if err := receive(t, "end of the call", ended); err != nil || runs.Load() != 1 {
		t.Errorf("the call: %v after %d runs, want its reply after one", err, runs.Load())
	}
}

// A service that loses its connection finishes what it works on, and replies.
func TestServerCutOffInTheMiddleOfCalls(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	p := newProxy(t, url)
	s := nameko.NewServer(newBroker(t, p.url), "echo", 0, 0)
	const calls = 20
	running, finish := make(chan struct{}, 10*calls), make(chan struct{})
	s.Handle("slow", nameko.Params("x"), func(_ context.Context, a nameko.Args) (any, error) {
		running <- struct{}{}
		<-finish
		return a["x"], nil
	})
	start(t, s)
	client := newClient(t, newBroker(t, url))
	errs := make(chan error, calls)
	for range calls {
		go func() {
			_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "slow", Args: []any{1}})
			errs <- err
		}()
	}
	for range calls {
		receive(t, "running call", running)
	}
	p.cut()
	for range calls {
		receive(t, "redelivered call", running)
	}
	close(finish)
	for range calls {
		if err := receive(t, "end of a call", errs); err != nil {
			t.Errorf("a call: %v, want its reply", err)
		}
	}
	eventually(t, "all is acknowledged", func() bool {
		_, err := dial(t, url).QueueDelete("rpc-echo", false, true, false)
		return err == nil
	})
}

// Both ends are cut off again and again under load.
func TestCutAgainAndAgain(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	p, q := newProxy(t, url), newProxy(t, url)
	s, _ := counted(newBroker(t, p.url))
	start(t, s)
	client := newClient(t, newBroker(t, q.url))
	var calls atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const callers = 16
	ended := make(chan struct{}, callers)
	for n := range callers {
		go func() {
			defer func() { ended <- struct{}{} }()
			for i := 0; ctx.Err() == nil; i++ {
				want := fmt.Sprint(n, " ", i)
				var got string
				reply, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "count", Args: []any{want}, Repeatable: true})
				if err == nil {
					err = reply.Decode(&got)
				}
				if err != nil || got != want {
					t.Errorf("a repeatable call: %q, %v, want %q", got, err, want)
				}
				calls.Add(1)
			}
		}()
	}
	for i := range 20 {
		goal := calls.Load() + callers
		eventually(t, "calls flow", func() bool { return calls.Load() >= goal })
		[]*proxy{p, q}[i%2].cut()
	}
	cancel()
	for range callers {
		receive(t, "end of a caller", ended)
	}
}

// Of an event whose connection is lost nobody knows: that is an error.
func TestEventInDoubt(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	p := newProxy(t, url)
	publisher := nameko.NewPublisher(newBroker(t, p.url), "src")
	event := nameko.Event{Type: "happened", Payload: json.RawMessage(`"in doubt"`)}
	must(t, publisher.Publish(t.Context(), event))
	p.hold("publish")
	published := make(chan error, 1)
	go func() { published <- publisher.Publish(t.Context(), event) }()
	eventually(t, "the event is on its way", func() bool { return p.swallowed("in doubt") })
	p.hold("")
	p.cut()
	if err := receive(t, "end of Publish", published); err == nil {
		t.Errorf("Publish when the connection was lost before the confirm: nil, want an error")
	}
	must(t, publisher.Publish(t.Context(), event))
}

// Calls whose replies can never come end at once, and the next one is answered.
func TestReplyQueueGone(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := echo(newBroker(t, url))
	running, finish := make(chan struct{}, 10), make(chan struct{})
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		running <- struct{}{}
		<-finish
		return nil, nil
	})
	start(t, s)
	p := newProxy(t, url)
	client := newClient(t, newBroker(t, p.url))
	slow := tapped(t, url)
	for name, remove := range map[string]func(queue string){
		"while it is consumed": func(queue string) {
			_, err := dial(t, url).QueueDelete(queue, false, false, false)
			must(t, err)
		},
		"while the client is away": func(queue string) {
			p.hold("all")
			p.cut()
			_, err := dial(t, url).QueueDelete(queue, false, false, false)
			must(t, err)
			p.hold("")
			p.cut()
		},
	} {
		ended := make(chan error, 1)
		go func() {
			_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "slow"})
			ended <- err
		}()
		receive(t, "running call", running)
		remove("rpc.reply-caller-" + receive(t, "request", slow).ReplyTo)
		if err := receive(t, "end of the call", ended); !errors.Is(err, nameko.ErrReplyQueueGone) {
			t.Errorf("the queue was deleted %s: %v, want ErrReplyQueueGone", name, err)
		}
		_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}})
		if err != nil {
			t.Errorf("the call after the queue was deleted %s: %v, want its reply", name, err)
		}
		receive(t, "request", slow)
	}
	close(finish)
}

// A network that takes everything and answers nothing: calls end at their
// deadline, however much was sent, and the connection is given up.
func TestBlackHole(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	start(t, echo(newBroker(t, url)))
	p := newProxy(t, url)
	client := newClient(t, newBrokerWith(t, nameko.Config{URL: p.url, Heartbeat: time.Second}))
	call := func(timeout time.Duration, arg any) error {
		ctx, cancel := context.WithTimeout(t.Context(), timeout)
		defer cancel()
		_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{arg}, Repeatable: true})
		return err
	}
	must(t, call(patience, 1))
	made := p.connections()
	p.hold("all")
	const callers = 50
	ended := make(chan error, callers)
	large := strings.Repeat("x", 1<<20)
	for range callers {
		go func() { ended <- call(500*time.Millisecond, large) }()
	}
	for range callers {
		err := receive(t, "end of a call", ended)
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nameko.ErrNoBroker) {
			t.Errorf("a call in a black hole: %v, want its deadline or ErrNoBroker", err)
		}
	}
	eventually(t, "both silent connections are given up", func() bool { return p.connections() >= made+2 })
	p.hold("")
	p.cut()
	eventually(t, "calls flow again", func() bool { return call(5*time.Second, 1) == nil })
}

// A peer that stops reading: what is sent piles up, but only so far, and calls
// end at their deadline.
func TestPeerThatReadsNothing(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	start(t, echo(newBroker(t, url)))
	p := newProxy(t, url)
	client := newClient(t, newBroker(t, p.url))
	large := strings.Repeat("x", 1<<20)
	call := func(arg string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{arg}, Repeatable: true})
		return err
	}
	eventually(t, "calls flow", func() bool { return call("x") == nil })
	p.mu.Lock() // nothing passes the proxy
	eventually(t, "nothing more is taken", func() bool { return errors.Is(call(large), nameko.ErrNoBroker) })
	p.mu.Unlock()
	eventually(t, "calls flow again", func() bool { return call("x") == nil })
}

// A broker short of memory or disk says so, and then accepts nothing for a while.
func TestBlockedBroker(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	start(t, echo(newBroker(t, url)))
	p := newProxy(t, url)
	broker := newBroker(t, p.url)
	client := newClient(t, broker)
	call := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{1}})
		return err
	}
	eventually(t, "calls flow", func() bool { return call() == nil })
	p.inject(t, "publish", []byte("\x01\x00\x00\x00\x00\x00\x0b\x00\x0a\x00\x3c\x06memory\xce")) // connection.blocked
	eventually(t, "a call says that the broker is short of memory", func() bool {
		err := call()
		return errors.Is(err, nameko.ErrNoBroker) && strings.Contains(err.Error(), "short of memory")
	})
	p.inject(t, "publish", []byte("\x01\x00\x00\x00\x00\x00\x04\x00\x0a\x00\x3d\xce")) // connection.unblocked
	eventually(t, "calls flow again", func() bool { return call() == nil })
}
