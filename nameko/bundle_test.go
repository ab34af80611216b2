package nameko_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
	"hangar/nameko"
)

const repliesType = "hangar.replies"

// bundleOf returns the body of a bundle. A call is "method id", or an entry as it
// is.
func bundleOf(calls ...string) string {
	entries := make([]string, len(calls))
	for i, call := range calls {
		entries[i] = call
		if method, id, ok := strings.Cut(call, " "); ok && call[0] != '{' {
			entries[i] = fmt.Sprintf(`{"id": %q, "method": %q, "args": [], "kwargs": {}, "headers": {"nameko.deadline_ms": 60000}}`, id, method)
		}
	}
	return `{"args": [[` + strings.Join(entries, ", ") + `]], "kwargs": {}}`
}

func echoEntry(id string, arg any) string {
	return fmt.Sprintf(`{"id": %q, "method": "echo", "args": [%v], "kwargs": {}, "headers": {"nameko.language": "en"}}`, id, arg)
}

// bundledReplies returns the next replies, by the ids of their calls.
func (p *peer) bundledReplies(t *testing.T) (map[string]string, amqp.Delivery) {
	t.Helper()
	d := receive(t, "replies", p.replies)
	if d.Type != repliesType {
		return map[string]string{d.CorrelationId: string(d.Body)}, d
	}
	var body struct {
		Result []struct {
			ID    string
			Reply json.RawMessage
		}
		Error any
	}
	must(t, json.Unmarshal(d.Body, &body))
	replies := make(map[string]string)
	for _, r := range body.Result {
		replies[r.ID] = string(r.Reply)
	}
	return replies, d
}

// allReplies returns the replies to so many calls.
func (p *peer) allReplies(t *testing.T, calls int) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for len(all) < calls {
		replies, _ := p.bundledReplies(t)
		for id, reply := range replies {
			if _, ok := all[id]; ok {
				t.Errorf("a second reply to %s: %s", id, reply)
			}
			all[id] = reply
		}
	}
	return all
}

func nothingLeft(t *testing.T, url, queue string) {
	t.Helper()
	eventually(t, queue+" is empty, with nothing unacknowledged", func() bool {
		_, err := dial(t, url).QueueDelete(queue, false, true, false) // only if it is empty
		return err == nil
	})
}

// Calls that are made at the same time share messages, as do their replies; each
// gets its own. One that is made alone is Nameko's message.
func TestCallsShareMessages(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	start(t, echo(newBroker(t, url)))
	client := newClient(t, newBroker(t, url))
	tap := tappedReplies(t, url)
	call := func(arg int) error {
		reply, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{arg}})
		var got int
		if err == nil {
			err = reply.Decode(&got)
		}
		if err == nil && got != arg {
			err = fmt.Errorf("the call of %d got %d", arg, got)
		}
		return err
	}
	must(t, call(0))
	if d := receive(t, "request", tap); d.RoutingKey != "echo.echo" || string(d.Body) != `{"args":[0],"kwargs":{}}` {
		t.Errorf("a call alone is %s %s", d.RoutingKey, d.Body)
	}
	if d := receive(t, "reply", tap); d.Type != "" || string(d.Body) != `{"result":0,"error":null}` {
		t.Errorf("its reply has the type %q and is %s", d.Type, d.Body)
	}
	const callers, calls = 64, 20
	errs := make(chan error, callers)
	for n := range callers {
		go func() {
			var err error
			for i := range calls {
				err = errors.Join(err, call(n*calls+i))
			}
			errs <- err
		}()
	}
	messages, bundles, gathered := 0, 0, 0
	count := func(d amqp.Delivery) {
		messages++
		if strings.HasSuffix(d.RoutingKey, "."+bundleMethod) {
			bundles++
		}
		if d.Type == repliesType {
			gathered++
		}
	}
	for ended := 0; ended < callers; {
		select {
		case err := <-errs:
			ended++
			if err != nil {
				t.Error(err)
			}
		case d := <-tap:
			count(d)
		}
	}
	must(t, call(callers*calls)) // behind all others on the tap
	for d := receive(t, "request", tap); string(d.Body) != fmt.Sprintf(`{"args":[%d],"kwargs":{}}`, callers*calls); d = receive(t, "request", tap) {
		count(d)
	}
	if bundles == 0 || gathered == 0 || messages > callers*calls {
		t.Errorf("%d calls took %d messages, of which %d had several calls and %d several replies, want far fewer than %d", callers*calls, messages, bundles, gathered, 2*callers*calls)
	}
}

