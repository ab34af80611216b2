package nameko_test

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

// echo returns a service whose methods show what arrives.
func echo(b *nameko.Broker) *nameko.Server {
	s := nameko.NewServer(b, "echo", 0, 0)
	s.Handle("echo", nameko.Params("x"), func(_ context.Context, a nameko.Args) (any, error) { return a["x"], nil })
	s.Handle("headers", nameko.Params(), func(ctx context.Context, _ nameko.Args) (any, error) {
		return map[string]any{"ids": nameko.CallIDs(ctx), "language": nameko.Data(ctx, "language"), "other": nameko.Data(ctx, "other")}, nil
	})
	s.Handle("panic", nameko.Params(), func(context.Context, nameko.Args) (any, error) { panic("secret") })
	s.Handle("fail", nameko.Params(), func(context.Context, nameko.Args) (any, error) { return nil, errors.New("secret") })
	s.Handle("channel", nameko.Params(), func(context.Context, nameko.Args) (any, error) { return make(chan int), nil })
	s.Handle("tagged", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		return map[string]string{"__type__": "decimal", "__value__": "1"}, nil
	})
	return s
}

// peer sends messages as a Python client does.
type peer struct {
	ch      *amqp.Channel
	replies <-chan amqp.Delivery
	key     string
}

func newPeer(t *testing.T, url string) *peer {
	t.Helper()
	p := &peer{ch: dial(t, url), key: "7d2c8d0e-reply"}
	must(t, p.ch.ExchangeDeclare("nameko-rpc", "topic", true, false, false, false, nil))
	_, err := p.ch.QueueDeclare("rpc.reply-standalone_rpc_proxy-"+p.key, true, false, false, false, amqp.Table{"x-expires": int32(300000)})
	must(t, err)
	must(t, p.ch.QueueBind("rpc.reply-standalone_rpc_proxy-"+p.key, p.key, "nameko-rpc", false, nil))
	p.replies, err = p.ch.Consume("rpc.reply-standalone_rpc_proxy-"+p.key, "", true, false, false, false, nil)
	must(t, err)
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// request returns a message with the properties that Python's have.
func (p *peer) request(body string) amqp.Publishing {
	return amqp.Publishing{
		Headers:         amqp.Table{"nameko.call_id_stack": []any{"standalone_rpc_proxy.call.1"}},
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    2,
		CorrelationId:   "c1",
		ReplyTo:         p.key,
		Body:            []byte(body),
	}
}

func (p *peer) send(t *testing.T, method string, m amqp.Publishing) {
	t.Helper()
	must(t, p.ch.Publish("nameko-rpc", "echo."+method, true, false, m))
}

// call returns the reply as a tree.
func (p *peer) call(t *testing.T, method string, m amqp.Publishing) (map[string]any, amqp.Delivery) {
	t.Helper()
	p.send(t, method, m)
	d := receive(t, "reply of "+method, p.replies)
	var body map[string]any
	if err := json.Unmarshal(d.Body, &body); err != nil {
		t.Fatalf("reply %s: %v", d.Body, err)
	}
	return body, d
}

func errorPath(reply map[string]any) any {
	raised, _ := reply["error"].(map[string]any)
	return raised["exc_path"]
}

// Messages as peers really send them, those that end a Python service among
// them: each is answered as well as it can be, and the next one is served.
func TestServerSurvivesAnyMessage(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	start(t, echo(newBroker(t, url)))
	p := newPeer(t, url)
	change := func(body string, change func(*amqp.Publishing)) amqp.Publishing {
		m := p.request(body)
		change(&m)
		return m
	}
	const ok = `{"args": ["x"], "kwargs": {}}`
	const malformed = "nameko.exceptions.MalformedRequest"
	const signature = "nameko.exceptions.IncorrectSignature"
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	z.Write([]byte(ok))
	z.Close()
	for _, test := range []struct {
		name, method string
		message      amqp.Publishing
		result, path any
	}{
		{"plain", "echo", p.request(ok), "x", nil},
		{"by name", "echo", p.request(`{"args": [], "kwargs": {"x": [1, {"a": null}]}}`), []any{1.0, map[string]any{"a": nil}}, nil},
		{"more members", "echo", p.request(`{"args": ["x"], "kwargs": {}, "more": 1}`), "x", nil},
		{"args null", "echo", p.request(`{"args": null, "kwargs": {}}`), nil, signature},
		{"args an object", "echo", p.request(`{"args": {"k": {"no": 1}}, "kwargs": {}}`), "k", nil},
		{"args a number", "echo", p.request(`{"args": 1, "kwargs": {}}`), nil, signature},
		{"kwargs null", "echo", p.request(`{"args": [1], "kwargs": null}`), nil, signature},
		{"no kwargs", "echo", p.request(`{"args": [1]}`), nil, malformed},
		{"a list", "echo", p.request(`["x"]`), nil, malformed},
		{"null", "echo", p.request(`null`), nil, malformed},
		{"a string", "echo", p.request(`"x"`), nil, malformed},
		{"empty", "echo", p.request(``), nil, malformed},
		{"no JSON", "echo", p.request(`not json`), nil, malformed},
		{"two values", "echo", p.request(ok + ok), nil, malformed},
		{"unknown method", "nope", p.request(ok), nil, "nameko.exceptions.MethodNotFound"},
		{"dunder", "__init__", p.request(ok), nil, "nameko.exceptions.MethodNotFound"},
		{"too many", "echo", p.request(`{"args": [1, 2], "kwargs": {}}`), nil, signature},
		{"no content type", "echo", change(ok, func(m *amqp.Publishing) { m.ContentType = "" }), "x", nil},
		{"with a charset", "echo", change(ok, func(m *amqp.Publishing) { m.ContentType = "application/json; charset=utf-8" }), "x", nil},
		{"no encoding", "echo", change(ok, func(m *amqp.Publishing) { m.ContentEncoding = "" }), "x", nil},
		{"pickle", "echo", change(ok, func(m *amqp.Publishing) { m.ContentType = "application/x-python-serialize" }), nil, malformed},
		{"no headers", "echo", change(ok, func(m *amqp.Publishing) { m.Headers = nil }), "x", nil},
		{"stack a number", "echo", change(ok, func(m *amqp.Publishing) { m.Headers["nameko.call_id_stack"] = int32(1) }), "x", nil},
		{"stack a string", "echo", change(ok, func(m *amqp.Publishing) { m.Headers["nameko.call_id_stack"] = "abc" }), "x", nil},
		{"no correlation id", "echo", change(ok, func(m *amqp.Publishing) { m.CorrelationId = "" }), "x", nil},
		{"packed", "echo", change(packed.String(), func(m *amqp.Publishing) { m.Headers["compression"] = "application/x-gzip" }), "x", nil},
		{"badly packed", "echo", change(ok, func(m *amqp.Publishing) { m.Headers["compression"] = "application/x-gzip" }), nil, malformed},
		{"packed unknown", "echo", change(ok, func(m *amqp.Publishing) { m.Headers["compression"] = "application/zstd" }), nil, malformed},
		{"decimal", "echo", p.request(`{"args": [{"__type__": "decimal", "__value__": "1.10"}], "kwargs": {}}`), "1.10", nil},
		{"uuid", "echo", p.request(`{"args": [{"__type__": "uuid", "__value__": {"hex": "7d2c8d0e3b5f4c6d8e9f0a1b2c3d4e5f"}}], "kwargs": {}}`), "7d2c8d0e-3b5f-4c6d-8e9f-0a1b2c3d4e5f", nil},
		{"any text and number", "echo", p.request(`{"args": [["\u00fc ☃ 🚀", 9223372036854775809, 0.1, 2.0]], "kwargs": {}}`), []any{"ü ☃ 🚀", 9223372036854775809.0, 0.1, 2.0}, nil},
		{"panic", "panic", p.request(`{"args": [], "kwargs": {}}`), nil, "builtins.RuntimeError"},
		{"failure", "fail", p.request(`{"args": [], "kwargs": {}}`), nil, "builtins.RuntimeError"},
		{"unserializable", "channel", p.request(`{"args": [], "kwargs": {}}`), nil, "nameko.exceptions.UnserializableValueError"},
		{"result like a tag", "tagged", p.request(`{"args": [], "kwargs": {}}`), nil, "nameko.exceptions.UnserializableValueError"},
	} {
		t.Run(test.name, func(t *testing.T) {
			reply, d := p.call(t, test.method, test.message)
			if path := errorPath(reply); path != test.path {
				t.Errorf("error %v, want %v; reply %s", path, test.path, d.Body)
			}
			if diff := cmp.Diff(test.result, reply["result"]); test.path == nil && diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
			if strings.Contains(string(d.Body), "secret") {
				t.Errorf("the reply %s shows the inside", d.Body)
			}
			if d.CorrelationId != test.message.CorrelationId || d.ContentType != "application/json" || d.ContentEncoding != "utf-8" ||
				d.DeliveryMode != 2 || d.Priority != 0 || len(d.Headers) != 0 || d.ReplyTo != "" || d.Expiration != "" || d.MessageId != "" || d.AppId != "" {
				t.Errorf("properties of the reply: %+v", d)
			}
		})
	}
	// These get no reply: the next request does.
	for name, m := range map[string]amqp.Publishing{
		"no reply_to":        change(ok, func(m *amqp.Publishing) { m.ReplyTo = "" }),
		"reply_to of nobody": change(ok, func(m *amqp.Publishing) { m.ReplyTo = "nobody" }),
	} {
		p.send(t, "echo", m)
		if reply, _ := p.call(t, "echo", p.request(ok)); reply["result"] != "x" {
			t.Errorf("after a request with %s: %v, want the next one served", name, reply)
		}
	}
	p.send(t, "echo", change(ok, func(m *amqp.Publishing) { m.CorrelationId, m.Headers["nameko.deadline_ms"] = "late", int64(-5) }))
	if _, d := p.call(t, "echo", p.request(ok)); d.CorrelationId != "c1" {
		t.Errorf("a request that nobody waits for was executed: reply to %s", d.CorrelationId)
	}
	// All is acknowledged.
	eventually(t, "the queue is empty, with nothing unacknowledged", func() bool {
		other := dial(t, url)
		_, err := other.QueueDelete("rpc-echo", false, true, false) // only if it is empty
		return err == nil
	})
}

// What came with a call goes on with those that it makes, with the prefix.
func TestHeadersTravel(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	client := newClient(t, broker)
	start(t, echo(broker))
	var stack []any
	for range 20 {
		stack = append(stack, "a.b.c")
	}
	p := newPeer(t, url)
	m := p.request(`{"args": [], "kwargs": {}}`)
	m.Headers = amqp.Table{"nameko.call_id_stack": stack, "nameko.language": "en", "language": "de", "other": "plain", "nameko.none": nil}
	reply, _ := p.call(t, "headers", m)
	result, _ := reply["result"].(map[string]any)
	if result["language"] != "en" || result["other"] != "plain" {
		t.Errorf("headers arrived as %v, want the prefixed language and the plain other", result)
	}
	ids, _ := result["ids"].([]any)
	if len(ids) != 11 || !strings.HasPrefix(ids[10].(string), "echo.headers.") {
		t.Errorf("call ids are %v, want the last that came and one more, 11 in all", ids)
	}

	tap := tapped(t, url)
	ctx := nameko.WithData(nameko.WithData(t.Context(), "language", "en"), "none", nil)
	for range 20 {
		ctx = nameko.Begin(ctx, "a", "b")
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{"x"}})
	must(t, err)
	d := receive(t, "request on the tap", tap)
	if ids, _ := d.Headers["nameko.call_id_stack"].([]any); len(ids) != 11 {
		t.Errorf("the call carries %d ids, want the last 11", len(ids))
	}
	if d.Headers["nameko.language"] != "en" || d.Headers["nameko.none"] != nil || len(d.Headers) != 3 {
		t.Errorf("the call carries %v, want the language, the ids and the deadline", d.Headers)
	}
	if d.ContentType != "application/json" || d.ContentEncoding != "utf-8" || d.DeliveryMode != 2 || d.Priority != 0 ||
		d.ReplyTo == "" || d.CorrelationId == "" || d.Expiration == "" || d.MessageId != "" || d.Type != "" || d.AppId != "" || d.UserId != "" || !d.Timestamp.IsZero() {
		t.Errorf("properties of the call: %+v", d)
	}
	if want := `{"args":["x"],"kwargs":{}}`; string(d.Body) != want {
		t.Errorf("body of the call: %s, want %s", d.Body, want)
	}
}

