package hangar

import "context"

// OrdersService is the name of the service that publishes the order events.
const OrdersService = "orders"

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
