package nameko_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
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

// pythonServer takes the requests of a service as they come. Of bundles it says
// what Python does: that it has no such method.
func pythonServer(t *testing.T, url string) (*amqp.Channel, <-chan amqp.Delivery) {
	t.Helper()
	ch := dial(t, url)
	must(t, ch.ExchangeDeclare("nameko-rpc", "topic", true, false, false, false, nil))
	_, err := ch.QueueDeclare("rpc-python", true, false, false, false, nil)
	must(t, err)
	must(t, ch.QueueBind("rpc-python", "python.*", "nameko-rpc", false, nil))
	deliveries, err := ch.Consume("rpc-python", "", true, false, false, false, nil)
	must(t, err)
	requests := make(chan amqp.Delivery, 100)
	go func() {
		for d := range deliveries {
			if !refuseBundle(t, ch, d) {
				requests <- d
			}
		}
	}()
	return ch, requests
}

const bundleMethod = "hangar_call_many"

// refuseBundle reports whether a request was a bundle, and then answers as Python
// does.
func refuseBundle(t *testing.T, ch *amqp.Channel, d amqp.Delivery) bool {
	if !strings.HasSuffix(d.RoutingKey, "."+bundleMethod) {
		return false
	}
	answer(t, ch, d, func(p *amqp.Publishing) {
		p.Body = []byte(`{"result": null, "error": {"exc_type": "MethodNotFound", "exc_path": "nameko.exceptions.MethodNotFound", "exc_args": ["` + bundleMethod + `"], "value": "` + bundleMethod + `"}}`)
	})
	return true
}

func answer(t *testing.T, ch *amqp.Channel, request amqp.Delivery, change func(*amqp.Publishing)) {
	t.Helper()
	reply := amqp.Publishing{
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    2,
		CorrelationId:   request.CorrelationId,
		Body:            []byte(`{"result": ` + string(request.RoutingKey[len("python."):]) + `, "error": null}`),
	}
	change(&reply)
	if err := ch.Publish("nameko-rpc", request.ReplyTo, false, false, reply); err != nil {
		t.Errorf("reply to %s: %v", request.RoutingKey, err)
	}
}

// tappedReplies returns what is sent to callers, and to services.
func tappedReplies(t *testing.T, url string) <-chan amqp.Delivery {
	t.Helper()
	ch := dial(t, url)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	must(t, err)
	must(t, ch.QueueBind(q.Name, "#", "nameko-rpc", false, nil))
	deliveries, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	must(t, err)
	return deliveries
}

// Replies come in any order, twice, late, and for calls that nobody made.
func TestRepliesOutOfOrder(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	ch, requests := pythonServer(t, url)
	one, two := newClient(t, newBroker(t, url)), newClient(t, newBroker(t, url))
	as := func(*amqp.Publishing) {}
	late := make(chan error, 1)
	ctx, giveUp := context.WithCancel(t.Context())
	go func() { late <- callError(one, ctx, nameko.Call{Service: "python", Method: "0"}) }()
	lateRequest := receive(t, "request", requests)
	giveUp()
	if err := receive(t, "end of the call", late); !errors.Is(err, context.Canceled) {
		t.Errorf("a call whose context was cancelled: %v", err)
	}
	const calls = 20
	errs := make(chan error, calls)
	for i := range calls {
		client := []*nameko.Client{one, two}[i%2]
		go func() {
			reply, err := client.Call(t.Context(), nameko.Call{Service: "python", Method: fmt.Sprint(i)})
			var got int
			if err == nil {
				err = reply.Decode(&got)
			}
			if err == nil && got != i {
				err = fmt.Errorf("call %d got the reply of %d", i, got)
			}
			errs <- err
		}()
	}
	var taken []amqp.Delivery
	for range calls {
		taken = append(taken, receive(t, "request", requests))
	}
	answer(t, ch, lateRequest, as)
	for i := range taken {
		request := taken[calls-1-i]
		answer(t, ch, request, func(p *amqp.Publishing) { p.CorrelationId = "of nobody" })
		answer(t, ch, request, func(p *amqp.Publishing) { p.CorrelationId = "" })
		answer(t, ch, request, as)
		answer(t, ch, request, as)
	}
	for range calls {
		if err := receive(t, "end of a call", errs); err != nil {
			t.Error(err)
		}
	}
}

