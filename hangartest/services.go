package hangartest

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"hangar"
)

// Services are what the gateway talks to, wherever they run. Together they are
// one store: what Orders sells, Products has less of.
type Services struct {
	Products hangar.ProductService
	Stock    hangar.Stock
	Orders   hangar.OrderService
	Events   hangar.OrderEvents // nil where nothing but the orders service can deliver events
}

// TestServices tests the whole of a store through the interfaces of its services.
func TestServices(t *testing.T, open func(t *testing.T) Services) {
	runAll(t, open, productServiceTests)
	runAll(t, open, orderServiceTests)
	runAll(t, open, orderChangeTests)
	runAll(t, open, idempotencyTests)
	runAll(t, open, stockTests)
	runAll(t, open, restockServiceTests)
}

var productServiceTests = []subtest[Services]{
	{"products are created, replaced, read and deleted", testProductService},
	{"a product is edited without its stock", testEditProduct},
	{"a product that is not valid is not stored", testInvalidProducts},
	{"products are listed in pages", testProductPages},
	{"products are found by a prefix of their ids", testProductPrefix},
}

var stockTests = []subtest[Services]{
	{"a hold that is not valid changes nothing", testInvalidHold},
	{"a hold is repeatable, refusals too", testServiceHold},
	{"an event takes the stock once", testEvents},
	{"500 clients buy 100 units", testSellOut},
}

func (s Services) put(t *testing.T, list ...hangar.Product) {
	t.Helper()
	for _, p := range list {
		wantNil(t, "PutProduct "+p.ID, s.Products.PutProduct(t.Context(), p))
	}
}

func (s Services) wantStock(t *testing.T, what string, want quantities) {
	t.Helper()
	got := quantities{}
	for id := range want {
		p, err := s.Products.Product(t.Context(), id)
		wantNil(t, what+": Product "+id, err)
		got[id] = p.InStock
	}
	wantEqual(t, "in stock after "+what, got, want)
}

func testProductService(t *testing.T, s Services) {
	ctx := t.Context()
	want := hangar.Product{ID: "ü ☃", Title: "Zeppelin 🚀", PassengerCapacity: 101, MaximumSpeed: 5, InStock: hangar.MaxInteger}
	wantNil(t, "CreateProduct", s.Products.CreateProduct(ctx, want))
	wantCode(t, "CreateProduct of one that exists", s.Products.CreateProduct(ctx, product("ü ☃", 1)), hangar.ProductExists)
	got, err := s.Products.Product(ctx, "ü ☃")
	wantNil(t, "Product", err)
	wantEqual(t, "the product", got, want)
	s.put(t, product("ü ☃", 3), product("b", 4))
	list, err := s.Products.Products(ctx, []string{"b", "missing", "ü ☃", "b"})
	wantNil(t, "Products", err)
	wantEqual(t, "Products", list, []hangar.Product{product("b", 4), product("ü ☃", 3), product("b", 4)})
	list, err = s.Products.Products(ctx, nil)
	if len(list) != 0 || err != nil {
		t.Errorf("Products of no ids = %v, %v, want nothing", list, err)
	}
	wantNil(t, "DeleteProduct", s.Products.DeleteProduct(ctx, "b"))
	_, err = s.Products.Product(ctx, "b")
	wantCode(t, "Product of a deleted one", err, hangar.ProductNotFound)
	wantEqual(t, "its message", err.Error(), "Product ID b does not exist")
	wantCode(t, "DeleteProduct of a deleted one", s.Products.DeleteProduct(ctx, "b"), hangar.ProductNotFound)
}

func testInvalidProducts(t *testing.T, s Services) {
	for _, p := range []hangar.Product{
		{},
		{ID: "a/b", Title: "t"},
		{ID: "a", Title: ""},
		{ID: "a", Title: "t", InStock: -1},
		{ID: "a", Title: "t", MaximumSpeed: hangar.MaxInteger + 1},
		{ID: strings.Repeat("x", hangar.MaxProductID+1), Title: "t"},
	} {
		wantCode(t, fmt.Sprintf("PutProduct(%+v)", p), s.Products.PutProduct(t.Context(), p), hangar.ValidationError)
		wantCode(t, fmt.Sprintf("CreateProduct(%+v)", p), s.Products.CreateProduct(t.Context(), p), hangar.ValidationError)
	}
	page, err := s.Products.ListProducts(t.Context(), hangar.ProductQuery{Limit: 10})
	if len(page.Items) != 0 || page.More || err != nil {
		t.Errorf("ListProducts after refusals = %+v, %v, want an empty page", page, err)
	}
}

