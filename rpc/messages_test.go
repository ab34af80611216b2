package rpc_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/gateway"
	"hangar/hangartest"
)

// message is what somebody published.
type message struct {
	Exchange   string         `json:"exchange"`
	RoutingKey string         `json:"routing_key"`
	Properties map[string]any `json:"properties"`
	Body       any            `json:"body"` // decoded
}

// What the gateway and the services publish for four requests, against what the
// Python ones do.
func TestMessages(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	f := newFleet(t, url)
	tapped := tap(t, url)
	server := httptest.NewServer(gateway.New(gateway.Config{Orders: f.orders, Products: f.products, Log: noLog}))
	defer server.Close()
	for _, request := range []struct{ method, path, body string }{
		{"POST", "/products", `{"id": "wire_a", "title": "Wire A", "passenger_capacity": 101, "maximum_speed": 5, "in_stock": 10}`},
		{"GET", "/products/wire_a", ""},
		{"GET", "/products/wire_missing", ""},
		{"POST", "/orders", `{"order_details": [{"product_id": "wire_a", "price": "12.50", "quantity": 2}]}`},
	} {
		send(t, request.method, server.URL+request.path, request.body)
	}
	var want []message
	for _, m := range recorded(t) {
		want = append(want, asHangarHasIt(t, m)...)
	}
	repeatablesAreTransient(want)
	got := make([]message, 0, len(want))
	for range want {
		got = append(got, received(t, tapped))
	}
	sortMessages(t, want)
	sortMessages(t, got)
	wantEqual(t, "messages", sameNames(t, got), sameNames(t, want))
}

func send(t *testing.T, method, url, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	wantNil(t, "NewRequest", err)
	resp, err := http.DefaultTransport.(*http.Transport).RoundTrip(req)
	wantNil(t, method+" "+url, err)
	wantNil(t, "Close", resp.Body.Close())
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
}

// tap takes a copy of all requests, replies and events.
func tap(t *testing.T, url string) <-chan amqp.Delivery {
	t.Helper()
	ch := rawChannel(t, url)
	queue, err := ch.QueueDeclare("", false, true, true, false, nil)
	wantNil(t, "QueueDeclare", err)
	wantNil(t, "ExchangeDeclare", ch.ExchangeDeclare("orders.events", "topic", true, false, false, false, nil))
	for _, exchange := range []string{"nameko-rpc", "orders.events"} {
		wantNil(t, "QueueBind", ch.QueueBind(queue.Name, "#", exchange, false, nil))
	}
	deliveries, err := ch.Consume(queue.Name, "", true, true, false, false, nil)
	wantNil(t, "Consume", err)
	return deliveries
}

// recorded returns the contract's messages.
func recorded(t *testing.T) []message {
	t.Helper()
	var contract struct{ Messages []message }
	readTestdata(t, "messages.json", &contract)
	if len(contract.Messages) != 11 {
		t.Fatalf("the contract has %d messages, want 11", len(contract.Messages))
	}
	for i, m := range contract.Messages {
		contract.Messages[i].Body = decoded(t, []byte(m.Body.(string)))
	}
	return contract.Messages
}

// received returns the next message that was tapped. What only hangar sends is
// checked and left out.
func received(t *testing.T, tapped <-chan amqp.Delivery) message {
	t.Helper()
	var d amqp.Delivery
	select {
	case d = <-tapped:
	case <-time.After(2 * time.Minute):
		t.Fatal("a message is missing")
	}
	m := message{Exchange: d.Exchange, RoutingKey: d.RoutingKey, Properties: propertiesOf(&d), Body: decoded(t, d.Body)}
	if d.ReplyTo != "" { // every request has a deadline, and the id of what it is made for
		left, err := strconv.Atoi(d.Expiration)
		if header := d.Headers["nameko.deadline_ms"]; err != nil || left < 1 || header != int64(left) {
			t.Errorf("%s: expiration %q and nameko.deadline_ms %v, want both to be the milliseconds that are left", d.RoutingKey, d.Expiration, header)
		}
		if id, _ := d.Headers["nameko.request_id"].(string); id == "" {
			t.Errorf("%s: no nameko.request_id among %v", d.RoutingKey, d.Headers)
		}
		delete(m.Properties, "expiration")
		headers := m.Properties["headers"].(map[string]any)
		delete(headers, "nameko.deadline_ms")
		delete(headers, "nameko.request_id")
	}
	body, _ := m.Body.(map[string]any)
	if result, ok := body["result"].(map[string]any); ok && result["order_details"] != nil {
		without(t, result, "status", "version", "created_at", "total")
	}
	if o, ok := body["order"].(map[string]any); ok {
		without(t, o, "status", "version", "created_at", "hold")
	}
	return m
}

// without deletes members that an order of hangar's has, and one of Python's not.
func without(t *testing.T, o map[string]any, members ...string) {
	t.Helper()
	for _, name := range members {
		if o[name] == nil {
			t.Errorf("an order on the wire is %v, want it to have %s", o, name)
		}
		delete(o, name)
	}
}

