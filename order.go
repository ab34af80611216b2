package hangar

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"time"
)

// Limits of an order.
const (
	MaxOrderLines     = 1000
	MaxQuantity       = math.MaxInt32 // what the column type integer holds
	MaxIdempotencyKey = 255           // characters
)

// OrderStatus is where an order stands.
type OrderStatus string

// The statuses of an order.
const (
	Pending   OrderStatus = "pending"   // stored, its stock not yet held
	Confirmed OrderStatus = "confirmed" // its stock is held
	Rejected  OrderStatus = "rejected"  // its stock could not be held
	Cancelled OrderStatus = "cancelled" // its stock was given back
)

// orderStatuses are all that an order can have.
var orderStatuses = []OrderStatus{Pending, Confirmed, Rejected, Cancelled}

// Order is what somebody ordered.
type Order struct {
	ID        int64         `json:"id"`
	Details   []OrderDetail `json:"order_details"`
	Status    OrderStatus   `json:"status,omitempty"`
	Version   int64         `json:"version,omitempty"` // rises with each change
	Hold      string        `json:"hold,omitempty"`    // a UUID; see HoldID
	CreatedAt time.Time     `json:"created_at,omitzero"`

	// Unsettled says that a change of the order is under way: Version is that of
	// the change, the rest is as before.
	Unsettled bool `json:"unsettled,omitempty"`
}

// OrderDetail is a line of an order.
type OrderDetail struct {
	ID        int64  `json:"id"`
	ProductID string `json:"product_id"`
	Price     Price  `json:"price"` // of one unit
	Quantity  int64  `json:"quantity"`
}

// HoldID returns the key under which the stock knows the order. An order that a
// Python service stored has none of its own: its number stands for one.
func (o Order) HoldID() string {
	if o.Hold != "" {
		return o.Hold
	}
	return "order-" + strconv.FormatInt(o.ID, 10)
}

// Total returns the sum of the lines, exactly, such as "199.98".
func (o Order) Total() string {
	var total int64
	for _, d := range o.Details {
		negative := d.Price < 0 || d.Quantity < 0 // a Python service stores such lines
		if negative || d.Price > 0 && d.Quantity > (math.MaxInt64-total)/int64(d.Price) {
			return o.bigTotal()
		}
		total += int64(d.Price) * d.Quantity
	}
	return Price(total).String()
}

// bigTotal is Total for sums beyond int64 and for negative lines.
func (o Order) bigTotal() string {
	total := new(big.Int)
	for _, d := range o.Details {
		line := new(big.Int).Mul(big.NewInt(int64(d.Price)), big.NewInt(d.Quantity))
		total.Add(total, line)
	}
	sign := ""
	if total.Sign() < 0 {
		sign = "-"
	}
	whole, cents := new(big.Int).QuoRem(total.Abs(total), big.NewInt(100), new(big.Int))
	return fmt.Sprintf("%s%s.%02d", sign, whole, cents)
}

// Quantities returns what the lines ask for of each product; lines of the same
// product count together.
func Quantities(details []OrderDetail) map[string]int64 {
	quantities := make(map[string]int64, len(details))
	for _, d := range details {
		quantities[d.ProductID] += d.Quantity
	}
	return quantities
}

// NewOrder is a request for an order.
type NewOrder struct {
	Details        []OrderDetail // their ids are not used
	IdempotencyKey string        // up to MaxIdempotencyKey characters; "" for none
}

// ParseNewOrder makes order lines of a decoded JSON object's order_details; see
// ParseProduct for what v may be. The error is a ValidationError.
func ParseNewOrder(v any) (NewOrder, error) {
	details, err := parseDetails(v, func(o object) OrderDetail {
		return OrderDetail{ProductID: o.text("product_id"), Price: o.price("price"), Quantity: o.integer("quantity")}
	}, OrderDetail.check)
	return NewOrder{Details: details}, err
}

// Validate returns a ValidationError for an order that may not be stored.
func (n NewOrder) Validate() error {
	c := complaints{}
	checkDetails(c, n.Details, OrderDetail.check)
	c.checkKey(n.IdempotencyKey)
	return c.err()
}

// OrderUpdate is a request for new prices and quantities of an order's lines.
// Lines it does not name stay as they are.
type OrderUpdate struct {
	ID    int64
	Lines []LineUpdate
}

// LineUpdate is the new price and quantity of the line with that id.
type LineUpdate struct {
	ID        int64
	ProductID string // "" or what the line has: a line's product cannot be changed
	Price     Price
	Quantity  int64
}

// ParseOrderUpdate makes an update of a decoded JSON object's order_details; see
// ParseProduct for what v may be. The error is a ValidationError.
func ParseOrderUpdate(id int64, v any) (OrderUpdate, error) {
	lines, err := parseDetails(v, func(o object) LineUpdate {
		line := LineUpdate{ID: o.integer("id"), Price: o.price("price"), Quantity: o.integer("quantity")}
		if _, ok := o.members["product_id"]; ok {
			line.ProductID = o.text("product_id")
		}
		return line
	}, LineUpdate.check)
	return OrderUpdate{ID: id, Lines: lines}, err
}

