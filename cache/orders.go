package cache

import (
	"context"
	"slices"
	"strconv"

	"hangar"
)

// Orders is an orders service with a cache before it. It is a hangar.OrderService.
type Orders struct {
	hangar.OrderService // for what is not cached
	*reads[int64, hangar.Order]
}

var _ hangar.OrderService = (*Orders)(nil)

// NewOrders returns a cache of the orders of a service. It is not used before
// Listening is called, and not after Run.
func NewOrders(s hangar.OrderService, c Config) *Orders {
	r := newReads(c, loadOrders(s), mayKeepOrder,
		func(id int64) error { return hangar.NewOrderNotFound(strconv.FormatInt(id, 10)) })
	if c.Shared == nil {
		r.memory = newMemory[int64](c, sizeOfOrder)
	} else {
		r.shared = newSharing(c,
			func(id int64) string { return "order:" + strconv.FormatInt(id, 10) },
			func(id int64, o hangar.Order) bool { return o.ID == id })
	}
	return &Orders{s, r}
}

// mayKeepOrder reports whether each change of the order from now on is announced:
// one under way was before, and those of a Python service never are.
func mayKeepOrder(o hangar.Order) bool {
	return !o.Unsettled && o.Status != hangar.Pending && o.Version > 0
}

// sizeOfOrder returns about how many bytes an order takes.
func sizeOfOrder(o hangar.Order) int {
	const order, line = 160, 64
	size := order
	for _, d := range o.Details {
		size += line + len(d.ProductID)
	}
	return size
}

// Order implements hangar.OrderService.
func (o *Orders) Order(ctx context.Context, id int64) (hangar.Order, error) {
	found, err := o.one(ctx, id)
	found.Details = slices.Clone(found.Details)
	return found, err
}

func loadOrders(s hangar.OrderService) load[int64, hangar.Order] {
	return func(ctx context.Context, ids []int64) (map[int64]hangar.Order, error) {
		found := make(map[int64]hangar.Order, len(ids))
		for _, id := range ids { // of which there is one
			order, err := s.Order(ctx, id)
			switch hangar.CodeOf(err) {
			case "":
				found[id] = order
			case hangar.OrderNotFound:
			default:
				return nil, err
			}
		}
		return found, nil
	}
}

// OrderChanged forgets an order. When it returns, nothing that was read of it until
// now is answered any more.
func (o *Orders) OrderChanged(ctx context.Context, e hangar.OrderChanged) { o.forget(ctx, e.ID) }

// UpdateOrder implements hangar.OrderService.
func (o *Orders) UpdateOrder(ctx context.Context, u hangar.OrderUpdate) (hangar.Order, error) {
	defer o.forget(ctx, u.ID)
	return o.OrderService.UpdateOrder(ctx, u)
}

// CancelOrder implements hangar.OrderService.
func (o *Orders) CancelOrder(ctx context.Context, id int64) (hangar.Order, error) {
	defer o.forget(ctx, id)
	return o.OrderService.CancelOrder(ctx, id)
}

// DeleteOrder implements hangar.OrderService.
func (o *Orders) DeleteOrder(ctx context.Context, id int64) error {
	defer o.forget(ctx, id)
	return o.OrderService.DeleteOrder(ctx, id)
}