func testProductPages(t *testing.T, s Services) {
	s.put(t, product("b", 1), product("ü", 1), product("A", 1), product("a", 1))
	for _, test := range []struct {
		q    hangar.ProductQuery
		ids  []string
		more bool
	}{
		{hangar.ProductQuery{Limit: 3}, []string{"A", "a", "b"}, true},
		{hangar.ProductQuery{Limit: 4}, []string{"A", "a", "b", "ü"}, false},
		{hangar.ProductQuery{Limit: hangar.MaxPageSize}, []string{"A", "a", "b", "ü"}, false},
		{hangar.ProductQuery{Limit: 3, After: "b"}, []string{"ü"}, false},
		{hangar.ProductQuery{Limit: 1, After: "a"}, []string{"b"}, true},
		{hangar.ProductQuery{Limit: 3, After: "ü"}, []string{}, false},
	} {
		page, err := s.Products.ListProducts(t.Context(), test.q)
		wantNil(t, fmt.Sprintf("ListProducts(%+v)", test.q), err)
		wantEqual(t, fmt.Sprintf("ids of ListProducts(%+v)", test.q), idsOf(page.Items), test.ids)
		if page.More != test.more {
			t.Errorf("ListProducts(%+v) says there are more: %v, want %v", test.q, page.More, test.more)
		}
	}
	for _, limit := range []int{-1, 0, hangar.MaxPageSize + 1} {
		_, err := s.Products.ListProducts(t.Context(), hangar.ProductQuery{Limit: limit})
		wantCode(t, fmt.Sprint("ListProducts with the limit ", limit), err, hangar.ValidationError)
	}
}

func testProductPrefix(t *testing.T, s Services) {
	s.put(t, product("tha", 1), product("th", 1), product("thé", 1), product("t", 1), product("ti", 1), product("ü", 1))
	for _, test := range []struct {
		q    hangar.ProductQuery
		ids  []string
		more bool
	}{
		{hangar.ProductQuery{Limit: 10, Prefix: "th"}, []string{"th", "tha", "thé"}, false},
		{hangar.ProductQuery{Limit: 2, Prefix: "th"}, []string{"th", "tha"}, true},
		{hangar.ProductQuery{Limit: 2, Prefix: "th", After: "tha"}, []string{"thé"}, false},
		{hangar.ProductQuery{Limit: 2, Prefix: "th", After: "a"}, []string{"th", "tha"}, true},
		{hangar.ProductQuery{Limit: 3, Prefix: "th", After: "a"}, []string{"th", "tha", "thé"}, false},
		{hangar.ProductQuery{Limit: 3, Prefix: "th", After: "ti"}, []string{}, false},
		{hangar.ProductQuery{Limit: 3, Prefix: "ü"}, []string{"ü"}, false},
		{hangar.ProductQuery{Limit: 3, Prefix: "T"}, []string{}, false},
		{hangar.ProductQuery{Limit: 3, Prefix: strings.Repeat("ü", hangar.MaxProductID)}, []string{}, false},
	} {
		page, err := s.Products.ListProducts(t.Context(), test.q)
		wantNil(t, fmt.Sprintf("ListProducts(%+v)", test.q), err)
		wantEqual(t, fmt.Sprintf("ids of ListProducts(%+v)", test.q), idsOf(page.Items), test.ids)
		if page.More != test.more {
			t.Errorf("ListProducts(%+v) says there are more: %v, want %v", test.q, page.More, test.more)
		}
	}
	for _, prefix := range []string{strings.Repeat("x", hangar.MaxProductID+1), "\x00", "a\xff"} {
		_, err := s.Products.ListProducts(t.Context(), hangar.ProductQuery{Limit: 10, Prefix: prefix})
		wantCode(t, fmt.Sprintf("ListProducts with the prefix %.10q", prefix), err, hangar.ValidationError)
	}
}

func testInvalidHold(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	for _, h := range []hangar.Hold{
		hold("", 1, quantities{"a": 1}),
		hold(strings.Repeat("x", 256), 1, quantities{"a": 1}),
		hold("h", 0, quantities{"a": 1}),
		hold("h", 1, quantities{"a": 0}),
		hold("h", 1, quantities{"a": -1}),
		hold("h", 1, quantities{"a": hangar.MaxInteger + 1}),
	} {
		wantCode(t, fmt.Sprintf("Hold(%.300v)", h), s.Stock.Hold(t.Context(), h), hangar.ValidationError)
	}
	wantNil(t, "Hold of the version that was not valid", s.Stock.Hold(t.Context(), hold("h", 1, quantities{"a": 1})))
	s.wantStock(t, "a valid hold", quantities{"a": 9})
}

