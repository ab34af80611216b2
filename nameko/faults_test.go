package nameko_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"hangar/hangartest"
	"hangar/nameko"
)

// A broker that is killed in the middle of calls costs time, and no call that
// may be repeated.
func TestBrokerKilledInTheMiddleOfCalls(t *testing.T) {
	server := hangartest.StartRabbitMQ(t)
	broker, other := newBroker(t, server.URL), newBroker(t, server.URL)
	client := newClient(t, broker)
	s := echo(other)
	running, finish := make(chan struct{}, 1), make(chan struct{})
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		select {
		case running <- struct{}{}:
		default:
		}
		<-finish
		return "done", nil
	})
	start(t, s)
	replies := make(chan error, 1)
	go func() {
		reply, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "slow"})
		var result string
		if err == nil {
			err = reply.Decode(&result)
		}
		if err == nil && result != "done" {
			err = fmt.Errorf("result %q", result)
		}
		replies <- err
	}()
	receive(t, "running call", running)
	must(t, server.Kill())
	eventually(t, "the client knows that the broker is gone", func() bool { return errors.Is(broker.Ping(t.Context()), nameko.ErrNoBroker) })
	// A call could yet be sent into the dying connection: Ping may know of the other.
	eventually(t, "a call says that there is no broker", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{1}})
		return errors.Is(err, nameko.ErrNoBroker)
	})
	must(t, server.Restart(t.Context()))
	eventually(t, "calls flow again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{1}, Repeatable: true})
		return err == nil
	})
	close(finish)
	if err := receive(t, "reply of the call that ran", replies); err != nil {
		t.Errorf("the call that ran when the broker was killed: %v, want its reply", err)
	}
}

// Whoever starts first waits for the broker.
func TestStartBeforeTheBroker(t *testing.T) {
	server := hangartest.StartRabbitMQ(t)
	must(t, server.Stop())
	broker := newBroker(t, server.URL)
	client := newClient(t, broker)
	s := echo(broker)
	run(t, s.Run)
	must(t, server.Restart(t.Context()))
	receive(t, "readiness", s.Ready())
	eventually(t, "a call is answered", func() bool {
		_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}, Repeatable: true})
		return err == nil
	})
}

// A service that stops answers what it has taken; another takes the rest.
func TestDrainLosesNoCall(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	client := newClient(t, newBroker(t, url))
	stops := []func(){start(t, echo(newBroker(t, url))), start(t, echo(newBroker(t, url)))}
	var calls, failed atomic.Int64
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	const callers = 16
	for range callers {
		go func() {
			for ctx.Err() == nil {
				if _, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}}); err != nil {
					t.Errorf("a call failed: %v", err)
					failed.Add(1)
				}
				calls.Add(1)
			}
			ended <- struct{}{}
		}()
	}
	for i := range 6 {
		goal := calls.Load() + 100
		eventually(t, "calls flow", func() bool { return calls.Load() > goal })
		stops[i%2]()
		stops[i%2] = start(t, echo(newBroker(t, url)))
	}
	cancel()
	for range callers {
		receive(t, "end of a caller", ended)
	}
}

// Somebody deletes what we stand on: it is made again.
func TestDeletedQueuesAreMadeAgain(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	client := newClient(t, broker)
	start(t, echo(broker))
	_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}})
	must(t, err)
	_, err = dial(t, url).QueueDelete("rpc-echo", false, false, false)
	must(t, err)
	eventually(t, "the service is called again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{1}})
		return err == nil
	})
}

// No more is fetched than may be worked on, and slow calls do not hold up others.
func TestWorkersBoundWhatIsTaken(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	s := nameko.NewServer(broker, "echo", 2, 0)
	release := make(chan struct{})
	var now, most atomic.Int64
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		n := now.Add(1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		<-release
		now.Add(-1)
		return nil, nil
	})
	start(t, s)
	const calls = 6
	errs := make(chan error, calls)
	for range calls {
		client := newClient(t, broker) // another, so that each call comes in a message of its own
		go func() {
			_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "slow"})
			errs <- err
		}()
	}
	eventually(t, "two calls run and the rest waits in the queue", func() bool {
		q, err := dial(t, url).QueueDeclarePassive("rpc-echo", true, false, false, false, nil)
		return err == nil && now.Load() == 2 && q.Messages == calls-2
	})
	close(release)
	for range calls {
		must(t, receive(t, "reply", errs))
	}
	if most.Load() > 2 {
		t.Errorf("%d calls ran at once, want at most 2", most.Load())
	}
}