// Each call of a bundle fares as it would alone; what is broken fails for itself.
func TestCallsOfABundle(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := echo(newBroker(t, url))
	finish := make(chan struct{})
	var late atomic.Int64
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		<-finish
		return "slow", nil
	})
	s.Handle("late", nameko.Params(), func(context.Context, nameko.Args) (any, error) { return late.Add(1), nil })
	start(t, s)
	p := newPeer(t, url)
	p.send(t, bundleMethod, p.request(bundleOf(
		"slow slow", echoEntry("a", 1), echoEntry("b", `"x"`), "nope unknown", "echo unbound", "panic panics", "headers headers", "fail fails",
		`{"id": "late", "method": "late", "args": [], "kwargs": {}, "headers": {"nameko.deadline_ms": -1}}`,
		`{"id": "no args", "method": "echo", "kwargs": {}}`, `{"id": "no method"}`, `{"id": "odd", "method": 1, "args": {"a": 1}, "kwargs": [], "headers": "none"}`,
		`{"method": "echo", "args": [1], "kwargs": {}}`, `17`, `null`, `{"id": 5}`,
	)))
	got := p.allReplies(t, 10) // while the slow one runs
	for id, reply := range got {
		var body map[string]any
		must(t, json.Unmarshal([]byte(reply), &body))
		if path := errorPath(body); path != nil {
			got[id] = path.(string)
		}
	}
	ids := got["headers"]
	delete(got, "headers")
	want := map[string]string{
		"a": `{"result":1,"error":null}`, "b": `{"result":"x","error":null}`,
		"unknown": nameko.MethodNotFound, "unbound": nameko.IncorrectSignature, "panics": "builtins.RuntimeError", "fails": "builtins.RuntimeError",
		"no args": nameko.MalformedRequest, "no method": nameko.MethodNotFound, "odd": nameko.MethodNotFound,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("replies (-want +got):\n%s", diff)
	}
	if !strings.Contains(ids, `"ids":["echo.headers.`) {
		t.Errorf("the headers of a call are %s", ids)
	}
	close(finish)
	if got := p.allReplies(t, 1)["slow"]; got != `{"result":"slow","error":null}` {
		t.Errorf("reply of the slow call: %s", got)
	}
	if n := late.Load(); n != 0 {
		t.Errorf("a call that nobody waits for any more was executed %d times", n)
	}
	for name, body := range map[string]string{
		"no list": `{"args": [1], "kwargs": {}}`, "nothing": `{"args": [], "kwargs": {}}`, "no JSON": `[[`,
		"too many": bundleOf(strings.Split(strings.Repeat("echo x,", 1025)[:1025*7-1], ",")...),
	} {
		p.send(t, bundleMethod, p.request(body))
		replies, d := p.bundledReplies(t)
		if d.CorrelationId != "c1" || !strings.Contains(replies["c1"], "nameko.exceptions.") {
			t.Errorf("a bundle with %s is answered with %v", name, replies)
		}
	}
	p.send(t, bundleMethod, p.request(bundleOf()))
	m := p.request(bundleOf("echo x", echoEntry("y", 1)))
	m.ReplyTo = ""
	p.send(t, bundleMethod, m)
	nothingLeft(t, url, "rpc-echo")
}

