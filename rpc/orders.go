package rpc

import (
	"context"

	"hangar"
	"hangar/nameko"
)

// idempotencyKey is the name of the header that carries the key of an order or of a
// restock.
const idempotencyKey = "idempotency_key"

// Orders is an orders service on the other side of the broker. It is a
// hangar.OrderService.
type Orders struct {
	peer     *peer
	products hangar.ProductService
	origin   origin
}

var _ hangar.OrderService = (*Orders)(nil)

// NewOrders returns a client of the service "orders". Where that may be a Python
// one, which takes whatever it is given, orders are validated with products.
func NewOrders(c *nameko.Client, products hangar.ProductService) *Orders {
	return &Orders{peer: newPeer(c, "orders"), products: products}
}

// newLine is a line of an order that is not stored yet.
type newLine struct {
	ProductID string       `json:"product_id"`
	Price     hangar.Price `json:"price"`
	Quantity  int64        `json:"quantity"`
}

// CreateOrder implements hangar.OrderService.
func (o *Orders) CreateOrder(ctx context.Context, n hangar.NewOrder) (hangar.OrderCreation, error) {
	if err := n.Validate(); err != nil {
		return hangar.OrderCreation{}, err
	}
	ctx, cancel := o.peer.begin(ctx, "create_order", writeTimeout)
	defer cancel()
	if err := o.checkProducts(ctx, n); err != nil {
		return hangar.OrderCreation{}, err
	}
	lines := make([]newLine, len(n.Details))
	for i, d := range n.Details {
		lines[i] = newLine{d.ProductID, d.Price, d.Quantity}
	}
	call := nameko.Call{Method: "create_order", Args: []any{lines}}
	advice := lookFirst
	if n.IdempotencyKey != "" {
		ctx = nameko.WithData(ctx, idempotencyKey, n.IdempotencyKey)
		call.Repeatable = !o.mayBePython()
		advice = sameKey
	}
	var created readOrder
	err := o.peer.send(ctx, call, &created)
	if err != nil {
		return hangar.OrderCreation{Replayed: isReplayed(err)}, o.peer.explain(err, advice)
	}
	return hangar.OrderCreation{Order: o.order(created), Replayed: created.Replayed}, nil
}

// Order implements hangar.OrderService.
func (o *Orders) Order(ctx context.Context, id int64) (hangar.Order, error) {
	ctx, cancel := o.peer.begin(ctx, "get_order", readTimeout)
	defer cancel()
	return o.get(ctx, id)
}

func (o *Orders) get(ctx context.Context, id int64) (hangar.Order, error) {
	var found readOrder
	if err := o.peer.read(ctx, "get_order", &found, id); err != nil {
		return hangar.Order{}, err
	}
	return o.order(found), nil
}

// ListOrders implements hangar.OrderService.
func (o *Orders) ListOrders(ctx context.Context, q hangar.OrderQuery) (hangar.Page[hangar.Order], error) {
	if err := q.Validate(); err != nil {
		return hangar.Page[hangar.Order]{}, err
	}
	ctx, cancel := o.peer.begin(ctx, "list_orders", readTimeout)
	defer cancel()
	page, known, err := o.listPage(ctx, q)
	if known {
		return page, err
	}
	return o.listAndSlice(ctx, q)
}

// listPage reports false if the instance that was asked cannot list so: a Python one,
// or one of an earlier version that knows no status.
func (o *Orders) listPage(ctx context.Context, q hangar.OrderQuery) (hangar.Page[hangar.Order], bool, error) {
	var found page[readOrder]
	args := []any{q.After, q.Limit, q.NewestFirst}
	if q.Status != "" {
		args = append(args, q.Status)
	}
	call := nameko.Call{Method: "list_page", Args: args, Repeatable: true}
	known, err := o.peer.callNew(ctx, call, &found, tryAgain)
	if q.Status != "" && nameko.IsError(err, nameko.IncorrectSignature) {
		return hangar.Page[hangar.Order]{}, false, nil
	}
	if err == nil {
		o.origin.note(o.peer.now(), !known)
	}
	return hangar.Page[hangar.Order]{Items: o.orders(found.Items), More: found.More}, known, err
}

// updatedLine is the new price and quantity of a line.
type updatedLine struct {
	ID        int64        `json:"id"`
	ProductID string       `json:"product_id,omitempty"`
	Price     hangar.Price `json:"price"`
	Quantity  int64        `json:"quantity"`
}

// UpdateOrder implements hangar.OrderService.
func (o *Orders) UpdateOrder(ctx context.Context, u hangar.OrderUpdate) (hangar.Order, error) {
	ctx, cancel := o.peer.begin(ctx, "update_order", writeTimeout)
	defer cancel()
	u, err := o.completeUpdate(ctx, u)
	if err != nil {
		return hangar.Order{}, err
	}
	lines := make([]updatedLine, len(u.Lines))
	for i, l := range u.Lines {
		lines[i] = updatedLine(l)
	}
	update := map[string]any{"id": u.ID, "order_details": lines}
	var updated readOrder
	err = o.peer.call(ctx, nameko.Call{Method: "update_order", Args: []any{update}}, &updated, lookFirst)
	if nameko.IsError(err, attributeError) {
		return hangar.Order{}, orderNotFoundError(u.ID)
	}
	if err != nil {
		return hangar.Order{}, err
	}
	return o.order(updated), nil
}

