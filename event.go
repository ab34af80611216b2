package hangar

import "context"

// The names of the services that publish events.
const (
	OrdersService   = "orders"
	ProductsService = "products"
)

// OrderCreatedEvent is the event type of OrderCreated.
const OrderCreatedEvent = "order_created"

// OrderCreated says that an order was confirmed. It is published at least once
// for each; its JSON form is that of the Python services, with more members in
// the order.
type OrderCreated struct {
	Order Order `json:"order"`
}

// OrderEvents handles what the orders service publishes. An event that failed
// is delivered again, and one that succeeded may be.
type OrderEvents interface {
	HandleOrderCreated(ctx context.Context, e OrderCreated) error
}

// OrderChangedEvent is the event type of OrderChanged.
const OrderChangedEvent = "order_changed"

// OrderChanged says that an order is about to be changed, cancelled or deleted:
// whoever has it stored must read it again from now on. It comes before the change
// takes effect, at least once for each; that it is Unsettled until then tells what
// is read meanwhile from what may be stored. It is for caches, and is not kept for
// those who are away.
type OrderChanged struct {
	ID      int64 `json:"id"`
	Version int64 `json:"version"` // that the change gives the order
}

// ProductChangedEvent is the event type of ProductChanged.
const ProductChangedEvent = "product_changed"

// ProductChanged says that a product was created, replaced, restocked or deleted. It
// does not say that its stock was held. Like OrderChanged it is for caches.
type ProductChanged struct {
	ID string `json:"id"`
}