func testServiceHold(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("ü", 1))
	ctx := t.Context()
	for range 2 {
		wantNil(t, "Hold", s.Stock.Hold(ctx, hold("h", 1, quantities{"a": 4, "ü": 1})))
	}
	first := s.Stock.Hold(ctx, hold("i", 1, quantities{"a": 7, "ü": 1}))
	wantCode(t, "Hold beyond the stock", first, hangar.OutOfStock)
	want := hangar.NewOutOfStock(map[string]hangar.Shortage{"a": {Requested: 7, InStock: 6}, "ü": {Requested: 1, InStock: 0}})
	wantEqual(t, "the refusal", asSeen(t, first), asSeen(t, want))
	s.put(t, product("ü", 5))
	again := s.Stock.Hold(ctx, hold("i", 1, quantities{"a": 7, "ü": 1}))
	wantEqual(t, "the refusal that was repeated", asSeen(t, again), asSeen(t, want))
	err := s.Stock.Hold(ctx, hold("j", 1, quantities{"missing": 1}))
	wantCode(t, "Hold of a missing product", err, hangar.ProductNotFound)
	wantEqual(t, "its message", err.Error(), "Product Id missing")
	wantNil(t, "Hold of nothing", s.Stock.Hold(ctx, hold("h", 2, nil)))
	wantCode(t, "Hold of a version that is past", s.Stock.Hold(ctx, hold("h", 1, quantities{"a": 4})), hangar.Conflict)
	s.wantStock(t, "giving back", quantities{"a": 10})
	wantNil(t, "Hold with Before", s.Stock.Hold(ctx, hangar.Hold{ID: "k", Version: 2, Before: quantities{"a": 5}}))
	s.wantStock(t, "giving back what was held before", quantities{"a": 15})
}

func testEvents(t *testing.T, s Services) {
	if s.Events == nil {
		t.Skip("events cannot be delivered from outside here")
	}
	s.put(t, product("a", 10), product("b", 1))
	deliver := func(o hangar.Order) {
		t.Helper()
		wantNil(t, "HandleOrderCreated", s.Events.HandleOrderCreated(t.Context(), hangar.OrderCreated{Order: o}))
	}
	// A Python orders service names no hold and no version.
	python := hangar.Order{ID: 7, Details: []hangar.OrderDetail{line("a", 2), line("b", 3), line("a", 1), line("missing", 1)}}
	for range 5 {
		deliver(python)
	}
	s.wantStock(t, "an event of a Python order, 5 times", quantities{"a": 7, "b": -2})
	o := create(t, s, line("a", 2))
	for range 5 {
		deliver(o)
	}
	s.wantStock(t, "an event of an order that holds its stock", quantities{"a": 5, "b": -2})
	_, err := s.Orders.CancelOrder(t.Context(), o.ID)
	wantNil(t, "CancelOrder", err)
	deliver(o)
	s.wantStock(t, "an event of an order that was cancelled since", quantities{"a": 7, "b": -2})
}

// keepBuying orders once, and asks again while the service is too busy for that.
// One that did not answer in time may have ordered: so there is a key.
func keepBuying(ctx context.Context, o hangar.OrderService, lines ...hangar.OrderDetail) error {
	order := hangar.NewOrder{Details: lines, IdempotencyKey: rand.Text()}
	for {
		_, err := o.CreateOrder(ctx, order)
		code := hangar.CodeOf(err) // Conflict while the first request is still worked on
		if code != hangar.Unavailable && code != hangar.Conflict || ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func testSellOut(t *testing.T, s Services) {
	s.put(t, product("a", 100))
	errs := make([]error, 500)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = keepBuying(t.Context(), s.Orders, line("a", int64(i%3+1)))
		})
	}
	wg.Wait()
	sold, confirmed := int64(0), 0
	for i, err := range errs {
		if err == nil {
			sold += int64(i%3 + 1)
			confirmed++
			continue
		}
		wantCode(t, "CreateOrder that was refused", err, hangar.OutOfStock)
	}
	if sold > 100 || sold < 98 {
		t.Errorf("500 orders of 1 to 3 of 100 units sold %d, want 98 to 100", sold)
	}
	s.wantStock(t, "500 orders", quantities{"a": 100 - sold})
	page, err := s.Orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: hangar.MaxPageSize})
	wantNil(t, "ListOrders", err)
	statuses := map[hangar.OrderStatus]int{}
	for _, o := range page.Items {
		statuses[o.Status]++
	}
	want := map[hangar.OrderStatus]int{hangar.Confirmed: confirmed, hangar.Rejected: 500 - confirmed}
	wantEqual(t, "orders by their status", statuses, want)
}
