package hangar

import "slices"

// Page sizes, in rows.
const (
	DefaultPageSize = 100
	MaxPageSize     = 1000
)

// Page is a part of a listing. Pages are keyset pages: the next one is asked for
// by the id of this one's last row, so that no page costs more than the first.
type Page[T any] struct {
	Items []T
	More  bool // there are rows after the last of Items
}

// ProductQuery asks for a page of products, by id in byte order.
type ProductQuery struct {
	Prefix string // of the ids, up to MaxProductID characters; "" is all
	After  string // the page begins after this id; "" is the beginning
	Limit  int    // 1 to MaxPageSize
}

// Validate returns a ValidationError for a limit out of range, or a prefix that
// no id can have.
func (q ProductQuery) Validate() error {
	c := complaints{}
	c.checkRange("limit", int64(q.Limit), 1, MaxPageSize)
	if q.Prefix != "" {
		c.checkText("prefix", q.Prefix, MaxProductID)
	}
	return c.err()
}

// End returns the first text, in byte order, that comes after all ids with the
// prefix. It is "" if there is no such end.
func (q ProductQuery) End() string {
	if q.Prefix == "" {
		return ""
	}
	end := []byte(q.Prefix)
	end[len(end)-1]++ // it was no 0xff: UTF-8 has none
	return string(end)
}

// OrderQuery asks for a page of orders, by id.
type OrderQuery struct {
	Status      OrderStatus // "" is all
	After       int64       // the page begins after this id; 0 is the beginning
	Limit       int         // 1 to MaxPageSize
	NewestFirst bool
}

// Validate returns a ValidationError for a limit out of range, or a status that
// there is not.
func (q OrderQuery) Validate() error {
	c := complaints{}
	c.checkRange("limit", int64(q.Limit), 1, MaxPageSize)
	if q.Status != "" && !slices.Contains(orderStatuses, q.Status) {
		c.add("status", "Must be one of: pending, confirmed, rejected, cancelled.")
	}
	return c.err()
}

// NewPage makes a page of limit+1 rows that were asked for, of which the last
// only shows that there are more.
func NewPage[T any](rows []T, limit int) Page[T] {
	if len(rows) > limit {
		return Page[T]{Items: rows[:limit], More: true}
	}
	return Page[T]{Items: rows}
}
