package gateway

import (
	"context"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"hangar"
)

// orderBody is an order as clients see it; Line is how they see its lines.
type orderBody[Line any] struct {
	ID        int64              `json:"id"`
	Status    hangar.OrderStatus `json:"status"`
	CreatedAt time.Time          `json:"created_at"`
	Total     string             `json:"total"`
	Details   []Line             `json:"order_details"`
}

// lineBody is a line together with its product.
type lineBody struct {
	hangar.OrderDetail
	Image   string          `json:"image"`
	Product *hangar.Product `json:"product"` // null once the product is deleted
}

func newOrderBody[Line any](o hangar.Order, lines []Line) orderBody[Line] {
	return orderBody[Line]{o.ID, o.Status, o.CreatedAt, o.Total(), orEmpty(lines)}
}

func (g *gateway) postOrder(r *http.Request) (answer, error) {
	v, err := readJSON(r)
	if err != nil {
		return answer{}, err
	}
	n, err := hangar.ParseNewOrder(v)
	if err != nil {
		return answer{}, err
	}
	if n.IdempotencyKey, err = idempotencyKey(r); err != nil {
		return answer{}, err
	}
	created, err := g.Orders.CreateOrder(r.Context(), n)
	return answer{body: idBody[int64]{created.Order.ID}, header: replayedHeader(created.Replayed)}, err
}

// replayedHeader says whether the answer is that of an earlier request.
func replayedHeader(replayed bool) http.Header {
	if !replayed {
		return nil
	}
	return http.Header{"Idempotent-Replayed": {"true"}}
}

// idempotencyKey returns the request's key, "" for none. A request with several
// is refused: nobody could tell which one it is kept under. How long a key may be
// is checked with the rest.
func idempotencyKey(r *http.Request) (string, error) {
	keys := r.Header.Values("Idempotency-Key")
	complaint := ""
	switch {
	case len(keys) == 0:
		return "", nil
	case len(keys) > 1:
		complaint = "Given more than once."
	case keys[0] == "":
		complaint = "Shorter than minimum length 1."
	default:
		return keys[0], nil
	}
	return "", hangar.NewValidationError(map[string]any{"Idempotency-Key": []string{complaint}})
}

func (g *gateway) getOrder(r *http.Request) (answer, error) {
	return g.withOrderID(r, g.Orders.Order)
}

func (g *gateway) putOrder(r *http.Request) (answer, error) {
	return g.withOrderID(r, func(ctx context.Context, id int64) (hangar.Order, error) {
		v, err := readJSON(r)
		if err != nil {
			return hangar.Order{}, err
		}
		u, err := hangar.ParseOrderUpdate(id, v)
		if err != nil {
			return hangar.Order{}, err
		}
		return g.Orders.UpdateOrder(ctx, u)
	})
}

func (g *gateway) cancelOrder(r *http.Request) (answer, error) {
	return g.withOrderID(r, g.Orders.CancelOrder)
}

// withOrderID calls with the path's order and answers the order that comes back,
// with its products.
func (g *gateway) withOrderID(r *http.Request, call func(context.Context, int64) (hangar.Order, error)) (answer, error) {
	id, err := orderID(r)
	if err != nil {
		return answer{}, err
	}
	o, err := call(r.Context(), id)
	if err != nil {
		return answer{}, err
	}
	lines, err := g.withProducts(r.Context(), o.Details)
	return answer{body: newOrderBody(o, lines)}, err
}

// withProducts gets just the products of these lines, in one call.
func (g *gateway) withProducts(ctx context.Context, details []hangar.OrderDetail) ([]lineBody, error) {
	var ids []string
	known := make(map[string]*hangar.Product, len(details))
	for _, d := range details {
		if _, ok := known[d.ProductID]; !ok {
			known[d.ProductID] = nil
			ids = append(ids, d.ProductID)
		}
	}
	products, err := g.Products.Products(ctx, ids)
	if err != nil {
		return nil, err
	}
	for i, p := range products {
		known[p.ID] = &products[i]
	}
	lines := make([]lineBody, len(details))
	for i, d := range details {
		image := g.ImageRoot + "/" + url.PathEscape(d.ProductID) + ".jpg"
		lines[i] = lineBody{d, image, known[d.ProductID]}
	}
	return lines, nil
}

func (g *gateway) listOrders(r *http.Request) (answer, error) {
	query := r.URL.Query()
	q, err := orderQuery(query)
	if err != nil {
		return answer{}, err
	}
	page, err := g.Orders.ListOrders(r.Context(), q)
	if err != nil {
		return answer{}, err
	}
	bodies := make([]orderBody[hangar.OrderDetail], len(page.Items))
	for i, o := range page.Items {
		bodies[i] = newOrderBody(o, o.Details)
	}
	a := answer{body: bodies}
	if page.More {
		a.header = nextPage(r, query, strconv.FormatInt(page.Items[len(page.Items)-1].ID, 10))
	}
	return a, nil
}

func orderQuery(query url.Values) (q hangar.OrderQuery, err error) {
	if q.Limit, err = pageLimit(query); err != nil {
		return q, err
	}
	if query.Has("after") {
		if q.After, err = strconv.ParseInt(query.Get("after"), 10, 64); err != nil || q.After < 0 {
			return q, notAnInteger("after")
		}
	}
	q.Status = hangar.OrderStatus(query.Get("status"))
	switch query.Get("sort") {
	case "", "id":
	case "-id":
		q.NewestFirst = true
	default:
		return q, hangar.NewValidationError(map[string]any{"sort": []string{"Must be id or -id."}})
	}
	return q, q.Validate()
}

func (g *gateway) deleteOrder(r *http.Request) (answer, error) {
	id, err := orderID(r)
	if err != nil {
		return answer{}, err
	}
	return answer{status: http.StatusNoContent}, g.Orders.DeleteOrder(r.Context(), id)
}
