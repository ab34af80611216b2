package hangar

// ProductEdit changes what is told of a product, and not what is in stock of it: so
// no sale meanwhile is forgotten.
type ProductEdit struct {
	ID                string // of the product
	Title             string
	PassengerCapacity int64
	MaximumSpeed      int64
}

// ParseProductEdit makes an edit of a decoded JSON object's title,
// passenger_capacity and maximum_speed; see ParseProduct for what v may be. The
// error is a ValidationError.
func ParseProductEdit(id string, v any) (ProductEdit, error) {
	o := asObject(v)
	if !o.valid() {
		return ProductEdit{}, o.complaints.err()
	}
	e := ProductEdit{
		ID:                id,
		Title:             o.text("title"),
		PassengerCapacity: o.integer("passenger_capacity"),
		MaximumSpeed:      o.integer("maximum_speed"),
	}
	e.check(o.complaints)
	return e, o.complaints.err()
}

// Validate returns a ValidationError for an edit that can never be made.
func (e ProductEdit) Validate() error {
	c := complaints{}
	e.check(c)
	return c.err()
}

func (e ProductEdit) check(c complaints) {
	Product{ID: e.ID, Title: e.Title, PassengerCapacity: e.PassengerCapacity, MaximumSpeed: e.MaximumSpeed}.check(c)
}
