package nameko_test

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"hangar/hangartest"
	"hangar/nameko"
	"hangar/tracing"
)

// traced is a broker whose spans the test sees.
type traced struct {
	tracetest.SpanRecorder
	provider trace.TracerProvider
	broker   *nameko.Broker
}

func newTraced(t *testing.T, url string) *traced {
	t.Helper()
	s := new(traced)
	s.provider = sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(s))
	s.broker = newBrokerWith(t, nameko.Config{URL: url, Traces: s.provider})
	return s
}

// whose returns a service whose method says in which trace it runs.
func (s *traced) whose() *nameko.Server {
	server := echo(s.broker)
	server.Handle("whose", nameko.Params(), func(ctx context.Context, _ nameko.Args) (any, error) { return tracing.ID(ctx), nil })
	return server
}

// named returns the span of that name and kind, once it has ended.
func (s *traced) named(t *testing.T, kind trace.SpanKind, name string) (found sdktrace.ReadOnlySpan) {
	t.Helper()
	eventually(t, "the end of the span "+name, func() bool {
		for _, span := range s.Ended() {
			if span.SpanKind() == kind && span.Name() == name {
				found = span
			}
		}
		return found != nil
	})
	return found
}

func callIDsOf(span sdktrace.ReadOnlySpan) []string {
	for _, a := range span.Attributes() {
		if a.Key == attribute.Key("nameko.call_id_stack") {
			return a.Value.AsStringSlice()
		}
	}
	return nil
}

func wantParent(t *testing.T, span, parent sdktrace.ReadOnlySpan) {
	t.Helper()
	if got, want := span.Parent().SpanID(), parent.SpanContext().SpanID(); got != want {
		t.Errorf("%s %s: its parent is %s, want %s %s: %s", span.SpanKind(), span.Name(), got, parent.SpanKind(), parent.Name(), want)
	}
	if got, want := span.SpanContext().TraceID(), parent.SpanContext().TraceID(); got != want {
		t.Errorf("%s %s is in the trace %s, want %s", span.SpanKind(), span.Name(), got, want)
	}
}

// A Python service passes on headers that it does not know: what it calls is
// below the call of it, in the same trace.
func TestTraceGoesOnBehindAPythonService(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := newTraced(t, url)
	start(t, s.whose())
	servePython(t, url)
	client := newClient(t, s.broker)
	ctx, root := tracing.Tracer(s.provider).Start(t.Context(), "root")
	reply, err := client.Call(ctx, nameko.Call{Service: "python", Method: "pass_on"})
	must(t, err)
	var id string
	must(t, reply.Decode(&id))
	if want := root.SpanContext().TraceID().String(); id != want {
		t.Errorf("behind the Python service the trace is %q, want %s", id, want)
	}
	caller := s.named(t, trace.SpanKindClient, "python.pass_on")
	server := s.named(t, trace.SpanKindServer, "echo.whose")
	wantParent(t, server, caller)
	ids := callIDsOf(server)
	if len(ids) != 3 || !strings.HasPrefix(ids[1], "python.pass_on.") || !strings.HasPrefix(ids[2], "echo.whose.") {
		t.Errorf("the ids of its calls are %q, want the client's, the Python service's and its own", ids)
	}
}

// servePython serves the method python.pass_on as Nameko does: it calls echo.whose.
func servePython(t *testing.T, url string) {
	t.Helper()
	ch := dial(t, url)
	must(t, ch.ExchangeDeclare("nameko-rpc", "topic", true, false, false, false, nil))
	_, err := ch.QueueDeclare("rpc-python", true, false, false, false, nil)
	must(t, err)
	must(t, ch.QueueBind("rpc-python", "python.*", "nameko-rpc", false, nil))
	calls, err := ch.Consume("rpc-python", "", true, false, false, false, nil)
	must(t, err)
	go func() { // ends with the channel
		for d := range calls {
			headers := amqp.Table{}
			for name, value := range d.Headers {
				if strings.HasPrefix(name, "nameko.") {
					headers[name] = value
				}
			}
			stack, _ := headers["nameko.call_id_stack"].([]any)
			headers["nameko.call_id_stack"] = append(stack, "python.pass_on.1")
			_ = ch.Publish("nameko-rpc", "echo.whose", true, false, amqp.Publishing{ // what fails here, no reply shows
				Headers: headers, ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: 2,
				CorrelationId: d.CorrelationId, ReplyTo: d.ReplyTo, Body: d.Body,
			})
		}
	}()
}