// CancelOrder implements hangar.OrderService.
func (o *Orders) CancelOrder(ctx context.Context, id int64) (hangar.Order, error) {
	ctx, cancel := o.peer.begin(ctx, "cancel_order", writeTimeout)
	defer cancel()
	var cancelled readOrder
	call := nameko.Call{Method: "cancel_order", Args: []any{id}, Repeatable: true}
	err := o.peer.call(ctx, call, &cancelled, tryAgain)
	if nameko.IsError(err, nameko.MethodNotFound) {
		return hangar.Order{}, o.peer.cannot("cancel orders")
	}
	if err != nil {
		return hangar.Order{}, err
	}
	return o.order(cancelled), nil
}

// DeleteOrder implements hangar.OrderService.
func (o *Orders) DeleteOrder(ctx context.Context, id int64) error {
	ctx, cancel := o.peer.begin(ctx, "delete_order", writeTimeout)
	defer cancel()
	err := o.peer.call(ctx, nameko.Call{Method: "delete_order", Args: []any{id}}, nil, lookFirst)
	switch {
	case nameko.IsError(err, unmappedError):
		return orderNotFoundError(id)
	case nameko.IsError(err, integrityError), nameko.IsError(err, nameko.MethodNotFound):
		return o.peer.cannot("delete orders that have lines")
	}
	return err
}

// ServeOrders adds the methods of an orders service to s. While that is busy, it
// answers calls with Unavailable.
func ServeOrders(s *nameko.Server, o hangar.OrderService) {
	m := orderMethods{o}
	s.RefuseWhenBusy(busy("orders"))
	handle(s, "get_order", nameko.Params("order_id"), m.get)
	handle(s, "list_orders", nameko.Params(), m.list)
	handle(s, "get_orders", nameko.Params(), m.list)
	handle(s, "list_page", nameko.Signature{Required: []string{"after", "limit", "newest_first"}, Optional: []string{"status"}}, m.listPage)
	handle(s, "create_order", nameko.Params("order_details"), m.create)
	handle(s, "update_order", nameko.Params("order"), m.update)
	handle(s, "cancel_order", nameko.Params("order_id"), m.cancel)
	handle(s, "delete_order", nameko.Params("order_id"), m.delete)
	handle(s, "outbox_statistics", nameko.Params(), m.outboxStatistics)
}

type orderMethods struct {
	orders hangar.OrderService
}

func (m orderMethods) get(ctx context.Context, args nameko.Args) (any, error) {
	id, err := orderID(args["order_id"])
	if err != nil {
		return nil, err
	}
	o, err := m.orders.Order(ctx, id)
	return newOrder(o), err
}

func (m orderMethods) list(ctx context.Context, _ nameko.Args) (any, error) {
	list, err := all(func(last *hangar.Order) (hangar.Page[hangar.Order], error) {
		q := hangar.OrderQuery{Limit: hangar.MaxPageSize}
		if last != nil {
			q.After = last.ID
		}
		return m.orders.ListOrders(ctx, q)
	})
	return newOrders(list), err
}

func newOrders(list []hangar.Order) []order {
	orders := make([]order, len(list))
	for i, o := range list {
		orders[i] = newOrder(o)
	}
	return orders
}

func (m orderMethods) listPage(ctx context.Context, args nameko.Args) (any, error) {
	limit, err := pageLimit(args)
	if err != nil {
		return nil, err
	}
	q := hangar.OrderQuery{Limit: limit}
	var ok bool
	if q.NewestFirst, ok = args["newest_first"].(bool); !ok {
		return nil, notValid("newest_first", "Not a valid boolean.")
	}
	if after := args["after"]; after != nil {
		if q.After, ok = integer(after); !ok {
			return nil, notValid("after", "Not a valid integer.")
		}
	}
	if status := args["status"]; status != nil {
		q.Status = hangar.OrderStatus(text(status))
	}
	p, err := m.orders.ListOrders(ctx, q)
	return page[order]{newOrders(p.Items), p.More}, err
}

func (m orderMethods) create(ctx context.Context, args nameko.Args) (any, error) {
	n, err := hangar.ParseNewOrder(map[string]any{"order_details": args["order_details"]})
	if err != nil {
		return nil, err
	}
	n.IdempotencyKey, _ = nameko.Data(ctx, idempotencyKey).(string)
	created, err := m.orders.CreateOrder(ctx, n)
	if err != nil && created.Replayed {
		return nil, replayed{err}
	}
	o := newOrder(created.Order)
	o.Replayed = created.Replayed
	return o, err
}

// update takes an order as get_order returns it. That there is no such order
// comes before what is wrong with it.
func (m orderMethods) update(ctx context.Context, args nameko.Args) (any, error) {
	members, _ := args["order"].(map[string]any)
	idMember, named := members["id"]
	if members != nil && !named {
		return nil, notValid("id", "Missing data for required field.")
	}
	var id int64
	if named {
		var err error
		if id, err = orderID(idMember); err != nil {
			return nil, err
		}
	}
	u, err := hangar.ParseOrderUpdate(id, args["order"])
	if err != nil {
		if _, notFound := m.orders.Order(ctx, id); named && notFound != nil {
			return nil, notFound
		}
		return nil, err
	}
	o, err := m.orders.UpdateOrder(ctx, u)
	return newOrder(o), err
}

func (m orderMethods) cancel(ctx context.Context, args nameko.Args) (any, error) {
	id, err := orderID(args["order_id"])
	if err != nil {
		return nil, err
	}
	o, err := m.orders.CancelOrder(ctx, id)
	return newOrder(o), err
}

func (m orderMethods) delete(ctx context.Context, args nameko.Args) (any, error) {
	id, err := orderID(args["order_id"])
	if err != nil {
		return nil, err
	}
	return nil, m.orders.DeleteOrder(ctx, id)
}
