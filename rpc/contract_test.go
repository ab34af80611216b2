package rpc_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/hangartest"
)

// recordedCall is a call of the contract, and what came of it.
type recordedCall struct {
	Call, Request string
	Reply         any
	Properties    map[string]any `json:"reply_properties"`
	Want          map[string]any
	Why           string
	Returned      string
}

func readTestdata(t *testing.T, name string, v any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	wantNil(t, "read the contract", err)
	wantNil(t, "decode the contract", json.Unmarshal(b, v))
}

// The recorded calls, sent as Python's standalone proxy does.
func TestContract(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	newFleet(t, url)
	var contract struct{ Calls []recordedCall }
	readTestdata(t, "rpc.json", &contract)
	if len(contract.Calls) == 0 {
		t.Fatal("the contract has no calls")
	}
	proxy := newProxy(t, url)
	for i, c := range contract.Calls {
		t.Run(fmt.Sprintf("%02d %s", i, c.Call), func(t *testing.T) {
			reply, returned := proxy.call(t, c)
			switch {
			case c.Returned != "":
				if returned == nil || returned.ReplyCode != amqp.NoRoute {
					t.Errorf("%s came back as %+v, reply %+v, want NO_ROUTE", c.Call, returned, reply)
				}
			case reply == nil:
				t.Errorf("%s came back: %+v, want a reply", c.Call, returned)
			default:
				c.check(t, reply)
			}
		})
	}
}

func (c recordedCall) check(t *testing.T, reply *amqp.Delivery) {
	if c.Properties == nil { // the reference does not reply
		c.Properties = map[string]any{"content_type": "application/json", "content_encoding": "utf-8",
			"headers": map[string]any{}, "delivery_mode": 2.0, "priority": 0.0}
	}
	got := propertiesOf(reply)
	delete(got, "correlation_id") // by which the reply was found
	wantEqual(t, c.Call+": properties", got, c.Properties)

	var body map[string]any
	wantNil(t, "decode the reply", json.Unmarshal(reply.Body, &body))
	want, _ := c.Reply.(map[string]any)
	failure, _ := body["error"].(map[string]any)
	if path, ok := c.Want["exc_path"]; ok {
		if failure["exc_path"] != path || body["result"] != nil {
			t.Errorf("%s %s replied %s, want %v", c.Call, c.Request, reply.Body, path)
		}
		return
	}
	if result, ok := c.Want["result"]; ok {
		if result == "every order" {
			result = []any{map[string]any{"id": 1.0}}
		}
		want = map[string]any{"result": result, "error": nil}
	}
	if expected, ok := want["error"].(map[string]any); ok && failure != nil {
		switch expected["exc_type"] {
		case "IncorrectSignature":
			delete(expected, "exc_args")
			delete(expected, "value")
		case "ValidationError": // Python's spelling of the fields
			delete(expected, "value")
		}
	}
	sortByID(body["result"])
	sortByID(want["result"])
	if len(body) != 2 || !contains(body, want) {
		t.Errorf("%s %s replied %s, want %v", c.Call, c.Request, reply.Body, want)
	}
	if c.Call == "products.get" {
		wantEqual(t, c.Call, body["result"], want["result"])
	}
}

// contains reports whether got has at least the members that want has.
func contains(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		for name, value := range want {
			member, has := got[name]
			ok = ok && has && contains(member, value)
		}
		return ok
	case []any:
		got, ok := got.([]any)
		return ok && slices.EqualFunc(got, want, contains)
	}
	return got == want
}

// sortByID sorts a list of products, which Python has in any order.
func sortByID(result any) {
	list, _ := result.([]any)
	slices.SortFunc(list, func(a, b any) int {
		return cmp.Compare(fmt.Sprint(a.(map[string]any)["id"]), fmt.Sprint(b.(map[string]any)["id"]))
	})
}

// propertiesOf returns the properties that are set, as JSON would have them.
func propertiesOf(d *amqp.Delivery) map[string]any {
	properties := map[string]any{
		"headers":       normal(d.Headers),
		"delivery_mode": float64(d.DeliveryMode),
		"priority":      float64(d.Priority),
	}
	if !d.Timestamp.IsZero() {
		properties["timestamp"] = d.Timestamp
	}
	for name, value := range map[string]string{
		"content_type":     d.ContentType,
		"content_encoding": d.ContentEncoding,
		"correlation_id":   d.CorrelationId,
		"reply_to":         d.ReplyTo,
		"expiration":       d.Expiration,
		"message_id":       d.MessageId,
		"type":             d.Type,
		"user_id":          d.UserId,
		"app_id":           d.AppId,
	} {
		if value != "" {
			properties[name] = value
		}
	}
	return properties
}

func normal(table amqp.Table) map[string]any {
	headers := make(map[string]any, len(table))
	for name, value := range table {
		headers[name] = value
	}
	return headers
}

// proxy calls methods with messages that it makes itself.
type proxy struct {
	channel *amqp.Channel
	id      string // of the queue for replies
	replies <-chan amqp.Delivery
	returns chan amqp.Return
}

func newProxy(t *testing.T, url string) *proxy {
	t.Helper()
	ch := rawChannel(t, url)
	p := &proxy{channel: ch, id: uuid.NewString(), returns: ch.NotifyReturn(make(chan amqp.Return, 1))}
	queue := "rpc.reply-standalone_rpc_proxy-" + p.id
	_, err := ch.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-expires": int32(300_000)})
	wantNil(t, "QueueDeclare", err)
	wantNil(t, "QueueBind", ch.QueueBind(queue, p.id, "nameko-rpc", false, nil))
	p.replies, err = ch.Consume(queue, "", true, false, false, false, nil)
	wantNil(t, "Consume", err)
	return p
}

// rawChannel opens a channel that is closed when the test ends.
func rawChannel(t *testing.T, url string) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(url)
	wantNil(t, "Dial", err)
	t.Cleanup(func() { wantNil(t, "Close", conn.Close()) })
	ch, err := conn.Channel()
	wantNil(t, "Channel", err)
	return ch
}

// call returns the reply, or the request if it came back.
func (p *proxy) call(t *testing.T, c recordedCall) (*amqp.Delivery, *amqp.Return) {
	t.Helper()
	id := uuid.NewString()
	wantNil(t, "Publish", p.channel.Publish("nameko-rpc", c.Call, true, false, amqp.Publishing{
		Headers:         amqp.Table{"nameko.call_id_stack": []any{"standalone_rpc_proxy.call." + p.id}},
		ContentType:     "application/json",
		ContentEncoding: "utf-8",
		DeliveryMode:    amqp.Persistent,
		CorrelationId:   id,
		ReplyTo:         p.id,
		Body:            []byte(c.Request),
	}))
	timeout := time.After(2 * time.Minute)
	for {
		select {
		case reply := <-p.replies:
			if reply.CorrelationId == id {
				return &reply, nil
			}
		case returned := <-p.returns:
			return nil, &returned
		case <-timeout:
			t.Fatalf("%s %s: no reply", c.Call, c.Request)
		}
	}
}

// eventually repeats what must succeed sooner or later.
func eventually(t *testing.T, what string, try func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for {
		err := try()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v, want no error in the end", what, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