// tapped returns what is sent to services.
func tapped(t *testing.T, url string) <-chan amqp.Delivery {
	t.Helper()
	ch := dial(t, url)
	q, err := ch.QueueDeclare("", false, true, true, false, nil)
	must(t, err)
	must(t, ch.QueueBind(q.Name, "echo.*", "nameko-rpc", false, nil))
	deliveries, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	must(t, err)
	return deliveries
}

// Python declares the same, in either order: nothing may differ.
func TestTopologyIsNamekos(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	client := newClient(t, broker)
	s := echo(broker)
	noop := func(context.Context, nameko.Event) error { return nil }
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "pool"}, noop)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "loose", Unreliable: true}, noop)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "single", Method: "m", Kind: nameko.Singleton}, noop)
	s.HandleEvent(nameko.Subscription{Source: "src", Event: "happened", Method: "all", Kind: nameko.Broadcast}, noop)
	start(t, s)
	_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}})
	must(t, err)
	declare := func(what string, do func(*amqp.Channel) error) {
		t.Helper()
		if err := do(dial(t, url)); err != nil {
			t.Errorf("%s as Python declares it: %v", what, err)
		}
	}
	declare("nameko-rpc", func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare("nameko-rpc", "topic", true, false, false, false, nil)
	})
	declare("src.events", func(ch *amqp.Channel) error {
		return ch.ExchangeDeclare("src.events", "topic", true, false, false, false, nil)
	})
	for queue, autoDelete := range map[string]bool{
		"rpc-echo": false, "evt-src-happened--echo.pool": false, "evt-src-happened--echo.loose": true, "evt-src-single": false,
	} {
		declare(queue, func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(queue, true, autoDelete, false, false, nil)
			return err
		})
	}
}

