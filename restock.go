package hangar

import "fmt"

// Restock adds units to what is in stock of a product: to what is there when it
// takes effect, so that no sale meanwhile is forgotten.
type Restock struct {
	ID             string // of the product
	Quantity       int64  // 1 to MaxInteger
	IdempotencyKey string // up to MaxIdempotencyKey characters; "" for none
}

// ParseRestock makes a restock of a decoded JSON object's quantity; see
// ParseProduct for what v may be. The error is a ValidationError.
func ParseRestock(id string, v any) (Restock, error) {
	o := asObject(v)
	if !o.valid() {
		return Restock{}, o.complaints.err()
	}
	r := Restock{ID: id, Quantity: o.integer("quantity")}
	r.check(o.complaints)
	return r, o.complaints.err()
}

// Validate returns a ValidationError for a restock that can never be made.
func (r Restock) Validate() error {
	c := complaints{}
	r.check(c)
	return c.err()
}

func (r Restock) check(c complaints) {
	c.checkRange("quantity", r.Quantity, 1, MaxInteger)
	c.checkKey(r.IdempotencyKey)
}

// Restocked is the outcome of a restock.
type Restocked struct {
	Product  Product // as it is afterwards
	Replayed bool    // an earlier request with the same key has added the units
}

// NewOverstocked returns the ValidationError for a restock that would bring more
// into stock than a product may have.
func NewOverstocked() *Error {
	return NewValidationError(map[string]any{
		"quantity": []string{fmt.Sprintf("Must not bring the stock above %d.", MaxInteger)},
	})
}

// NewRestockKeyReused returns the error for a key that was used with another
// product or quantity.
func NewRestockKeyReused() *Error {
	return Errorf(IdempotencyKeyReused, "The idempotency key was used with another restock. Use a new key for a new restock.")
}