func decoded(t *testing.T, body []byte) (v any) {
	t.Helper()
	wantNil(t, "decode a body", json.Unmarshal(body, &v))
	return v
}

// asHangarHasIt returns what hangar publishes in place of a recorded message.
func asHangarHasIt(t *testing.T, m message) []message {
	body := m.Body.(map[string]any)
	switch {
	case m.RoutingKey == "products.list":
		// It asks for the products of the order, not for all there are. Once it
		// knows that the orders service is hangar's, for none.
		m.RoutingKey = "products.get_many"
		m.Body = decoded(t, []byte(`{"args": [["wire_a"]], "kwargs": {}}`))
	case isList(body["result"]):
		body["result"] = slices.DeleteFunc(body["result"].([]any), func(p any) bool {
			return p.(map[string]any)["id"] != "wire_a"
		})
	case m.RoutingKey == "order_created":
		// The relay publishes it, whose work is of no call.
		m.Properties["headers"] = map[string]any{"nameko.call_id_stack": []any{"orders.publish.00000000-0000-0000-0000-000000000000"}}
		numberFirst(body["order"])
	case m.RoutingKey == "orders.create_order":
		return append([]message{m}, holdMessages(t, m)...)
	default:
		numberFirst(body["result"])
	}
	return []message{m}
}

// repeatablesAreTransient changes the calls that are sent again if they are lost,
// and their replies: they are not kept on disk.
func repeatablesAreTransient(messages []message) {
	repeatable := make(map[any]bool) // by correlation id
	for _, m := range messages {
		id := m.Properties["correlation_id"]
		switch m.RoutingKey {
		case "products.get", "products.get_many", "products.create", "products.hold":
			repeatable[id] = true
		}
		if repeatable[id] {
			m.Properties["delivery_mode"] = 1.0
		}
	}
}

// holdMessages are what the orders service and the products service exchange,
// for which there is nothing in the contract.
func holdMessages(t *testing.T, create message) []message {
	const replyTo, correlation = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"
	caller := create.Properties["headers"].(map[string]any)["nameko.call_id_stack"].([]any)[0]
	request, reply := maps.Clone(create.Properties), maps.Clone(create.Properties)
	request["reply_to"], request["correlation_id"] = replyTo, correlation
	request["headers"] = map[string]any{"nameko.call_id_stack": []any{caller, "orders.create_order.33333333-3333-3333-3333-333333333333"}}
	reply["correlation_id"], reply["headers"] = correlation, map[string]any{}
	delete(reply, "reply_to")
	return []message{
		{"nameko-rpc", "products.hold", request, decoded(t, []byte(`{"args": ["44444444-4444-4444-4444-444444444444", 1, {"wire_a": 2}], "kwargs": {}}`))},
		{"nameko-rpc", replyTo, reply, decoded(t, []byte(`{"result": null, "error": null}`))},
	}
}

func isList(v any) bool {
	_, ok := v.([]any)
	return ok
}

// numberFirst numbers an order and its line as an empty store does.
func numberFirst(v any) {
	o, _ := v.(map[string]any)
	if lines, ok := o["order_details"].([]any); ok {
		o["id"] = 1.0
		lines[0].(map[string]any)["id"] = 1.0
	}
}

// sortMessages sorts requests by what they ask for, each with its reply, and the
// event behind them: the tap may have a reply before its request.
func sortMessages(t *testing.T, messages []message) {
	t.Helper()
	asked := make(map[any]string) // by correlation id
	for _, m := range messages {
		if m.Properties["reply_to"] != nil {
			body, err := json.Marshal(m.Body)
			wantNil(t, "encode a body", err)
			asked[m.Properties["correlation_id"]] = m.RoutingKey + string(body)
		}
	}
	place := func(m message) int { // beside the other of a call
		if m.Properties["reply_to"] != nil {
			return 0
		}
		return 1
	}
	slices.SortFunc(messages, func(a, b message) int {
		return cmp.Or(
			cmp.Compare(a.Exchange, b.Exchange), // nameko-rpc, orders.events
			cmp.Compare(asked[a.Properties["correlation_id"]], asked[b.Properties["correlation_id"]]),
			cmp.Compare(place(a), place(b)),
		)
	})
}

var anyUUID = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// sameNames returns messages as text, line by line, their UUIDs numbered in the
// order in which they appear.
func sameNames(t *testing.T, messages []message) []string {
	t.Helper()
	numbers := make(map[string]string)
	lines := make([]string, len(messages))
	for i, m := range messages {
		b, err := json.Marshal(m)
		wantNil(t, "encode a message", err)
		lines[i] = anyUUID.ReplaceAllStringFunc(string(b), func(id string) string {
			if _, ok := numbers[id]; !ok {
				numbers[id] = fmt.Sprintf("uuid-%d", len(numbers))
			}
			return numbers[id]
		})
	}
	return lines
}
