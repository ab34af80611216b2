package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"hangar"
)

// orderForm is the form with lines of product, price and quantity.
func orderForm(key string, lines ...[3]string) url.Values {
	form := url.Values{"key": {key}}
	for _, l := range lines {
		form.Add("product", l[0])
		form.Add("price", l[1])
		form.Add("quantity", l[2])
	}
	return form
}

// orderCount returns how many orders there are.
func (s *shop) orderCount(t *testing.T) int {
	t.Helper()
	page, err := s.orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: hangar.MaxPageSize})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Items)
}

func TestPlaceAnOrderOncePerForm(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	s.put(t, "b", 5)
	s.get(t, 200, "/console/orders", "There are no orders yet", "place one yourself")
	r := s.get(t, 200, "/console/new-order?product=a", "Title of a, 10 in stock")
	if got := r.value(t, "product"); got != "a" {
		t.Errorf("the product is %q, want the one of the link", got)
	}
	form := orderForm(r.value(t, "key"), [3]string{"a", "1000.5", "2"}, [3]string{"b", "3", "1"})
	s.postTo(t, "/console/orders/1?notice=placed", "/console/new-order", form)
	s.postTo(t, "/console/orders/1?notice=again", "/console/new-order", form)
	s.wantStock(t, "a", 8)
	if n := s.orderCount(t); n != 1 {
		t.Errorf("%d orders, want the one of the form", n)
	}
	r = s.get(t, 200, "/console/orders/1?notice=placed", "The order was placed.", "Order #1 confirmed", "Title of a", "1,000.50", "2,001.00", "Total 2,004.00", "Taken out")
	if !strings.Contains(r.body, `src="`+s.url+`/images/a.jpg"`) {
		t.Errorf("the page does not show the product's image:\n%s", r.body)
	}

	form["price"][0] = "7"
	r = s.post(t, http.StatusUnprocessableEntity, "/console/new-order", form, "The order was not placed", "An order was placed with this form before")
	form.Set("key", r.value(t, "key"))
	s.postTo(t, "/console/orders/2?notice=placed", "/console/new-order", form)
}

func TestOrderThatIsRefused(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 3)
	key := s.get(t, 200, "/console/new-order").value(t, "key")
	form := orderForm(key, [3]string{"a", "1", "2"}, [3]string{"a", "1", "2"})
	r := s.post(t, http.StatusConflict, "/console/new-order", form,
		"The order was not placed", "There is not enough in stock.", "Line 1, quantity : 4 requested, 3 in stock.", "Only 3 in stock.")
	if n := strings.Count(r.body, `aria-invalid="true"`); n != 2 {
		t.Errorf("%d fields are marked, want the quantities of both lines:\n%s", n, r.body)
	}
	if r.value(t, "key") == key {
		t.Error("the refused key is offered again, so no correction could succeed")
	}
	form = orderForm(r.value(t, "key"), [3]string{"a", "1", "3"})
	s.postTo(t, "/console/orders/2?notice=placed", "/console/new-order", form)

	s.post(t, http.StatusNotFound, "/console/new-order", orderForm("k1", [3]string{"missing", "1", "1"}),
		"The order was not placed", "Product Id missing", "There is no product with this id.")
	r = s.post(t, http.StatusBadRequest, "/console/new-order", orderForm("k2", [3]string{"", "1,5", "0"}, [3]string{"a", "-1", "x"}),
		"Line 1, product id : Shorter than minimum length 1.", "Line 1, price : Not a valid number.", "Line 1, quantity : Must be at least 1.",
		"Line 2, price : Must be at least 0.", "Line 2, quantity : Not a valid integer.")
	if got := r.value(t, "price"); got != "1,5" {
		t.Errorf("the price is %q, want it as it was typed", got)
	}
	s.post(t, http.StatusBadRequest, "/console/new-order", orderForm(strings.Repeat("k", 256), [3]string{"a", "1", "1"}), "Idempotency-Key: Longer than maximum length 255.")
	s.post(t, http.StatusBadRequest, "/console/new-order", url.Values{"product": {"a", "b"}, "price": {"1"}, "quantity": {"1", "2"}}, "The form is not whole.")
	s.post(t, http.StatusBadRequest, "/console/new-order", orderForm("k3", make([][3]string, hangar.MaxOrderLines+1)...), "The form is not whole.")
}

func TestLinesAreAddedAndRemovedWithoutScripts(t *testing.T) {
	s := newShop(t)
	form := orderForm("the-key", [3]string{"a", "1", "x"}, [3]string{"b", "2", "y"})
	form.Set("add", "line")
	r := s.post(t, 200, "/console/new-order", form, "Line 1", "Line 2", "Line 3")
	r.wantNot(t, "The order was not placed", "Line 4")
	if got := r.value(t, "key"); got != "the-key" {
		t.Errorf("the key is %q, want the form's", got)
	}
	form.Del("add")
	form.Set("remove", "0")
	r = s.post(t, 200, "/console/new-order", form, "Line 1")
	r.wantNot(t, "Line 2", "Remove")
	if got := r.value(t, "product"); got != "b" {
		t.Errorf("the line that is left is of %q, want b", got)
	}
	for _, bad := range []string{"-1", "2", "x", ""} {
		form.Set("remove", bad)
		s.post(t, 200, "/console/new-order", form, "Line 1", "Line 2")
	}
}

