package hangar

import (
	"context"
	"strings"
	"unicode"
)

// Limits of a product's texts, in characters.
const (
	MaxProductID = 255
	MaxTitle     = 1000
)

// Product is something the shop sells.
type Product struct {
	ID                string `json:"id"` // 1 to MaxProductID characters that a URL's path segment can carry
	Title             string `json:"title"`
	PassengerCapacity int64  `json:"passenger_capacity"`
	MaximumSpeed      int64  `json:"maximum_speed"`
	InStock           int64  `json:"in_stock"` // units that no order holds
}

// ParseProduct makes a product of a decoded JSON value: nil, bool, string,
// json.Number, []any or map[string]any. Members it does not know it ignores.
// The error is a ValidationError.
func ParseProduct(v any) (Product, error) {
	o := asObject(v)
	if !o.valid() {
		return Product{}, o.complaints.err()
	}
	p := Product{
		ID:                o.text("id"),
		Title:             o.text("title"),
		PassengerCapacity: o.integer("passenger_capacity"),
		MaximumSpeed:      o.integer("maximum_speed"),
		InStock:           o.integer("in_stock"),
	}
	p.check(o.complaints)
	return p, o.complaints.err()
}

// Validate returns a ValidationError for a product that may not be stored.
func (p Product) Validate() error {
	c := complaints{}
	p.check(c)
	return c.err()
}

func (p Product) check(c complaints) {
	c.checkText("id", p.ID, MaxProductID)
	switch {
	case strings.Contains(p.ID, "/"):
		c.add("id", "Must not contain '/'.")
	case p.ID == "." || p.ID == "..":
		c.add("id", "Must not be '.' or '..'.") // a URL's path loses them
	case strings.ContainsFunc(p.ID, unicode.IsControl):
		c.add("id", "Must not contain control characters.")
	}
	c.checkText("title", p.Title, MaxTitle)
	c.checkRange("passenger_capacity", p.PassengerCapacity, 0, MaxInteger)
	c.checkRange("maximum_speed", p.MaximumSpeed, 0, MaxInteger)
	c.checkRange("in_stock", p.InStock, 0, MaxInteger)
}

// ProductService is the catalogue. Every method may also fail with Unavailable.
type ProductService interface {
	// PutProduct creates or replaces a product. Error: ValidationError.
	PutProduct(ctx context.Context, p Product) error

	// CreateProduct creates a product. Errors: ValidationError, ProductExists.
	CreateProduct(ctx context.Context, p Product) error

	// EditProduct changes a product but for its stock, and returns it as it is
	// then. Errors: ValidationError, ProductNotFound.
	EditProduct(ctx context.Context, e ProductEdit) (Product, error)

	// Product returns one product. Error: ProductNotFound.
	Product(ctx context.Context, id string) (Product, error)

	// Products returns those of the ids that exist, in the order of the ids.
	Products(ctx context.Context, ids []string) ([]Product, error)

	// ListProducts returns a page of the catalogue. Error: ValidationError for
	// a query that is not valid.
	ListProducts(ctx context.Context, q ProductQuery) (Page[Product], error)

	// DeleteProduct removes a product. Error: ProductNotFound.
	DeleteProduct(ctx context.Context, id string) error

	// Restock adds to what is in stock of a product, once per idempotency key.
	// The errors change nothing, and are not kept: the same key may succeed
	// later. Errors: ValidationError, ProductNotFound, IdempotencyKeyReused.
	Restock(ctx context.Context, r Restock) (Restocked, error)

	// StockStatistics says what the instance that answers was asked to hold.
	StockStatistics(ctx context.Context) (StockStatistics, error)
}

// NewProductNotFound returns the error for a product that is not there.
func NewProductNotFound(id string) *Error {
	return Errorf(ProductNotFound, "Product ID %s does not exist", id)
}

// NewProductExists returns the error for a product that was to be created.
func NewProductExists(id string) *Error {
	return Errorf(ProductExists, "Product ID %s exists already", id)
}