func TestRepliesOfPython(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	ch, requests := pythonServer(t, url)
	client := newClient(t, newBroker(t, url))
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	z.Write([]byte(`{"result": "unpacked", "error": null}`))
	must(t, z.Close())
	body := func(text string) func(*amqp.Publishing) {
		return func(p *amqp.Publishing) { p.Body = []byte(text) }
	}
	raised := func(members string) func(*amqp.Publishing) {
		return body(`{"result": null, "error": ` + members + `}`)
	}
	for name, test := range map[string]struct {
		change func(*amqp.Publishing)
		result any
		raised *nameko.Error
		fails  bool // in another way
	}{
		"null":            {change: body(`{"result": null, "error": null}`)},
		"no members":      {change: body(`{}`)},
		"numbers":         {change: body(`{"result": [NaN, 1.5, {"__type__": "decimal", "__value__": "9.90"}], "error": null}`), result: []any{nil, 1.5, "9.90"}},
		"no content type": {change: func(p *amqp.Publishing) { p.ContentType = ""; p.Body = []byte(`{"result": 1, "error": null}`) }, result: 1.0},
		"packed": {change: func(p *amqp.Publishing) {
			p.Headers = amqp.Table{"compression": "application/x-gzip"}
			p.Body = packed.Bytes()
		}, result: "unpacked"},
		"not found":        {change: raised(`{"exc_type": "NotFound", "exc_path": "products.exceptions.NotFound", "exc_args": ["Product ID x"], "value": "Product ID x"}`), raised: &nameko.Error{Path: "products.exceptions.NotFound", Args: []any{"Product ID x"}, Value: "Product ID x"}},
		"many args":        {change: raised(`{"exc_type": "E", "exc_path": "a.E", "exc_args": ["1", null, {"f": ["m"]}], "value": "v"}`), raised: &nameko.Error{Path: "a.E", Args: []any{"1", nil, map[string]any{"f": []any{"m"}}}, Value: "v"}},
		"no path":          {change: raised(`{"exc_type": "E", "value": "v"}`), raised: &nameko.Error{Path: "E", Value: "v"}},
		"an error of text": {change: raised(`"broken"`), raised: &nameko.Error{Value: "broken"}},
		"not JSON":         {change: body(`not JSON`), fails: true},
		"empty":            {change: body(``), fails: true},
		"a list":           {change: body(`[1]`), fails: true},
		"pickled":          {change: func(p *amqp.Publishing) { p.ContentType = "application/x-python-serialize" }, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan error, 1)
			var result any
			go func() {
				reply, err := client.Call(t.Context(), nameko.Call{Service: "python", Method: "x"})
				if err == nil {
					err = reply.Decode(&result)
				}
				ended <- err
			}()
			answer(t, ch, receive(t, "request", requests), test.change)
			err := receive(t, "end of the call", ended)
			got, _ := err.(*nameko.Error)
			if diff := cmp.Diff(test.raised, got); diff != "" {
				t.Errorf("raised (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.result, result); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if (err != nil) != (test.fails || test.raised != nil) {
				t.Errorf("the call ended with %v", err)
			}
		})
	}
}

// Where somebody listens to everything, each call has a receiver, and one of an
// unknown service ends at its deadline.
func TestUnknownServiceWhileTapped(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	client := newClient(t, newBroker(t, url))
	if err := callError(client, t.Context(), nameko.Call{Service: "nobody", Method: "home"}); !errors.Is(err, nameko.ErrUnknownService) {
		t.Errorf("call of nobody: %v, want ErrUnknownService", err)
	}
	tappedReplies(t, url)
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if err := callError(client, ctx, nameko.Call{Service: "nobody", Method: "home"}); !errors.Is(err, nameko.ErrNoReply) {
		t.Errorf("call of nobody while tapped: %v, want ErrNoReply", err)
	}
}

// The queue for replies is as Python's: durable, shared, bound with the bare id.
func TestReplyQueueIsNamekos(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	_, requests := pythonServer(t, url)
	client := newClient(t, newBroker(t, url))
	ended := make(chan error, 1)
	go func() { ended <- callError(client, t.Context(), nameko.Call{Service: "python", Method: "x"}) }()
	request := receive(t, "request", requests)
	ch := dial(t, url)
	q, err := ch.QueueDeclare("rpc.reply-caller-"+request.ReplyTo, true, false, false, false, amqp.Table{"x-expires": int32(300_000)})
	if err != nil || q.Consumers != 1 {
		t.Errorf("the queue for replies as Python declares it: %+v, %v, want it there, with a consumer", q, err)
	}
	answer(t, ch, request, func(p *amqp.Publishing) { p.Body = []byte(`{"result": 1, "error": null}`) })
	must(t, receive(t, "end of the call", ended))
}