// Calls that share a message are each in the trace of who makes it.
func TestCallsOfABundleKeepTheirTraces(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := newTraced(t, url)
	start(t, s.whose())
	client := newClient(t, s.broker)
	var callers sync.WaitGroup
	const calls = 200
	for range calls {
		callers.Go(func() {
			ctx, root := tracing.Tracer(s.provider).Start(t.Context(), "root")
			reply, err := client.Call(ctx, nameko.Call{Service: "echo", Method: "whose", Repeatable: true})
			var id string
			if err == nil {
				err = reply.Decode(&id)
			}
			if want := root.SpanContext().TraceID().String(); err != nil || id != want {
				t.Errorf("the method runs in the trace %q, %v, want %s", id, err, want)
			}
		})
	}
	callers.Wait()

	p := newPeer(t, url)
	entry := func(id, trace string) string {
		return `{"id": "` + id + `", "method": "whose", "args": [], "kwargs": {}, "headers": {"nameko.traceparent": "00-` + trace + `-b7ad6b7169203331-01"}}`
	}
	first, second := strings.Repeat("1", 32), strings.Repeat("2", 32)
	p.send(t, "hangar_call_many", p.request(bundleOf(entry("a", first), entry("b", second))))
	replies := p.allReplies(t, 2)
	for id, trace := range map[string]string{"a": first, "b": second} {
		if !strings.Contains(replies[id], trace) {
			t.Errorf("the call %s of a bundle was answered %s, want the trace %s", id, replies[id], trace)
		}
	}
}

// What is no W3C Trace Context begins a trace of its own, and is not passed on.
func TestMalformedTraceparent(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := newTraced(t, url)
	start(t, s.whose())
	p := newPeer(t, url)
	for _, header := range []any{"", "00-nonsense", "00-" + strings.Repeat("0", 32) + "-b7ad6b7169203331-01", int32(1), strings.Repeat("x", 10000), nil} {
		m := p.request(`{"args": [], "kwargs": {}}`)
		m.Headers["nameko.traceparent"], m.Headers["nameko.tracestate"] = header, "\x00,"
		reply, _ := p.call(t, "whose", m)
		if id, _ := reply["result"].(string); len(id) != 32 || strings.Trim(id, "0") == "" {
			t.Errorf("traceparent %.40v: the answer is %v, want a trace of its own", header, reply)
		}
	}
	for _, span := range s.Ended() {
		if span.Parent().IsValid() {
			t.Errorf("the span %s has a parent, want none", span.Name())
		}
	}
}

func TestErrorsAreTheStatusOfSpans(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := newTraced(t, url)
	start(t, s.whose())
	client := newClient(t, s.broker)
	ctx, _ := tracing.Tracer(s.provider).Start(t.Context(), "root")
	for method, want := range map[string]string{"fail": "builtins.RuntimeError", "nope": "nameko.exceptions.MethodNotFound", "panic": "builtins.RuntimeError"} {
		if _, err := client.Call(ctx, nameko.Call{Service: "echo", Method: method, Args: []any{}}); err == nil {
			t.Errorf("%s succeeded, want an error", method)
		}
		called := "echo." + method
		served := called
		if method == "nope" {
			served = "echo._OTHER"
		}
		for _, span := range []sdktrace.ReadOnlySpan{s.named(t, trace.SpanKindClient, called), s.named(t, trace.SpanKindServer, served)} {
			if got := span.Status(); got.Code != codes.Error || got.Description != want {
				t.Errorf("%s %s ended with %v, want an error %s", span.SpanKind(), span.Name(), got, want)
			}
		}
	}
}

// An event that is published later is where it comes from: in its trace, and
// called by its calls.
func TestEventsComeFromTheirContext(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := newTraced(t, url)
	server := s.whose()
	handled := make(chan []string, 3)
	server.HandleEvent(nameko.Subscription{Source: "shop", Event: "sold", Method: "count"}, func(ctx context.Context, _ nameko.Event) error {
		handled <- append(nameko.CallIDs(ctx), tracing.ID(ctx))
		return nil
	})
	start(t, server)
	ctx, root := tracing.Tracer(s.provider).Start(nameko.Resume(t.Context(), []string{"a.b.1", "c.d.2"}), "root")
	publisher := nameko.NewPublisher(s.broker, "shop")
	event := nameko.Event{Type: "sold", Payload: json.RawMessage("1"), Context: ctx}
	must(t, publisher.Publish(t.Context(), event, nameko.Event{Type: "sold", Payload: json.RawMessage("1")}))
	got, other := receive(t, "an event", handled), receive(t, "the other event", handled)
	if len(other) > len(got) {
		got, other = other, got // workers end in any order
	}
	id := root.SpanContext().TraceID().String()
	if len(got) != 4 || got[0] != "a.b.1" || got[1] != "c.d.2" || !strings.HasPrefix(got[2], "echo.count.") || got[3] != id {
		t.Errorf("it was handled with %q, want the ids of what it comes from, its own, and the trace %s", got, id)
	}
	if len(other) != 3 || !strings.HasPrefix(other[0], "shop.publish.") || other[2] == id {
		t.Errorf("the other event was handled with %q, want the publisher's id and another trace", other)
	}
	published := s.named(t, trace.SpanKindProducer, "publish shop.events")
	if got := published.Parent().SpanID(); got != root.SpanContext().SpanID() {
		t.Errorf("the parent of what published it is %s, want the root", got)
	}
	var handlers []sdktrace.ReadOnlySpan
	eventually(t, "the ends of both handlers", func() bool {
		handlers = nil
		for _, span := range s.Ended() {
			if span.SpanKind() == trace.SpanKindConsumer {
				handlers = append(handlers, span)
			}
		}
		return len(handlers) == 2
	})
	for _, span := range handlers {
		if span.Parent().IsValid() {
			wantParent(t, span, published)
		}
	}
}