// Apply returns details as they are after the update. The error is a
// ValidationError.
func (u OrderUpdate) Apply(details []OrderDetail) ([]OrderDetail, error) {
	c := complaints{}
	checkDetails(c, u.Lines, LineUpdate.check)
	if err := c.err(); err != nil {
		return nil, err
	}
	index := make(map[int64]int, len(details))
	for i, d := range details {
		index[d.ID] = i
	}
	updated := append([]OrderDetail(nil), details...)
	named := make(map[int64]bool, len(u.Lines))
	lines := complaints{}
	for n, line := range u.Lines {
		i, known := index[line.ID]
		switch {
		case !known:
			lines.addAll(strconv.Itoa(n), complaints{"id": []string{"Not a line of this order."}})
		case named[line.ID]:
			lines.addAll(strconv.Itoa(n), complaints{"id": []string{"Named more than once."}})
		case line.ProductID != "" && line.ProductID != details[i].ProductID:
			lines.addAll(strconv.Itoa(n), complaints{"product_id": []string{"Cannot be changed."}})
		default:
			named[line.ID] = true
			updated[i].Price, updated[i].Quantity = line.Price, line.Quantity
		}
	}
	c.addAll("order_details", lines)
	return updated, c.err()
}

func (d OrderDetail) check(c complaints) {
	c.checkText("product_id", d.ProductID, MaxProductID)
	checkAmount(c, d.Price, d.Quantity)
}

func (l LineUpdate) check(c complaints) { checkAmount(c, l.Price, l.Quantity) }

func checkAmount(c complaints, price Price, quantity int64) {
	switch {
	case price < 0:
		c.add("price", errPriceTooLow.Error())
	case price > MaxPrice:
		c.add("price", errPriceTooHigh.Error())
	}
	c.checkRange("quantity", quantity, 1, MaxQuantity)
}

// parseDetails reads the member order_details of v: an array of objects.
func parseDetails[T any](v any, parse func(object) T, check func(T, complaints)) ([]T, error) {
	o := asObject(v)
	if !o.valid() {
		return nil, o.complaints.err()
	}
	member, ok := o.member("order_details")
	if !ok {
		return nil, o.complaints.err()
	}
	values, ok := member.([]any)
	if !ok {
		o.complaints.add("order_details", complaintType)
		return nil, o.complaints.err()
	}
	if !checkLength(o.complaints, len(values)) {
		return nil, o.complaints.err()
	}
	parsed := make([]T, len(values))
	lines := complaints{}
	for i, value := range values {
		line := asObject(value)
		if line.valid() {
			parsed[i] = parse(line)
			check(parsed[i], line.complaints)
		}
		if len(line.complaints) > 0 {
			lines.addAll(strconv.Itoa(i), line.complaints)
		}
	}
	o.complaints.addAll("order_details", lines)
	return parsed, o.complaints.err()
}

func checkDetails[T any](c complaints, details []T, check func(T, complaints)) {
	if !checkLength(c, len(details)) {
		return
	}
	lines := complaints{}
	for i, d := range details {
		line := complaints{}
		check(d, line)
		lines.addAll(strconv.Itoa(i), line)
	}
	c.addAll("order_details", lines)
}

func checkLength(c complaints, n int) bool {
	switch {
	case n == 0:
		c.add("order_details", complaintEmpty)
	case n > MaxOrderLines:
		c.add("order_details", fmt.Sprintf("Longer than maximum length %d.", MaxOrderLines))
	}
	return len(c) == 0
}

// OrderCreation is the outcome of a request for an order.
type OrderCreation struct {
	Order    Order
	Replayed bool // the outcome is that of an earlier request with the same key; also set beside an error
}

// OrderService takes orders. Every method may also fail with Unavailable; the
// outcome of a change is then unknown, and is settled later.
type OrderService interface {
	// CreateOrder stores an order and holds its stock, once per idempotency
	// key. Errors: ValidationError, OutOfStock, ProductNotFound,
	// IdempotencyKeyReused.
	CreateOrder(ctx context.Context, n NewOrder) (OrderCreation, error)

	// Order returns one order. Error: OrderNotFound.
	Order(ctx context.Context, id int64) (Order, error)

	// ListOrders returns a page of orders. Error: ValidationError for a query
	// that is not valid.
	ListOrders(ctx context.Context, q OrderQuery) (Page[Order], error)

	// UpdateOrder changes lines of a confirmed order and what it holds.
	// Errors: OrderNotFound, ValidationError, OrderNotConfirmed, OutOfStock,
	// ProductNotFound, Conflict.
	UpdateOrder(ctx context.Context, u OrderUpdate) (Order, error)

	// CancelOrder gives an order's stock back, once however often it is asked.
	// Errors: OrderNotFound, OrderNotConfirmed for a rejected one, Conflict.
	CancelOrder(ctx context.Context, id int64) (Order, error)

	// DeleteOrder removes an order and gives its stock back. Errors:
	// OrderNotFound, Conflict.
	DeleteOrder(ctx context.Context, id int64) error

	// OutboxStatistics says how far the delivery of events has come.
	OutboxStatistics(ctx context.Context) (OutboxStatistics, error)
}

// NewOrderNotFound returns the error for an order that is not there. The id is
// as it was asked for.
func NewOrderNotFound(id string) *Error {
	return Errorf(OrderNotFound, "Order with id %s not found", id)
}
