package console

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"hangar"
)

// orderList is what the page of orders shows.
type orderList struct {
	Statuses []link
	Status   hangar.OrderStatus
	After    int64
	Items    []hangar.Order
	Pager    pager
}

func (c *console) listOrders(r *http.Request) (page, error) {
	query := r.URL.Query()
	q := hangar.OrderQuery{Status: hangar.OrderStatus(query.Get("status")), Limit: pageSize, NewestFirst: true}
	if after := query.Get("after"); after != "" {
		var err error
		if q.After, err = strconv.ParseInt(after, 10, 64); err != nil {
			return page{}, hangar.NewValidationError(map[string]any{"after": []string{"Not a valid integer."}})
		}
	}
	found, err := c.Orders.ListOrders(r.Context(), q)
	if err != nil {
		return page{}, err
	}
	next := ""
	if found.More {
		next = strconv.FormatInt(found.Items[len(found.Items)-1].ID, 10)
	}
	list := orderList{Statuses: statusLinks(q.Status), Status: q.Status, After: q.After, Items: found.Items, Pager: newPager(ordersURL, query, next)}
	return page{template: "orders", title: "Orders", section: ordersSection, data: list}, nil
}

func statusLinks(current hangar.OrderStatus) []link {
	links := []link{{Name: "All", URL: ordersURL, Current: current == ""}}
	for _, status := range []struct {
		name   string
		status hangar.OrderStatus
	}{
		{"Pending", hangar.Pending}, {"Confirmed", hangar.Confirmed}, {"Rejected", hangar.Rejected}, {"Cancelled", hangar.Cancelled},
	} {
		links = append(links, link{status.name, ordersURL + "?status=" + string(status.status), status.status == current})
	}
	return links
}

// orderView is what the page of one order shows.
type orderView struct {
	Order       hangar.Order
	Lines       []lineView
	Stock       string // a sentence on what the order means for the stock
	Cancellable bool
	Problem     *problem
}

// lineView is a line together with its product.
type lineView struct {
	hangar.OrderDetail
	Image   string
	Product *hangar.Product // nil if it is deleted, or not known
	Missing string          // what is said then
	Amount  string
}

// stockWords say what a status means for the stock.
var stockWords = map[hangar.OrderStatus]string{
	hangar.Pending:   "Being taken out",
	hangar.Confirmed: "Taken out",
	hangar.Rejected:  "Nothing taken: there was not enough",
	hangar.Cancelled: "Given back",
}

func (c *console) showOrder(r *http.Request) (page, error) {
	id, err := orderID(r)
	if err != nil {
		return page{}, err
	}
	view, err := c.orderView(r.Context(), id)
	if err != nil {
		return page{}, err
	}
	return view.page(), nil
}

func (v *orderView) page() page {
	return page{template: "order", title: "Order #" + strconv.FormatInt(v.Order.ID, 10), section: ordersSection, problem: v.Problem, data: v}
}

// orderID reads the path's id. Error: OrderNotFound, for what is no number too.
func orderID(r *http.Request) (int64, error) {
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil || id < 0 {
		return 0, hangar.NewOrderNotFound(r.PathValue("id"))
	}
	return id, nil
}

func (c *console) orderView(ctx context.Context, id int64) (*orderView, error) {
	o, err := c.Orders.Order(ctx, id)
	if err != nil {
		return nil, err
	}
	view := &orderView{
		Order:       o,
		Stock:       stockWords[o.Status],
		Cancellable: o.Status == hangar.Confirmed || o.Status == hangar.Pending,
	}
	var ids []string
	for product := range hangar.Quantities(o.Details) {
		ids = append(ids, product)
	}
	products, err := c.productsByID(ctx, ids)
	missing := "Deleted since"
	if err != nil { // the order is worth showing without
		missing = "Not known at the moment"
	}
	for _, d := range o.Details {
		line := lineView{
			OrderDetail: d,
			Image:       c.ImageRoot + "/" + url.PathEscape(d.ProductID) + ".jpg",
			Missing:     missing,
			Amount:      hangar.Order{Details: []hangar.OrderDetail{d}}.Total(),
		}
		if p, ok := products[d.ProductID]; ok {
			line.Product = &p
		}
		view.Lines = append(view.Lines, line)
	}
	return view, nil
}

// productsByID returns those of the ids that exist.
func (c *console) productsByID(ctx context.Context, ids []string) (map[string]hangar.Product, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	found, err := c.Products.Products(ctx, ids)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]hangar.Product, len(found))
	for _, p := range found {
		byID[p.ID] = p
	}
	return byID, nil
}

func (c *console) askToCancel(r *http.Request) (page, error) {
	id, err := orderID(r)
	if err != nil {
		return page{}, err
	}
	o, err := c.Orders.Order(r.Context(), id)
	if err != nil {
		return page{}, err
	}
	ask := confirmation{
		Question:     "Cancel order #" + strconv.FormatInt(o.ID, 10) + "?",
		Consequences: []string{"What it holds goes back into stock. A cancelled order stays in the list, and cannot be confirmed again."},
		Action:       orderURL(id) + "/cancel",
		Yes:          "Cancel the order",
		No:           "Keep it",
		Back:         orderURL(id),
	}
	return page{template: "confirm", title: ask.Question, section: ordersSection, data: ask}, nil
}

func (c *console) cancelOrder(r *http.Request) (page, error) {
	id, err := orderID(r)
	if err != nil {
		return page{}, err
	}
	_, refusal := c.Orders.CancelOrder(r.Context(), id)
	if refusal == nil {
		return page{redirect: withNotice(orderURL(id), "cancelled")}, nil
	}
	view, err := c.orderView(r.Context(), id)
	if err != nil {
		return page{}, refusal // there is nothing that it could be shown with
	}
	p := view.page()
	p.refused("The order was not cancelled", refusal)
	view.Problem = p.problem
	return p, nil
}
