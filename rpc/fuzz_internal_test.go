package rpc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/nameko"
)

// recordedValues are the values of recorded bodies at a member, such as the
// results of replies.
func recordedValues(f *testing.F, member string) (values []string) {
	recorded, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		f.Fatal(err)
	}
	var messages struct{ Messages []struct{ Body string } }
	if err := json.Unmarshal(recorded, &messages); err != nil {
		f.Fatal(err)
	}
	for _, m := range messages.Messages {
		var members map[string]json.RawMessage
		if err := json.Unmarshal([]byte(m.Body), &members); err != nil {
			f.Fatal(err)
		}
		if v, ok := members[member]; ok {
			values = append(values, string(v))
		}
	}
	if len(values) == 0 {
		f.Fatalf("no recorded body has the member %s", member)
	}
	return values
}

// sameAgain sends what was read as hangar sends it, and reads it again.
func sameAgain[T any](t *testing.T, sent any, read T, again func([]byte) (T, error)) {
	t.Helper()
	b, err := json.Marshal(sent)
	if err != nil {
		t.Fatalf("%+v was read and cannot be sent: %v", read, err)
	}
	got, err := again(b)
	if diff := cmp.Diff(read, got); err != nil || diff != "" {
		t.Fatalf("%+v was sent as %s and read again, %v (-first +second):\n%s", read, b, err, diff)
	}
}

// received is what an event handler was given.
type received struct{ order *hangar.Order }

func (r *received) HandleOrderCreated(_ context.Context, e hangar.OrderCreated) error {
	r.order = &e.Order
	return nil
}

// FuzzOrder reads orders of anybody, from replies and from events. An event is
// handled or unusable, and what was read can be sent and read again.
func FuzzOrder(f *testing.F) {
	for _, seed := range append(recordedValues(f, "result"), recordedValues(f, "order")...) {
		f.Add([]byte(seed))
	}
	for _, seed := range []string{
		`{"id": "7", "order_details": [{"id": 1.0, "product_id": 12, "price": NaN, "quantity": "2"}]}`,
		`{"id": 7, "order_details": [{"id": 1, "product_id": "x", "price": "-1.005", "quantity": -2}], "version": 3, "status": "cancelled",
		  "hold": "h", "created_at": "2026-01-02T03:04:05.678", "replayed": true}`,
		`{"id": 99999999999999999999, "created_at": "2026-01-02 03:04:05", "version": "1"}`, `{"id": 1e3, "order_details": null, "status": 5}`,
		`{"id": 1, "version": 1, "status": {"` + "\xff" + `": 1}}`, `{"id": 0}`, `{}`, `null`, `[]`, `{"id": {}}`, `{"id": 1, "created_at": "9999-12-31T23:59:59-23:59", "version": 0}`,
	} {
		f.Add([]byte(seed))
	}
	readAnOrder := func(b []byte) (hangar.Order, error) {
		var r readOrder
		err := json.Unmarshal(b, &r)
		return r.order(), err
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := readAnOrder(data)
		var handler received
		payload := fmt.Appendf(nil, `{"order": %s}`, data)
		eventErr := handleOrderCreated(&handler)(context.Background(), nameko.Event{Payload: payload})
		switch {
		case eventErr != nil && !errors.Is(eventErr, nameko.ErrUnusable):
			t.Fatalf("the event %s: %v, want it handled or unusable", payload, eventErr)
		case (eventErr == nil) != (handler.order != nil):
			t.Fatalf("the event %s: %v, and the handler was given %v", payload, eventErr, handler.order)
		case err == nil && o.ID != 0 && !cmp.Equal(handler.order, &o):
			t.Fatalf("the order %s is %+v in a reply and %+v in an event, %v", data, o, handler.order, eventErr)
		}
		if err != nil || !canTravel(o) {
			return
		}
		sent := newOrder(o)
		o.Hold = "" // no reply has it
		sameAgain(t, sent, o, readAnOrder)
	})
}

// canTravel reports whether hangar has orders with such a time and such prices.
func canTravel(o hangar.Order) bool {
	return o.CreatedAt.Year() >= 0 && o.CreatedAt.Year() <= 9999 && o.CreatedAt.Equal(o.CreatedAt.Truncate(time.Nanosecond))
}

// FuzzProduct reads products of anybody.
func FuzzProduct(f *testing.F) {
	for _, seed := range recordedValues(f, "result") {
		f.Add([]byte(seed))
	}
	f.Add([]byte(`{"id": 12, "title": null, "passenger_capacity": "101", "maximum_speed": 5.0, "in_stock": -10, "more": []}`))
	f.Add([]byte(`{"id": true, "title": {"a": 1}, "passenger_capacity": "0x10", "maximum_speed": 9007199254740993.0, "in_stock": 1e400}`))
	f.Add([]byte("{\"id\": [\"\xff\xff\"], \"title\": {\"\xff\": 1}}"))
	readAProduct := func(b []byte) (hangar.Product, error) {
		var r readProduct
		err := json.Unmarshal(b, &r)
		return r.product(), err
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if p, err := readAProduct(data); err == nil {
			sameAgain(t, p, p, readAProduct)
		}
	})
}