// Replies that are too large for a bundle go alone.
func TestLargeReplies(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := echo(newBroker(t, url))
	s.Handle("large", nameko.Params(), func(context.Context, nameko.Args) (any, error) { return strings.Repeat("x", 200<<10), nil })
	start(t, s)
	p := newPeer(t, url)
	p.send(t, bundleMethod, p.request(bundleOf("large 1", "large 2", "large 3", "large 4")))
	for range 4 {
		if replies, d := p.bundledReplies(t); len(replies) != 1 || d.Type != "" {
			t.Errorf("%d large replies come in one message of type %q, want one", len(replies), d.Type)
		}
	}
	client := newClient(t, newBroker(t, url))
	large := strings.Repeat("y", 100<<10)
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			reply, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{large}})
			var got string
			if err == nil {
				err = reply.Decode(&got)
			}
			if err != nil || got != large {
				t.Errorf("a large call among others: %d bytes, %v", len(got), err)
			}
		})
	}
	callers.Wait()
}

// Calls that are sent again if they are lost are kept on disk on neither way.
func TestRepeatableCallsAreTransient(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	start(t, echo(newBroker(t, url)))
	client := newClient(t, newBroker(t, url))
	tap := tappedReplies(t, url)
	for repeatable, mode := range map[bool]uint8{true: 1, false: 2} {
		_, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "echo", Args: []any{1}, Repeatable: repeatable})
		must(t, err)
		if request, reply := receive(t, "request", tap), receive(t, "reply", tap); request.DeliveryMode != mode || reply.DeliveryMode != mode {
			t.Errorf("Repeatable %v: the request has delivery mode %d and the reply %d, want %d", repeatable, request.DeliveryMode, reply.DeliveryMode, mode)
		}
	}
	p := newPeer(t, url)
	for _, mode := range []uint8{1, 2} {
		m := p.request(bundleOf(echoEntry("a", 1), echoEntry("b", 2)))
		m.DeliveryMode = mode
		p.send(t, bundleMethod, m)
		for n := 0; n < 2; {
			replies, d := p.bundledReplies(t)
			if n += len(replies); d.DeliveryMode != mode {
				t.Errorf("replies to a bundle with delivery mode %d have %d", mode, d.DeliveryMode)
			}
		}
	}
}

// A busy service refuses each call of a bundle that it has no room for, and no
// other.
func TestBusyServiceRefusesCallsOfABundle(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := newBusyService(newBroker(t, url), 0)
	start(t, s.Server)
	p := newPeer(t, url)
	const room, more = 4, 3 // two run and two wait
	var calls []string
	for i := range room + more {
		calls = append(calls, fmt.Sprint("slow ", i))
	}
	must(t, p.ch.Publish("nameko-rpc", "busy."+bundleMethod, true, false, p.request(bundleOf(calls...))))
	for id, reply := range p.allReplies(t, more) {
		if !strings.Contains(reply, "test.exceptions.Busy") {
			t.Errorf("reply to %s: %s, want a refusal", id, reply)
		}
	}
	go func() {
		for range room {
			<-s.running
		}
	}()
	close(s.finish)
	for id, reply := range p.allReplies(t, room) {
		if reply != `{"result":"done","error":null}` {
			t.Errorf("reply to %s: %s, want its result", id, reply)
		}
	}
	nothingLeft(t, url, "rpc-busy")
}

// A bundle whose server loses its connection is delivered again, with all calls.
func TestServerCutOffInTheMiddleOfABundle(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	proxy := newProxy(t, url)
	s := echo(newBroker(t, proxy.url))
	running, finish := make(chan struct{}, 10), make(chan struct{}) // it runs again as often as its reply may have been lost
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		running <- struct{}{}
		<-finish
		return "slow", nil
	})
	start(t, s)
	p := newPeer(t, url)
	p.send(t, bundleMethod, p.request(bundleOf("slow s", echoEntry("a", 1), echoEntry("b", 2))))
	receive(t, "running call", running)
	p.allReplies(t, 2)
	proxy.cut()
	receive(t, "running call, delivered again", running)
	// From here on replies whose confirm was cut off come again.
	for replied := make(map[string]string); replied["a"] == "" || replied["b"] == ""; {
		replies, _ := p.bundledReplies(t)
		maps.Copy(replied, replies)
	}
	close(finish)
	for runs := 0; runs < 2; { // both reply
		replies, _ := p.bundledReplies(t)
		got, isSlow := replies["s"]
		if !isSlow {
			continue
		}
		if got != `{"result":"slow","error":null}` {
			t.Errorf("reply of the slow call: %s", got)
		}
		runs++
	}
	nothingLeft(t, url, "rpc-echo")
}

