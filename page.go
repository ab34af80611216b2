package hangar

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
	After string // the page begins after this id; "" is the beginning
	Limit int    // 1 to MaxPageSize
}

// OrderQuery asks for a page of orders, by id.
type OrderQuery struct {
	After       int64 // the page begins after this id; 0 is the beginning
	Limit       int   // 1 to MaxPageSize
	NewestFirst bool
}

// NewPage makes a page of limit+1 rows that were asked for, of which the last
// only shows that there are more.
func NewPage[T any](rows []T, limit int) Page[T] {
	if len(rows) > limit {
		return Page[T]{Items: rows[:limit], More: true}
	}
	return Page[T]{Items: rows}
}

// CheckPageLimit returns a ValidationError for a limit outside 1 to MaxPageSize.
func CheckPageLimit(limit int) error {
	c := complaints{}
	c.checkRange("limit", int64(limit), 1, MaxPageSize)
	return c.err()
}