func TestUnknownServiceAndDownService(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	client := newClient(t, broker)
	for _, call := range []nameko.Call{{Service: "nobody", Method: "home"}, {Service: "echo", Method: "a.b", Repeatable: true}} {
		if _, err := client.Call(t.Context(), call); !errors.Is(err, nameko.ErrUnknownService) {
			t.Errorf("call of %s.%s: %v, want ErrUnknownService", call.Service, call.Method, err)
		}
	}
	stop := start(t, echo(broker))
	stop()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "echo", Args: []any{1}})
	if !errors.Is(err, nameko.ErrNoReply) {
		t.Errorf("call of a service that is down: %v, want ErrNoReply", err)
	}
	// What nobody waits for any more is gone when the service is back.
	start(t, echo(broker))
	tap := tapped(t, url)
	_, err = client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{2}})
	must(t, err)
	receive(t, "the second call", tap)
}

// Whether a request reached no queue is known for each of many at once.
func TestUnknownServiceAmongMany(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	broker := newBroker(t, url)
	client := newClient(t, broker)
	start(t, echo(broker))
	errs := make(chan error)
	const callers, calls = 32, 100
	for n := range callers {
		go func() {
			for i := range calls {
				if n%2 == 0 {
					_, err := client.Call(t.Context(), nameko.Call{Service: "nobody", Method: "home"})
					if !errors.Is(err, nameko.ErrUnknownService) {
						errs <- err
						return
					}
					continue
				}
				reply, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{i}})
				var got int
				if err == nil {
					err = reply.Decode(&got)
				}
				if err != nil || got != i {
					errs <- errors.Join(err, errors.New("the reply of another call"))
					return
				}
			}
			errs <- nil
		}()
	}
	for range callers {
		if err := receive(t, "end of a caller", errs); err != nil {
			t.Errorf("a call ended with %v", err)
		}
	}
}
