package console

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"hangar"
)

// productList is what the page of products shows.
type productList struct {
	Prefix string
	After  string
	Items  []hangar.Product
	Found  string // a sentence for those who do not see the table
	Pager  pager
}

func (c *console) listProducts(r *http.Request) (page, error) {
	query := r.URL.Query()
	q := hangar.ProductQuery{Prefix: query.Get("prefix"), After: query.Get("after"), Limit: pageSize}
	found, err := c.Products.ListProducts(r.Context(), q)
	if err != nil {
		return page{}, err
	}
	list := productList{Prefix: q.Prefix, After: q.After, Items: found.Items}
	next := ""
	switch n := len(found.Items); {
	case found.More:
		next = found.Items[n-1].ID
		list.Found = fmt.Sprintf("%d products are shown, and there are more.", n)
	case n == 1:
		list.Found = "1 product is shown."
	default:
		list.Found = fmt.Sprintf("%d products are shown.", n)
	}
	list.Pager = newPager(productsURL, query, next)
	return page{template: "products", title: "Products", section: productsSection, data: list}, nil
}

// productForm is a form with the members of a product.
type productForm struct {
	Problem *problem
	Fields  []*field
}

// detailFields are the members that may be edited.
func detailFields(title, capacity, speed string) []*field {
	return []*field{
		{ID: "title", Name: "title", Label: "Title", Value: title, Required: true, Wide: true, MaxLength: hangar.MaxTitle},
		{ID: "passenger_capacity", Name: "passenger_capacity", Label: "Passenger capacity", Value: capacity, Number: true, Required: true},
		{ID: "maximum_speed", Name: "maximum_speed", Label: "Top speed", Value: speed, Number: true, Required: true},
	}
}

// newProductFields are all members, with what was typed.
func newProductFields(value func(name string) string) []*field {
	fields := []*field{{
		ID: "id", Name: "id", Label: "Id", Value: value("id"), Required: true, Wide: true, MaxLength: hangar.MaxProductID,
		Hint: "Such as the_odyssey. It is part of URLs, and cannot be changed later.",
	}}
	fields = append(fields, detailFields(value("title"), value("passenger_capacity"), value("maximum_speed"))...)
	fields = append(fields, &field{
		ID: "in_stock", Name: "in_stock", Label: "In stock", Value: value("in_stock"), Number: true, Required: true,
		Hint: "Units that can be ordered at once.",
	})
	return withPaths(fields)
}

// withPaths has errors complain of the fields by their names.
func withPaths(fields []*field) []*field {
	for _, f := range fields {
		f.Path = f.Name
	}
	return fields
}

func (c *console) newProduct(*http.Request) (page, error) {
	return newProductPage(newProductFields(func(string) string { return "" }), nil), nil
}

func newProductPage(fields []*field, err error) page {
	p := page{template: "new-product", title: "New product", section: productsSection}
	if err != nil {
		p.refused("The product was not created", err, fields...)
	}
	p.data = productForm{p.problem, fields}
	return p
}

func (c *console) createProduct(r *http.Request) (page, error) {
	form, err := readForm(r)
	if err != nil {
		return page{}, err
	}
	fields := newProductFields(form.Get)
	p, err := hangar.ParseProduct(valuesOf(fields))
	if err == nil {
		err = c.Products.CreateProduct(r.Context(), p)
	}
	if hangar.CodeOf(err) == hangar.ProductExists && c.isThere(r.Context(), p) {
		return page{redirect: withNotice(productURL(p.ID), "again")}, nil
	}
	if err != nil {
		return newProductPage(fields, err), nil
	}
	return page{redirect: withNotice(productURL(p.ID), "created")}, nil
}

// isThere reports whether there is that very product: then the form that creates it
// was sent before.
func (c *console) isThere(ctx context.Context, p hangar.Product) bool {
	found, err := c.Products.Product(ctx, p.ID)
	return err == nil && found == p
}

// valuesOf is what was typed, as the domain parses it: numbers may be strings.
func valuesOf(fields []*field) map[string]any {
	values := make(map[string]any, len(fields))
	for _, f := range fields {
		values[f.Name] = f.Value
	}
	return values
}

// productView is what the page of one product shows.
type productView struct {
	Product  hangar.Product
	Known    bool // else all that is known of the product is its id
	Problem  *problem
	Fields   []*field // of the details; nil without their form
	Quantity field    // to restock by
	Key      string   // idempotency key of the restock
}

func newProductView(p hangar.Product) productView {
	view := newUnknownView(p.ID)
	view.Product, view.Known = p, true
	view.Fields = withPaths(detailFields(p.Title, strconv.FormatInt(p.PassengerCapacity, 10), strconv.FormatInt(p.MaximumSpeed, 10)))
	return view
}

// newUnknownView is of a product that cannot be looked up.
func newUnknownView(id string) productView {
	return productView{
		Product:  hangar.Product{ID: id, Title: id},
		Quantity: field{ID: "quantity", Name: "quantity", Path: "quantity", Label: "Units to add", Number: true, Required: true},
		Key:      uuid.NewString(),
	}
}

func (v *productView) page() page {
	return page{template: "product", title: v.Product.Title, section: productsSection, problem: v.Problem, data: v}
}

func (c *console) showProduct(r *http.Request) (page, error) {
	p, err := c.Products.Product(r.Context(), r.PathValue("id"))
	if err != nil {
		return page{}, err
	}
	view := newProductView(p)
	return view.page(), nil
}

// backToProduct leads to a product from where its forms are sent: what was refused
// there has that URL, and is asked for again by it.
func backToProduct(r *http.Request) (page, error) {
	return page{redirect: productURL(r.PathValue("id"))}, nil
}

