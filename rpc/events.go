package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"hangar"
	"hangar/nameko"
	"hangar/orders"
)

// orderCreated is the products service's subscription.
func orderCreated() nameko.Subscription {
	return nameko.Subscription{
		Source: hangar.OrdersService,
		Event:  hangar.OrderCreatedEvent,
		Method: "handle_order_created",
	}
}

// Subscribers returns who must not miss what the orders service publishes,
// whether it has run yet or not.
func Subscribers() []nameko.Subscriber {
	return []nameko.Subscriber{{Service: "products", Subscription: orderCreated()}}
}

// PublishTo returns what publishes the events of the orders service over the
// broker, each as if by the call that its origin is of. Those that nobody could read, and those that the broker never takes,
// are orders.BadEvents.
func PublishTo(p *nameko.Publisher) orders.Publish {
	return func(ctx context.Context, events []orders.Event) error {
		if err := orders.CheckEvents(events); err != nil {
			return err
		}
		batch := make([]nameko.Event, len(events))
		for i, e := range events {
			batch[i] = nameko.Event{Type: e.Type, Payload: e.Payload}
			if e.Origin != "" {
				batch[i].Context = Resume(ctx, e.Origin)
			}
		}
		err := p.Publish(ctx, batch...)
		if bad, ok := errors.AsType[nameko.EventError](err); ok {
			return orders.BadEvents{{ID: events[bad.Index].ID, Err: bad.Err}}
		}
		return err
	}
}

func handleOrderCreated(events hangar.OrderEvents) nameko.EventHandler {
	return func(ctx context.Context, e nameko.Event) error {
		var payload struct {
			Order *readOrder `json:"order"`
		}
		if err := json.Unmarshal(e.Payload, &payload); err != nil {
			return fmt.Errorf("%w: %w", nameko.ErrUnusable, err)
		}
		if payload.Order == nil || payload.Order.ID == 0 {
			return fmt.Errorf("%w: it names no order", nameko.ErrUnusable)
		}
		return events.HandleOrderCreated(ctx, hangar.OrderCreated{Order: payload.Order.order()})
	}
}
