package sqlite

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"hangar"
	"hangar/orders"
)

// FuzzRefusal reads refusals of holds as rows have them. One that is read is
// stored, and answered, as it was.
func FuzzRefusal(f *testing.F) {
	for _, refusal := range []*hangar.Error{
		hangar.NewOutOfStock(map[string]hangar.Shortage{"x": {Requested: 2, InStock: 1}}),
		hangar.NewHeldProductNotFound("x"),
		hangar.NewValidationError(map[string]any{"a": []string{"b"}}),
	} {
		b, err := json.Marshal(refusal)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	for _, seed := range []string{`{}`, `null`, `[]`, `{"details": null}`, `{"details": {"a": 1e400}}`, `{"error": 1}`, ``, `{"details": "<\u2028>"}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, stored string) {
		refusal, err := decodeRefusal(stored)
		if err != nil {
			return
		}
		b, err := json.Marshal(refusal)
		if err != nil {
			t.Fatalf("the refusal %q cannot be stored or answered: %v", stored, err)
		}
		again, err := decodeRefusal(string(b))
		if err != nil {
			t.Fatalf("the refusal %q is stored as %s and not read: %v", stored, b, err)
		}
		second, err := json.Marshal(again)
		if err != nil || string(second) != string(b) {
			t.Fatalf("the refusal %q is stored as %s, and then as %s, %v", stored, b, second, err)
		}
	})
}

// FuzzChange reads changes of orders as rows have them.
func FuzzChange(f *testing.F) {
	for _, change := range []orders.Change{
		{Kind: orders.Create},
		{Kind: orders.Cancel, HoldIsOld: true},
		{Kind: orders.Update, Details: []hangar.OrderDetail{{ID: 1, ProductID: "x", Price: 150, Quantity: 2}}},
	} {
		b, err := json.Marshal(change)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
	f.Add(`{"details": [{"price": "-1.005", "quantity": 1.5}]}`)
	f.Add(`{"kind": "?", "details": [{"price": 1e-3}, {"price": "NaN"}, null]}`)
	f.Fuzz(func(t *testing.T, stored string) {
		var change, again *orders.Change
		if json.Unmarshal([]byte(stored), &change) != nil {
			return
		}
		b, err := json.Marshal(change)
		if err == nil {
			err = json.Unmarshal(b, &again)
		}
		if diff := cmp.Diff(change, again, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Fatalf("the change %q is stored as %s, %v (-first +second):\n%s", stored, b, err, diff)
		}
	})
}