// editProduct changes what the form has, and not the stock: that is what it is
// when the change takes effect.
func (c *console) editProduct(r *http.Request) (page, error) {
	form, err := readForm(r)
	if err != nil {
		return page{}, err
	}
	id := r.PathValue("id")
	fields := withPaths(detailFields(form.Get("title"), form.Get("passenger_capacity"), form.Get("maximum_speed")))
	edit, err := hangar.ParseProductEdit(id, valuesOf(fields))
	if err == nil {
		_, err = c.Products.EditProduct(r.Context(), edit)
	}
	if err != nil {
		return c.refusedProduct(r.Context(), id, err, func(v *productView) (string, []*field) {
			v.Fields = fields
			return "The details were not saved", fields
		})
	}
	return page{redirect: withNotice(productURL(id), "saved")}, nil
}

// restockProduct adds to the stock, once per form that was shown.
func (c *console) restockProduct(r *http.Request) (page, error) {
	form, err := readForm(r)
	if err != nil {
		return page{}, err
	}
	id := r.PathValue("id")
	restock, err := hangar.ParseRestock(id, map[string]any{"quantity": form.Get("quantity")})
	var restocked hangar.Restocked
	if err == nil {
		restock.IdempotencyKey = form.Get("key")
		restocked, err = c.Products.Restock(r.Context(), restock)
	}
	if err != nil {
		p, failed := c.refusedProduct(r.Context(), id, err, func(v *productView) (string, []*field) {
			v.Quantity.Value = form.Get("quantity")
			if mayHaveWorked(err) {
				v.Key = form.Get("key")
			}
			return "The stock was not changed", []*field{&v.Quantity}
		})
		if failed == nil && hangar.CodeOf(err) == hangar.Unavailable {
			p.problem.Message = sendAgain
		}
		return p, failed
	}
	if restocked.Replayed {
		return page{redirect: withNotice(productURL(id), "again")}, nil
	}
	return page{redirect: withNotice(productURL(id), "restocked")}, nil
}

// refusedProduct is the product's page with what was typed in it and why that was
// not done. Where the service does not answer any more, the form is all there is: it
// is to be sent again. Fill puts in the one and returns the title of the other.
func (c *console) refusedProduct(ctx context.Context, id string, refusal error, fill func(*productView) (string, []*field)) (page, error) {
	view := newUnknownView(id)
	p, err := c.Products.Product(ctx, id)
	switch {
	case err == nil:
		view = newProductView(p)
	case !mayHaveWorked(refusal):
		return page{}, refusal // there is nothing that the form could be shown with
	}
	title, fields := fill(&view)
	shown := view.page()
	shown.refused(title, refusal, fields...)
	view.Problem = shown.problem
	return shown, nil
}

// mayHaveWorked reports whether a change may have taken effect although it was
// answered with that error. Then it is to be tried again as the same change.
func mayHaveWorked(err error) bool {
	switch hangar.CodeOf(err) {
	case hangar.Unavailable, hangar.Unexpected, hangar.Conflict:
		return true
	}
	return false
}

// confirmation asks before something is done that cannot be undone.
type confirmation struct {
	Question     string
	Consequences []string
	Action       string // URL of the form
	Yes, No      string
	Back         string // URL of where it was asked for
}

func (c *console) askToDelete(r *http.Request) (page, error) {
	p, err := c.Products.Product(r.Context(), r.PathValue("id"))
	if err != nil {
		return page{}, err
	}
	ask := confirmation{
		Question:     "Delete " + p.Title + "?",
		Consequences: []string{"It can no longer be ordered. Orders that were placed keep their lines. This cannot be undone."},
		Action:       productURL(p.ID) + "/delete",
		Yes:          "Delete product",
		No:           "Keep it",
		Back:         productURL(p.ID),
	}
	if p.InStock > 0 {
		ask.Consequences = append(ask.Consequences, fmt.Sprintf("With it goes its stock of %s.", count(p.InStock)))
	}
	return page{template: "confirm", title: ask.Question, section: productsSection, data: ask}, nil
}

func (c *console) deleteProduct(r *http.Request) (page, error) {
	err := c.Products.DeleteProduct(r.Context(), r.PathValue("id"))
	if hangar.CodeOf(err) == hangar.ProductNotFound { // what was asked for before, or by somebody else
		return page{redirect: withNotice(productsURL, "again")}, nil
	}
	if err != nil {
		return page{}, err
	}
	return page{redirect: withNotice(productsURL, "deleted")}, nil
}

// maxSuggestions is how many products are suggested for what was typed.
const maxSuggestions = 10

// suggestions are products for a line of an order that is being typed.
type suggestions struct {
	Line     int // from 0
	Products []hangar.Product
	Hint     string
}

// suggestProducts answers a script with a part of the page.
func (c *console) suggestProducts(r *http.Request) (page, error) {
	query := r.URL.Query()
	line, err := strconv.ParseUint(query.Get("line"), 10, 16)
	if err != nil {
		return page{}, hangar.NewValidationError(map[string]any{"line": []string{"Not a valid integer."}})
	}
	s := suggestions{Line: int(line)}
	if typed := query.Get("product"); typed != "" {
		found, err := c.Products.ListProducts(r.Context(), hangar.ProductQuery{Prefix: typed, Limit: maxSuggestions})
		s.Products = found.Items
		switch {
		case err != nil: // no reason to take the form away
			s.Hint = "Products cannot be looked up at the moment."
		case len(found.Items) == 0:
			s.Hint = "No product’s id begins like this."
		case found.Items[0].ID == typed:
			s.Hint = productHint(found.Items[0])
		}
	}
	return page{template: "suggestions", part: true, data: s}, nil
}

func productHint(p hangar.Product) string {
	return fmt.Sprintf("%s, %s in stock", p.Title, count(p.InStock))
}