// A method knows for how long its caller waits, and one that nobody waits for
// any more is not executed, wherever it waited.
func TestDeadlinesOfRequests(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := nameko.NewServer(newBroker(t, url), "echo", 1, 10)
	running, finish := make(chan struct{}), make(chan struct{})
	var expired atomic.Int64
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		running <- struct{}{}
		<-finish
		return nil, nil
	})
	s.Handle("expired", nameko.Params(), func(context.Context, nameko.Args) (any, error) { return expired.Add(1), nil })
	s.Handle("left", nameko.Params(), func(ctx context.Context, _ nameko.Args) (any, error) {
		deadline, _ := ctx.Deadline()
		return time.Until(deadline).Seconds(), nil
	})
	start(t, s)
	p := newPeer(t, url)
	const none = `{"args": [], "kwargs": {}}`
	for _, test := range []struct {
		left any
		most float64 // seconds
	}{
		{nil, 60}, {"no number", 60}, {int64(1) << 60, 60}, {int32(5000), 5}, {int64(5000), 5}, {5000.0, 5}, {int16(5000), 5},
	} {
		m := p.request(none)
		m.Headers["nameko.deadline_ms"] = test.left
		reply, _ := p.call(t, "left", m)
		if got, _ := reply["result"].(float64); got <= 0 || got > test.most {
			t.Errorf("of deadline_ms %v, %v seconds are left, want some, and at most %v", test.left, reply, test.most)
		}
	}
	p.send(t, "slow", p.request(none))
	receive(t, "running call", running)
	m := p.request(none)
	m.Headers["nameko.deadline_ms"] = int64(20)
	p.send(t, "expired", m)
	eventually(t, "the second request has been fetched", func() bool { return s.State().Waiting == 1 })
	time.Sleep(50 * time.Millisecond) // longer than its caller waits
	close(finish)
	receive(t, "reply of the slow call", p.replies)
	p.call(t, "left", p.request(none))
	if n := expired.Load(); n != 0 {
		t.Errorf("a request that nobody waited for any more was executed %d times, want never", n)
	}
}

// The queues may be there already, as Python made them.
func TestPythonDeclaredFirst(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	ch := dial(t, url)
	for _, exchange := range []string{"nameko-rpc", "src.events"} {
		must(t, ch.ExchangeDeclare(exchange, "topic", true, false, false, false, nil))
	}
	for queue, autoDelete := range map[string]bool{"rpc-echo": false, "evt-src-happened--echo.pool": false, "evt-src-happened--echo.loose": true, "evt-src-single": false} {
		_, err := ch.QueueDeclare(queue, true, autoDelete, false, false, nil)
		must(t, err)
	}
	broker := newBroker(t, url)
	s := echo(broker)
	got := make(chan string, 3)
	handle := func(_ context.Context, e nameko.Event) error { got <- string(e.Payload); return nil }
	pool := nameko.Subscription{Source: "src", Event: "happened", Method: "pool"}
	s.HandleEvent(pool, handle)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "loose", Unreliable: true}, handle)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "m", Kind: nameko.Singleton}, handle)
	start(t, s)
	publisher := nameko.NewPublisher(broker, "src", nameko.Subscriber{Service: "echo", Subscription: pool})
	must(t, publisher.Publish(t.Context(), nameko.Event{Type: "happened", Payload: json.RawMessage("1")}))
	receive(t, "event", got)
	receive(t, "event", got)
}

// Many publish at once, more than may be on their way.
func TestManyPublishAtOnce(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	sub := nameko.Subscription{Source: "src", Event: "happened", Method: "m"}
	publisher := nameko.NewPublisher(broker, "src", nameko.Subscriber{Service: "listener", Subscription: sub})
	const publishers, events = 16, 600
	errs := make(chan error, publishers)
	for range publishers {
		go func() {
			batch := make([]nameko.Event, events)
			for i := range batch {
				batch[i] = nameko.Event{Type: "happened", Payload: json.RawMessage(fmt.Sprint(i))}
			}
			errs <- publisher.Publish(t.Context(), batch...)
		}()
	}
	for range publishers {
		must(t, receive(t, "end of Publish", errs))
	}
	q, err := dial(t, url).QueueDeclarePassive("evt-src-happened--listener.m", true, false, false, false, nil)
	if err != nil || q.Messages != publishers*events {
		t.Errorf("%d events in the queue, %v, want %d", q.Messages, err, publishers*events)
	}
}
