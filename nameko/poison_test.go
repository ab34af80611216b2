package nameko_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

// selfish panics when it is encoded.
type selfish struct{}

// MarshalJSON implements json.Marshaler.
func (selfish) MarshalJSON() ([]byte, error) { panic("not this one") }

// Results that cannot be sent are errors of that call, and of no other.
func TestResultsThatCannotBeSent(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := echo(newBroker(t, url))
	cycle := map[string]any{}
	cycle["self"] = cycle
	for name, do := range map[string]nameko.Handler{
		"cycle":   func(context.Context, nameko.Args) (any, error) { return cycle, nil },
		"selfish": func(context.Context, nameko.Args) (any, error) { return selfish{}, nil },
		"args": func(context.Context, nameko.Args) (any, error) {
			return nil, &nameko.Error{Path: "a.B", Args: []any{make(chan int), selfish{}, nil, 1}}
		},
		"nil": func(context.Context, nameko.Args) (any, error) {
			var m map[string]int
			return m["x"], (*nameko.Error)(nil)
		},
	} {
		s.Handle(name, nameko.Params(), do)
	}
	start(t, s)
	client := newClient(t, newBroker(t, url))
	for _, method := range []string{"cycle", "selfish", "args", "nil"} {
		_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: method})
		if raised, ok := err.(*nameko.Error); !ok {
			t.Errorf("call of %s: %v, want what it raised", method, err)
		} else if raised.Path == "" {
			t.Errorf("call of %s: %+v, want a path", method, raised)
		}
		if _, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}}); err != nil {
			t.Fatalf("the call after %s: %v", method, err)
		}
	}
}

// Headers that could be received and not be sent on would cost the connection of
// all that publish.
func TestHeadersThatCannotBePassedOn(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	client := newClient(t, broker)
	s := echo(broker)
	s.Handle("pass_on", nameko.Params(), func(ctx context.Context, _ nameko.Args) (any, error) {
		var ids any
		reply, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{1}})
		if err == nil {
			err = reply.Decode(&ids)
		}
		return ids, err
	})
	start(t, s)
	p := newPeer(t, url)
	for name, headers := range map[string]amqp.Table{
		"a long name":     {strings.Repeat("n", 255): "x", "nameko.call_id_stack": []any{"a.b.c"}},
		"a large value":   {"large": strings.Repeat("x", 120_000)},
		"a large call id": {"nameko.call_id_stack": []any{strings.Repeat("x", 120_000)}},
		"a large table":   {"t": amqp.Table{"x": []any{strings.Repeat("x", 100_000)}}},
		"many":            manyHeaders(5_000),
	} {
		m := p.request(`{"args": [], "kwargs": {}}`)
		m.Headers = headers
		if reply, d := p.call(t, "pass_on", m); reply["result"] != 1.0 {
			t.Errorf("a call with %s passed on its headers with another: reply %s, want 1", name, d.Body)
		}
	}
}

func manyHeaders(n int) amqp.Table {
	headers := make(amqp.Table)
	for i := range n {
		headers[fmt.Sprint("h", i)] = int32(i)
	}
	return headers
}

// Nor may what we are asked to send ourselves.
func TestNamesThatCannotBeSent(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	client := newClient(t, broker)
	start(t, echo(broker))
	publisher := nameko.NewPublisher(broker, "src")
	long := strings.Repeat("n", 300)
	for name, err := range map[string]error{
		"a method":    callError(client, nameko.WithData(t.Context(), "x", 1), nameko.Call{Service: "echo", Method: long, Repeatable: true}),
		"a header":    callError(client, nameko.WithData(t.Context(), long, 1), nameko.Call{Service: "echo", Method: "echo", Repeatable: true}),
		"its value":   callError(client, nameko.WithData(t.Context(), "x", strings.Repeat(long, 500)), nameko.Call{Service: "echo", Method: "echo", Repeatable: true}),
		"its type":    callError(client, nameko.WithData(t.Context(), "x", struct{}{}), nameko.Call{Service: "echo", Method: "echo", Repeatable: true}),
		"an event":    publisher.Publish(t.Context(), nameko.Event{Type: long, Payload: []byte("1")}),
		"its payload": publisher.Publish(t.Context(), nameko.Event{Type: "happened", Payload: []byte("{")}),
	} {
		if err == nil {
			t.Errorf("%s that cannot be sent: nil, want an error", name)
		}
	}
	must(t, callError(client, t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}}))
}

func callError(c *nameko.Client, ctx context.Context, call nameko.Call) error {
	_, err := c.Call(ctx, call)
	return err
}

// logged is a log that tests read.
type logged struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// A peer that sends nonsense all the time does not fill the log.
func TestNonsenseDoesNotFloodTheLog(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	log := new(logged)
	start(t, echo(newBrokerWith(t, nameko.Config{URL: url, Log: slog.New(slog.NewTextHandler(log, nil))})))
	p := newPeer(t, url)
	m := p.request(`{"args": [], "kwargs": {}}`)
	m.ReplyTo = ""
	const requests = 1000
	for range requests {
		p.send(t, "fail", m)
	}
	p.call(t, "echo", p.request(`{"args": [1], "kwargs": {}}`))
	eventually(t, "all is acknowledged", func() bool {
		_, err := dial(t, url).QueueDelete("rpc-echo", false, true, false)
		return err == nil
	})
	if n := log.count("a call failed"); n == 0 || n > requests/2 {
		t.Errorf("%d failing calls left %d records in the log, want some and few", requests, n)
	}
}
