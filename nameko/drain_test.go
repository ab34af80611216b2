package nameko_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

// stopWhileBusy stops a service that works on a call, and waits until it takes no
// more. The call ends, and with it the service, when finish is called.
func stopWhileBusy(t *testing.T, url string, prepare func(*nameko.Server)) (p *peer, stop, finish func()) {
	t.Helper()
	s := nameko.NewServer(newBroker(t, url), "echo", 1, 50)
	running, done := make(chan struct{}), make(chan struct{})
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		running <- struct{}{}
		<-done
		return "slow", nil
	})
	s.Handle("echo", nameko.Params("x"), func(context.Context, nameko.Args) (any, error) {
		return nil, errors.New("run by the service that was told to stop")
	})
	prepare(s)
	ended := start(t, s)
	p = newPeer(t, url)
	p.send(t, "slow", p.request(`{"args": [], "kwargs": {}}`))
	receive(t, "running call", running)
	finish = sync.OnceFunc(func() { close(done) })
	t.Cleanup(finish)
	return p, ended, finish
}

func fetched(t *testing.T, url, queue string) {
	t.Helper()
	ch := dial(t, url)
	eventually(t, "all of "+queue+" has been fetched", func() bool {
		q, err := ch.QueueDeclarePassive(queue, true, false, false, false, nil)
		return err == nil && q.Messages == 0
	})
}

// What a service has fetched and not begun when it is told to stop goes to
// another at once, not when the first has ended; what it has begun it finishes.
func TestStoppingServiceGivesBackWhatItHasNotBegun(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	happened := nameko.Subscription{Source: "src", Event: "happened", Method: "m"}
	p, stop, finish := stopWhileBusy(t, url, func(s *nameko.Server) {
		s.HandleEvent(happened, func(context.Context, nameko.Event) error {
			return fmt.Errorf("%w: handled by the service that was told to stop", nameko.ErrUnusable)
		})
	})
	const calls = 20
	publisher := nameko.NewPublisher(newBroker(t, url), "src")
	for i := range calls {
		m := p.request(fmt.Sprintf(`{"args": [%d], "kwargs": {}}`, i))
		m.CorrelationId = fmt.Sprint(i)
		p.send(t, "echo", m)
		must(t, publisher.Publish(t.Context(), nameko.Event{Type: "happened", Payload: json.RawMessage(fmt.Sprint(i))}))
	}
	fetched(t, url, "rpc-echo")
	fetched(t, url, "evt-src-happened--echo.m")
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()

	other := echo(newBroker(t, url))
	events := make(chan string, calls)
	other.HandleEvent(happened, func(_ context.Context, e nameko.Event) error {
		events <- string(e.Payload)
		return nil
	})
	start(t, other)
	replies, handled := make(map[string]bool), make(map[string]bool)
	for range calls {
		d := receive(t, "reply of the other service", p.replies)
		if want := fmt.Sprintf(`{"result":%s,"error":null}`, d.CorrelationId); string(d.Body) != want {
			t.Errorf("reply %s, want %s", d.Body, want)
		}
		replies[d.CorrelationId] = true
		handled[receive(t, "event at the other service", events)] = true
	}
	if len(replies) != calls || len(handled) != calls {
		t.Errorf("%d calls were answered and %d events handled, want %d of each", len(replies), len(handled), calls)
	}
	select {
	case <-stopped:
		t.Error("the service stopped before its call had ended")
	default:
	}
	finish()
	if d := receive(t, "reply of the call that had begun", p.replies); string(d.Body) != `{"result":"slow","error":null}` {
		t.Errorf("reply of the call that had begun: %s", d.Body)
	}
	receive(t, "end of the service", stopped)
}

// A client that ends leaves no queue behind.
func TestClientDeletesItsQueue(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	client := nameko.NewClient(newBroker(t, url), "caller")
	stop := run(t, client.Run)
	_, requests := pythonServer(t, url)
	ended := make(chan error, 1)
	go func() { ended <- callError(client, t.Context(), nameko.Call{Service: "python", Method: "x"}) }()
	request := receive(t, "request", requests)
	stop()
	if err := receive(t, "end of the call", ended); !errors.Is(err, nameko.ErrReplyQueueGone) {
		t.Errorf("a call whose client ended: %v, want ErrReplyQueueGone", err)
	}
	_, err := dial(t, url).QueueDeclarePassive("rpc.reply-caller-"+request.ReplyTo, true, false, false, false, nil)
	if missing, ok := errors.AsType[*amqp.Error](err); !ok || missing.Code != amqp.NotFound {
		t.Errorf("the queue for replies after its client's end: %v, want none", err)
	}
}