// A service that stops finishes the calls of a bundle that have begun, and gives
// back the others at once, each alone.
func TestStoppingServiceGivesBackCallsOfABundle(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s := nameko.NewServer(newBroker(t, url), "echo", 1, 0)
	running, finish := make(chan struct{}), make(chan struct{})
	s.Handle("slow", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
		running <- struct{}{}
		<-finish
		return "slow", nil
	})
	s.Handle("echo", nameko.Params("x"), func(context.Context, nameko.Args) (any, error) {
		return nil, errors.New("run by the service that was told to stop")
	})
	stop := start(t, s)
	p := newPeer(t, url)
	const calls = 20
	entries := []string{"slow s"}
	for i := range calls {
		entries = append(entries, echoEntry(fmt.Sprint(i), i))
	}
	p.send(t, bundleMethod, p.request(bundleOf(entries...)))
	receive(t, "running call", running)
	stopped := make(chan struct{})
	go func() {
		stop()
		close(stopped)
	}()
	start(t, echo(newBroker(t, url)))
	for id, reply := range p.allReplies(t, calls) {
		if want := fmt.Sprintf(`{"result":%s,"error":null}`, id); reply != want {
			t.Errorf("reply %s of the other service, want %s", reply, want)
		}
	}
	select {
	case <-stopped:
		t.Error("the service stopped before its call had ended")
	default:
	}
	close(finish)
	receive(t, "end of the service", stopped)
	if got := p.allReplies(t, 1)["s"]; got != `{"result":"slow","error":null}` {
		t.Errorf("reply of the call that had begun: %s", got)
	}
	nothingLeft(t, url, "rpc-echo")
}

// Where some instances are Python ones, their answer to a bundle says that nothing
// was done: its calls are made one by one, and each runs once.
func TestBundlesInAMixedFleet(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	s, count := counted(newBroker(t, url))
	start(t, s)
	ch := dial(t, url)
	deliveries, err := ch.Consume("rpc-echo", "", true, false, false, false, nil)
	must(t, err)
	var refused, taken atomic.Int64
	go func() {
		for d := range deliveries {
			if refuseBundle(t, ch, d) {
				refused.Add(1)
				continue
			}
			taken.Add(1)
			var body struct{ Args []any }
			if err := json.Unmarshal(d.Body, &body); err != nil {
				t.Errorf("request %s: %v", d.Body, err)
			}
			answer(t, ch, d, func(p *amqp.Publishing) { p.Body = fmt.Appendf(nil, `{"result": %q, "error": null}`, body.Args[0]) })
		}
	}()
	client := newClient(t, newBroker(t, url))
	const callers, calls = 32, 20
	var running sync.WaitGroup
	for n := range callers {
		running.Go(func() {
			for i := range calls {
				want := fmt.Sprint(n, " ", i)
				reply, err := client.Call(t.Context(), nameko.Call{Service: "echo", Method: "count", Args: []any{want}})
				var got string
				if err == nil {
					err = reply.Decode(&got)
				}
				if err != nil || got != want {
					t.Errorf("call of %q: %q, %v", want, got, err)
				}
			}
		})
	}
	running.Wait()
	here := int64(0)
	for n := range callers {
		for i := range calls {
			runs := count(fmt.Sprint(n, " ", i))
			if here += runs; runs > 1 {
				t.Errorf("call %d of caller %d ran %d times", i, n, runs)
			}
		}
	}
	if here+taken.Load() != callers*calls || refused.Load() == 0 || taken.Load() == 0 {
		t.Errorf("%d calls ran here and %d at the Python service, which refused %d bundles; want %d calls in all", here, taken.Load(), refused.Load(), callers*calls)
	}
}
