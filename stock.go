package hangar

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// HoldRetention is how long the stock remembers a hold after its last change.
const HoldRetention = 30 * 24 * time.Hour

// Hold says what one order holds of the stock, as of one version of the order.
// It is absolute, not a difference: an update is a hold of other quantities, a
// cancellation a hold of none.
type Hold struct {
	ID         string           // the order's hold key
	Version    int64            // from 1, rising with each change of the order
	Quantities map[string]int64 // product id to units, all above 0

	// Before is what the order held until now, as its own records say. The
	// stock uses it only where it has forgotten the hold (see HoldRetention);
	// nil says that it must not.
	Before map[string]int64
}

// Validate returns a ValidationError if h can never be held.
func (h Hold) Validate() error {
	fields := map[string]any{}
	if h.ID == "" || len(h.ID) > MaxIdempotencyKey {
		fields["hold_id"] = []string{"Must have 1 to 255 characters."}
	}
	if h.Version < 1 {
		fields["version"] = []string{"Must be at least 1."}
	}
	for id, quantity := range h.Quantities {
		if quantity < 1 || quantity > MaxInteger {
			fields["quantities"] = map[string]any{id: []string{"Must be at least 1."}}
		}
	}
	if len(fields) > 0 {
		return NewValidationError(fields)
	}
	return nil
}

// Stock holds products for orders.
type Stock interface {
	// Hold makes the order hold exactly what h says, all lines or none.
	//
	// It may be repeated at will: the first answer for a version stands, a
	// refusal too, and a version older than the last changes nothing.
	// Errors: OutOfStock and ProductNotFound refuse the version; ValidationError
	// says that h can never be held, and changes nothing; Conflict says that a
	// later version is in force; any other error leaves the outcome open.
	Hold(ctx context.Context, h Hold) error
}

// Shortage is why a product could not be held.
type Shortage struct {
	Requested int64 `json:"requested"` // units asked for beyond what the order holds already
	InStock   int64 `json:"in_stock"`
}

// NewOutOfStock returns the refusal of a hold, by product id.
func NewOutOfStock(shortages map[string]Shortage) *Error {
	var parts []string
	for _, id := range slices.Sorted(maps.Keys(shortages)) {
		s := shortages[id]
		parts = append(parts, fmt.Sprintf("%s: %d requested, %d in stock", id, s.Requested, s.InStock))
	}
	return &Error{
		Code:    OutOfStock,
		Message: "Not enough in stock: " + strings.Join(parts, "; "),
		Details: shortages,
	}
}

// NewHeldProductNotFound returns the refusal of a hold of a product that does
// not exist.
func NewHeldProductNotFound(id string) *Error {
	return Errorf(ProductNotFound, "Product Id %s", id)
}

// NewStaleHold returns the error for a version that is older than the last.
func NewStaleHold(h Hold, last int64) *Error {
	return Errorf(Conflict, "Hold %s is at version %d, past %d", h.ID, last, h.Version)
}
