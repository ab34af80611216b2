package console

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"github.com/google/uuid"

	"hangar"
)

// orderForm is the form that places an order, with what was typed.
type orderForm struct {
	Key      string // idempotency key: the form places one order, however often it is sent
	Lines    []*orderLine
	FocusAdd bool
	Problem  *problem
}

// orderLine is a line in that form.
type orderLine struct {
	Number    int // from 1
	Product   *field
	Price     *field
	Quantity  *field
	Removable bool
	Focus     bool
}

// Growable reports whether there may be another line.
func (f *orderForm) Growable() bool { return len(f.Lines) < hangar.MaxOrderLines }

func newOrderForm(key string) *orderForm {
	if key == "" {
		key = uuid.NewString()
	}
	return &orderForm{Key: key}
}

// readOrderForm takes what was typed. Error: BadRequest for more lines than an
// order may have: the form shows no such thing.
func readOrderForm(values url.Values) (*orderForm, error) {
	products, prices, quantities := values["product"], values["price"], values["quantity"]
	if len(products) != len(prices) || len(products) != len(quantities) || len(products) > hangar.MaxOrderLines {
		return nil, hangar.Errorf(hangar.BadRequest, "The form is not whole. Load it anew.")
	}
	f := newOrderForm(values.Get("key"))
	for i, product := range products {
		f.add(product, prices[i], quantities[i])
	}
	return f, nil
}

func (f *orderForm) add(product, price, quantity string) *orderLine {
	f.Lines = append(f.Lines, &orderLine{
		Product:  &field{Name: "product", Label: "Product id", Value: product},
		Price:    &field{Name: "price", Label: "Price", Value: price, Required: true},
		Quantity: &field{Name: "quantity", Label: "Quantity", Value: quantity, Number: true, Required: true},
	})
	f.number()
	return f.Lines[len(f.Lines)-1]
}

func (f *orderForm) remove(i int) {
	if i >= 0 && i < len(f.Lines) && len(f.Lines) > 1 {
		f.Lines = append(f.Lines[:i], f.Lines[i+1:]...)
		f.number()
	}
}

// number gives the lines what depends on their place.
func (f *orderForm) number() {
	for i, l := range f.Lines {
		l.Number, l.Removable = i+1, len(f.Lines) > 1
		for member, field := range map[string]*field{"product_id": l.Product, "price": l.Price, "quantity": l.Quantity} {
			field.ID = fmt.Sprintf("line-%d-%s", i, field.Name)
			field.Path = fmt.Sprintf("order_details.%d.%s", i, member)
			field.Group = fmt.Sprintf("Line %d", i+1)
		}
	}
}

// value is the form as the domain parses it: numbers may be strings.
func (f *orderForm) value() any {
	lines := make([]any, len(f.Lines))
	for i, l := range f.Lines {
		lines[i] = map[string]any{"product_id": l.Product.Value, "price": l.Price.Value, "quantity": l.Quantity.Value}
	}
	return map[string]any{"order_details": lines}
}

func (f *orderForm) fields() []*field {
	var fields []*field
	for _, l := range f.Lines {
		fields = append(fields, l.Product, l.Price, l.Quantity)
	}
	return fields
}

func (c *console) newOrder(r *http.Request) (page, error) {
	f := newOrderForm("")
	f.add(r.URL.Query().Get("product"), "", "1")
	return c.orderFormPage(r.Context(), f), nil
}

// createOrder places the order, once per form that was shown; or it only adds or
// removes a line, for which the same form is sent.
func (c *console) createOrder(r *http.Request) (page, error) {
	values, err := readForm(r)
	if err != nil {
		return page{}, err
	}
	f, err := readOrderForm(values)
	if err != nil {
		return page{}, err
	}
	switch {
	case values.Has("add") && f.Growable():
		f.add("", "", "1").Focus = true
		return c.orderFormPage(r.Context(), f), nil
	case values.Has("remove"):
		if i, err := strconv.Atoi(values.Get("remove")); err == nil {
			f.remove(i)
		}
		f.FocusAdd = true
		return c.orderFormPage(r.Context(), f), nil
	}
	n, err := hangar.ParseNewOrder(f.value())
	var created hangar.OrderCreation
	if err == nil {
		n.IdempotencyKey = f.Key
		created, err = c.Orders.CreateOrder(r.Context(), n)
	}
	if err != nil {
		return c.refusedOrder(r.Context(), f, err), nil
	}
	if created.Replayed {
		return page{redirect: withNotice(orderURL(created.Order.ID), "again")}, nil
	}
	return page{redirect: withNotice(orderURL(created.Order.ID), "placed")}, nil
}

// refusedOrder is the form with why the order was not placed. A refusal is kept
// under the form's key, so what is sent next needs another; what may have worked is
// sent again with the same.
func (c *console) refusedOrder(ctx context.Context, f *orderForm, refusal error) page {
	p := c.orderFormPage(ctx, f)
	p.refused("The order was not placed", refusal, f.fields()...)
	f.Problem = p.problem
	switch code := hangar.CodeOf(refusal); {
	case code == hangar.OutOfStock:
		f.markShortages(shortagesOf(refusal))
	case code == hangar.Unavailable:
		p.problem.Message = sendAgain
	case code == hangar.IdempotencyKeyReused:
		p.problem.Message = "An order was placed with this form before, with other lines. If you want another one, place it now."
	}
	if !mayHaveWorked(refusal) {
		f.Key = uuid.NewString()
	}
	return p
}

// markShortages says beside each line what there is.
func (f *orderForm) markShortages(shortages map[string]hangar.Shortage) {
	f.Problem.Message = "There is not enough in stock."
	for _, l := range f.Lines {
		if s, short := shortages[l.Product.Value]; short {
			l.Quantity.Complaint = fmt.Sprintf("Only %s in stock.", count(max(0, s.InStock)))
			f.Problem.Fields = append(f.Problem.Fields, complaint{
				l.Quantity.ID, l.Quantity.Title(),
				fmt.Sprintf("%s requested, %s in stock.", count(s.Requested), count(s.InStock)),
			})
		}
	}
}

// orderFormPage shows the form, and says of each product that was typed what it is.
func (c *console) orderFormPage(ctx context.Context, f *orderForm) page {
	var ids []string
	for _, l := range f.Lines {
		if l.Product.Value != "" {
			ids = append(ids, l.Product.Value)
		}
	}
	products, err := c.productsByID(ctx, ids)
	for _, l := range f.Lines {
		p, found := products[l.Product.Value]
		switch {
		case l.Product.Value == "" || err != nil: // the hints are not worth an error
		case found:
			l.Product.Hint = productHint(p)
		default:
			l.Product.Hint = "There is no product with this id."
		}
	}
	return page{template: "new-order", title: "Place an order", section: ordersSection, data: f}
}