func TestOrdersByStatusNewestFirst(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 1000)
	s.order(t, "a", 100_000)
	for range 60 {
		s.order(t, "a", 1)
	}
	first := s.get(t, 200, "/console/orders", "#61", "confirmed", "#12", "100.50")
	first.wantNot(t, "#11 ", "Previous")
	if a, b := strings.Index(first.body, "#61<"), strings.Index(first.body, "#60<"); a > b {
		t.Error("order 60 comes before order 61")
	}
	second := s.get(t, 200, first.links()["Next"], "#11 ", "#1 ", "rejected")
	second.wantNot(t, "#12", "Next")
	s.get(t, 200, second.links()["Previous"], "#61", "#12")
	s.get(t, 200, "/console/orders?status=rejected", "#1 ").wantNot(t, "#60")
	confirmed := s.get(t, 200, "/console/orders?status=confirmed", "#61", "#12 ")
	s.get(t, 200, confirmed.links()["Next"], "#11", "#2 ").wantNot(t, "#1 ", "#12")
	s.get(t, 200, "/console/orders?status=cancelled", "No order is cancelled")
	s.get(t, 200, "/console/orders?after=1", "There are no more orders")
	s.get(t, http.StatusBadRequest, "/console/orders?status=lost", "status: Must be one of")
	s.get(t, http.StatusBadRequest, "/console/orders?after=x", "after: Not a valid integer.")
}

func TestCancelOrder(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	order := fmt.Sprint("/console/orders/", s.order(t, "a", 4))
	s.get(t, 200, order, "Cancel order…")
	s.get(t, 200, order+"/cancel", "Cancel order #1?", "goes back into stock")
	s.wantStock(t, "a", 6)
	s.postTo(t, order+"?notice=cancelled", order+"/cancel", url.Values{})
	s.postTo(t, order+"?notice=cancelled", order+"/cancel", url.Values{})
	s.wantStock(t, "a", 10)
	s.get(t, 200, order+"?notice=cancelled", "The order was cancelled", "Given back").wantNot(t, "Cancel order…")

	rejected := fmt.Sprint("/console/orders/", s.order(t, "a", 11))
	s.get(t, 200, rejected, "Nothing taken").wantNot(t, "Cancel order…")
	s.post(t, http.StatusConflict, rejected+"/cancel", url.Values{}, "The order was not cancelled", "rejected", "Title of a")
	for _, path := range []string{"/console/orders/99", "/console/orders/x", "/console/orders/-1", "/console/orders/99/cancel"} {
		s.get(t, http.StatusNotFound, path, "Not found")
	}
	s.post(t, http.StatusNotFound, "/console/orders/99/cancel", url.Values{}, "Order with id 99 not found")
}

func TestOrderOfProductsThatAreGone(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	order := fmt.Sprint("/console/orders/", s.order(t, "a", 4))
	if err := s.products.DeleteProduct(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	s.get(t, 200, order, "Deleted since", "402.00")
	s.products = awayProducts{s.products}
	s.serve(t)
	s.get(t, 200, order, "Not known at the moment", "402.00")
}

// awayProducts answers nobody.
type awayProducts struct{ hangar.ProductService }

func (awayProducts) Products(context.Context, []string) ([]hangar.Product, error) {
	return nil, hangar.Errorf(hangar.Unavailable, "Nobody answers.")
}

func (awayProducts) ListProducts(context.Context, hangar.ProductQuery) (hangar.Page[hangar.Product], error) {
	return hangar.Page[hangar.Product]{}, hangar.Errorf(hangar.Unavailable, "Nobody answers.")
}

// busyOrders answers each order with an error.
type busyOrders struct {
	hangar.OrderService
	err error
}

func (b busyOrders) CreateOrder(context.Context, hangar.NewOrder) (hangar.OrderCreation, error) {
	return hangar.OrderCreation{}, b.err
}

func (b busyOrders) ListOrders(context.Context, hangar.OrderQuery) (hangar.Page[hangar.Order], error) {
	return hangar.Page[hangar.Order]{}, b.err
}

func TestServicesThatAreAway(t *testing.T) {
	s := newShop(t)
	s.products = awayProducts{s.products}
	s.orders = busyOrders{s.orders, hangar.Errorf(hangar.Unavailable, "Nobody answers.")}
	s.serve(t)
	r := s.get(t, http.StatusServiceUnavailable, "/console/products", "Not available at the moment", "Nobody answers.")
	for name, want := range map[string]string{"Retry-After": "1", "Hx-Retarget": "#main"} {
		if got := r.header.Get(name); got != want {
			t.Errorf("header %s is %q, want %q", name, got, want)
		}
	}
	s.get(t, http.StatusServiceUnavailable, "/console/orders", "Nobody answers.")
	s.get(t, 200, "/console/suggestions?line=0&product=a", "cannot be looked up at the moment")
	r = s.post(t, http.StatusServiceUnavailable, "/console/new-order", orderForm("the-key", [3]string{"a", "1", "2"}),
		"Not available at the moment", "it takes effect once")
	if got := r.value(t, "key"); got != "the-key" {
		t.Errorf("the key is %q, want the one that was sent: the order may have been placed", got)
	}
	s.orders = busyOrders{s.orders, fmt.Errorf("insert: %w", errors.New("disk full"))}
	s.serve(t)
	s.get(t, http.StatusInternalServerError, "/console/orders", "Something went wrong").wantNot(t, "disk full", "insert")
}
