package rpc

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"

	"hangar"
)

// recode reads one form of JSON into another: a tree, such as arguments are,
// into what v points to.
func recode(tree, v any) error {
	b, err := json.Marshal(tree)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// byProduct is a JSON object whose names are product ids. Where Python would
// take it for a tagged value it is a list of pairs.
type byProduct[V any] map[string]V

// MarshalJSON implements json.Marshaler.
func (m byProduct[V]) MarshalJSON() ([]byte, error) {
	_, hasType := m["__type__"]
	_, hasValue := m["__value__"]
	if !hasType || !hasValue || len(m) != 2 {
		return json.Marshal(map[string]V(m))
	}
	var pairs [][2]any
	for id, v := range m {
		pairs = append(pairs, [2]any{id, v})
	}
	return json.Marshal(pairs)
}

// UnmarshalJSON reads both forms.
func (m *byProduct[V]) UnmarshalJSON(data []byte) error {
	if data[0] != '[' {
		return json.Unmarshal(data, (*map[string]V)(m))
	}
	var pairs [][]json.RawMessage
	if err := json.Unmarshal(data, &pairs); err != nil {
		return err
	}
	*m = make(byProduct[V], len(pairs))
	for _, pair := range pairs {
		var (
			id string
			v  V
		)
		if len(pair) != 2 {
			return fmt.Errorf("a list of %d, want a pair", len(pair))
		}
		if err := json.Unmarshal(pair[0], &id); err != nil {
			return err
		}
		if err := json.Unmarshal(pair[1], &v); err != nil {
			return err
		}
		(*m)[id] = v
	}
	return nil
}

// page is a page of a listing as it travels.
type page[T any] struct {
	Items []T  `json:"items"`
	More  bool `json:"more"`
}

// order is an order as hangar's service returns it.
type order struct {
	ID        int64                `json:"id"`
	Details   []hangar.OrderDetail `json:"order_details"`
	Status    hangar.OrderStatus   `json:"status"`
	Version   int64                `json:"version"`
	CreatedAt time.Time            `json:"created_at,omitzero"`
	Total     string               `json:"total"`
	Unsettled bool                 `json:"unsettled,omitempty"`
	Replayed  bool                 `json:"replayed,omitempty"` // of an idempotency key
}

func newOrder(o hangar.Order) order {
	return order{o.ID, orEmpty(o.Details), o.Status, o.Version, o.CreatedAt, o.Total(), o.Unsettled, false}
}

// orEmpty makes an empty array of a nil slice, which JSON would call null.
func orEmpty[T any](items []T) []T {
	if items == nil {
		return []T{}
	}
	return items
}

// readOrder is an order as anybody's service returns or publishes it. One of a
// Python service has nothing but an id and lines.
type readOrder struct {
	ID        looseInt   `json:"id"`
	Details   []readLine `json:"order_details"`
	Status    looseText  `json:"status"`
	Version   *looseInt  `json:"version"`
	Hold      looseText  `json:"hold"` // only in events
	CreatedAt looseTime  `json:"created_at"`
	Unsettled bool       `json:"unsettled"`
	Replayed  bool       `json:"replayed"`
}

type readLine struct {
	ID        looseInt   `json:"id"`
	ProductID looseText  `json:"product_id"`
	Price     loosePrice `json:"price"`
	Quantity  looseInt   `json:"quantity"`
}

// ofPython reports whether a Python service made it.
func (r readOrder) ofPython() bool { return r.Version == nil }

func (r readOrder) order() hangar.Order {
	o := hangar.Order{
		ID:        int64(r.ID),
		Details:   make([]hangar.OrderDetail, len(r.Details)),
		Status:    hangar.OrderStatus(r.Status),
		Hold:      string(r.Hold),
		CreatedAt: time.Time(r.CreatedAt),
	}
	for i, l := range r.Details {
		o.Details[i] = hangar.OrderDetail{ID: int64(l.ID), ProductID: string(l.ProductID), Price: hangar.Price(l.Price), Quantity: int64(l.Quantity)}
	}
	if r.ofPython() {
		o.Status = hangar.Confirmed // it knows no other, and a fork may mean something else
		return o
	}
	o.Version, o.Unsettled = int64(*r.Version), r.Unsettled
	return o
}

// readProduct is a product as anybody's service returns it.
type readProduct struct {
	ID                looseText `json:"id"`
	Title             looseText `json:"title"`
	PassengerCapacity looseInt  `json:"passenger_capacity"`
	MaximumSpeed      looseInt  `json:"maximum_speed"`
	InStock           looseInt  `json:"in_stock"`
}

func (r readProduct) product() hangar.Product {
	return hangar.Product{
		ID:                string(r.ID),
		Title:             string(r.Title),
		PassengerCapacity: int64(r.PassengerCapacity),
		MaximumSpeed:      int64(r.MaximumSpeed),
		InStock:           int64(r.InStock),
	}
}

func productsOf(read []readProduct) []hangar.Product {
	list := make([]hangar.Product, len(read))
	for i, r := range read {
		list[i] = r.product()
	}
	return list
}

// looseText reads a string, and of anything else its literal. Both are UTF-8.
type looseText string

// UnmarshalJSON implements json.Unmarshaler.
func (t *looseText) UnmarshalJSON(data []byte) error {
	switch {
	case string(data) == "null":
		return nil
	case data[0] == '"':
		return json.Unmarshal(data, (*string)(t))
	}
	*t = looseText(bytes.ToValidUTF8(data, []byte("\ufffd")))
	return nil
}

// looseInt reads a whole number or a string that spells one. Python has them of
// any size: one outside int64 becomes the nearest there is.
type looseInt int64

// UnmarshalJSON implements json.Unmarshaler.
func (i *looseInt) UnmarshalJSON(data []byte) error {
	var literal looseText
	if err := literal.UnmarshalJSON(data); err != nil || literal == "" {
		return err
	}
	n, ok := parseInteger(string(literal))
	if !ok {
		return fmt.Errorf("%.100s is not a whole number", data)
	}
	*i = looseInt(n)
	return nil
}

// parseInteger reads a whole number. One outside int64 becomes the nearest there
// is, unless it has an exponent: nobody counts like that.
func parseInteger(literal string) (int64, bool) {
	literal = strings.TrimSpace(literal)
	n, ok := hangar.WholeNumber(literal)
	if (n == math.MaxInt64 || n == math.MinInt64) && strings.ContainsAny(literal, "eE") {
		return 0, false
	}
	return n, ok
}

// loosePrice reads a price. One that is none, such as the NaN that PostgreSQL
// can store, is 0: it must not keep the rest from being read.
type loosePrice hangar.Price

// UnmarshalJSON implements json.Unmarshaler.
func (p *loosePrice) UnmarshalJSON(data []byte) error {
	if (*hangar.Price)(p).UnmarshalJSON(data) != nil {
		*p = 0
	}
	return nil
}

// looseTime reads a time as RFC 3339 has it, and as Python writes one without a
// zone, which is UTC. Any other is left out.
type looseTime time.Time

// UnmarshalJSON implements json.Unmarshaler.
func (t *looseTime) UnmarshalJSON(data []byte) error {
	var literal looseText
	if err := literal.UnmarshalJSON(data); err != nil {
		return err
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", time.DateTime} {
		if parsed, err := time.Parse(layout, string(literal)); err == nil {
			*t = looseTime(parsed.UTC())
			return nil
		}
	}
	return nil
}