// FuzzByProduct reads objects by product id, and lists of pairs that stand for
// them.
func FuzzByProduct(f *testing.F) {
	for _, seed := range []string{
		`{"a": {"requested": 2, "in_stock": 1}}`, `{"a": {"requested": 9223372036854775807}}`, `[["__type__", {"requested": 1}], ["__value__", {}]]`,
		`{"__type__": {}, "__value__": {}}`, `[["a"]]`, `[["a", {}, 1]]`, `[[1, {}]]`, `null`, `[]`, `{}`, ` [["a", null], ["a", {}]]`, `[null]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var read byProduct[hangar.Shortage]
		if json.Unmarshal(data, &read) != nil || read == nil {
			return
		}
		sent, err := json.Marshal(read)
		var tree any
		if err == nil {
			numbers := json.NewDecoder(bytes.NewReader(sent))
			numbers.UseNumber() // as nameko does
			err = numbers.Decode(&tree)
		}
		if members, ok := tree.(map[string]any); err != nil || ok && len(members) == 2 && members["__type__"] != nil && members["__value__"] != nil {
			t.Fatalf("%s is sent as %s, %v, which Python takes for a tagged value", data, sent, err)
		}
		if shortages := readShortages(tree); !maps.Equal(shortages, read) {
			t.Fatalf("%s is sent as %s and read as %v", data, sent, shortages)
		}
	})
}

// FuzzErrors takes an error as a peer sends it, to a user or on to another
// service, as often as there are services: it stays what it is.
func FuzzErrors(f *testing.F) {
	for _, code := range []hangar.Code{
		hangar.BadRequest, hangar.ValidationError, hangar.NotFound, hangar.ProductNotFound, hangar.OrderNotFound, hangar.MethodNotAllowed,
		hangar.OutOfStock, hangar.OrderNotConfirmed, hangar.Conflict, hangar.ProductExists, hangar.BodyTooLarge, hangar.IdempotencyKeyReused,
		hangar.Unavailable,
	} {
		if got := codeOf(pathOf(code)); got != code {
			f.Errorf("%s travels as %s, which is read as %s", code, pathOf(code), got)
		}
		f.Add(pathOf(code), `["m", {"x": {"requested": 2, "in_stock": 1}}]`, "m")
	}
	for _, path := range []string{"builtins.KeyError", "hangar.exceptions.", "hangar.exceptions.A_B", "hangar.exceptions.É", "hangar.exceptions.aB", "hangar.exceptions.Http2", "hangar.exceptions.OutOfStock", ""} {
		f.Add(path, `[{"field": ["complaint"]}]`, "v")
	}
	f.Add("marshmallow.exceptions.ValidationError", `["no fields"]`, "v")
	f.Add("marshmallow.exceptions.ValidationError", `[{"a": {"0": {"b": [1, null]}}, "c": "text"}]`, "v")
	f.Add("products.exceptions.OutOfStock", `[1, [["__type__", {}], ["__value__", {}]], {"replayed": true}]`, "v")
	f.Fuzz(func(t *testing.T, path, args, value string) {
		path, value = strings.ToValidUTF8(path, ""), strings.ToValidUTF8(value, "") // as all that is read from JSON
		w := &nameko.Error{Path: path, Value: value}
		if json.Unmarshal([]byte(args), &w.Args) != nil {
			return
		}
		p := &peer{service: "other"}
		first := p.fromWire(w)
		code := hangar.CodeOf(first)
		if code == "" {
			t.Fatalf("%+v became %v, which has no code", w, first)
		}
		sent, ok := errors.AsType[*nameko.Error](toWire(first))
		if code == hangar.Unexpected {
			if ok {
				t.Fatalf("%+v became %v, and is sent on as %+v, want it hidden", w, first, sent)
			}
			return
		}
		if !ok {
			t.Fatalf("%+v became %v, and cannot be sent on", w, first)
		}
		if known := pathOf(code); !strings.HasPrefix(known, ownExceptions) {
			path = known // Python's own, also of a code that came spelled as hangar's
		}
		if sent.Path != path {
			t.Fatalf("%+v became %v, and is sent on as %+v", w, first, sent)
		}
		checkAnswered(t, first, p.fromWire(throughJSON(t, sent)))
	})
}

func throughJSON(t *testing.T, e *nameko.Error) *nameko.Error {
	t.Helper()
	b, err := json.Marshal(e.Args)
	if err != nil {
		t.Fatalf("%+v cannot be sent: %v", e, err)
	}
	again := &nameko.Error{Path: e.Path, Value: e.Value}
	if err := json.Unmarshal(b, &again.Args); err != nil {
		t.Fatal(err)
	}
	return again
}

// checkAnswered compares what a user sees of two errors.
func checkAnswered(t *testing.T, first, second error) {
	t.Helper()
	var seen [2]string
	for i, err := range []error{first, second} {
		e, ok := errors.AsType[*hangar.Error](err)
		if !ok {
			t.Fatalf("%v is no error that a user can see", err)
		}
		b, err := json.Marshal(e)
		if err != nil {
			t.Fatalf("%+v cannot be answered: %v", e, err)
		}
		seen[i] = string(b)
	}
	if diff := cmp.Diff(seen[0], seen[1]); diff != "" {
		t.Fatalf("the error changed on its way (-first +second):\n%s", diff)
	}
}
