package rpc_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/rpc"
)

func TestPythonProducts(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	python := servePythonProducts(t, url)
	p := rpc.NewProducts(newClient(t, url, "gateway"))
	for _, id := range []string{"b", "a", "", "Ä", "c"} {
		python.add(id, 10)
	}
	python.ghost = "ghost"
	ctx := t.Context()

	list, err := p.Products(ctx, []string{"c", "missing", "a", "ghost", "c"})
	wantNil(t, "Products", err)
	wantEqual(t, "Products", list, []hangar.Product{product("c", 10), product("a", 10), product("c", 10)})
	if n := python.asked("get"); n != 4 {
		t.Errorf("Products of 4 distinct ids made %d calls of get, want 4", n)
	}
	_, err = p.Product(ctx, "ghost")
	wantError(t, "Product of an incomplete hash", err, hangar.NewProductNotFound("ghost"))

	for _, test := range []struct {
		q    hangar.ProductQuery
		want []hangar.Product
		more bool
	}{
		{hangar.ProductQuery{Limit: 2}, []hangar.Product{product("a", 10), product("b", 10)}, true},
		{hangar.ProductQuery{Limit: 2, After: "b"}, []hangar.Product{product("c", 10), product("Ä", 10)}, false},
		{hangar.ProductQuery{Limit: 4}, []hangar.Product{product("a", 10), product("b", 10), product("c", 10), product("Ä", 10)}, false},
		{hangar.ProductQuery{Limit: 1, After: "Ä"}, []hangar.Product{}, false},
		{hangar.ProductQuery{Limit: 4, Prefix: "b"}, []hangar.Product{product("b", 10)}, false},
		{hangar.ProductQuery{Limit: 4, Prefix: "Ä", After: "b"}, []hangar.Product{product("Ä", 10)}, false},
		{hangar.ProductQuery{Limit: 4, Prefix: "b", After: "b"}, []hangar.Product{}, false},
	} {
		page, err := p.ListProducts(ctx, test.q)
		wantNil(t, "ListProducts", err)
		wantEqual(t, "ListProducts", page, hangar.Page[hangar.Product]{Items: test.want, More: test.more})
	}

	wantError(t, "CreateProduct of one that exists", p.CreateProduct(ctx, product("a", 1)), hangar.NewProductExists("a"))
	wantNil(t, "CreateProduct", p.CreateProduct(ctx, product("new", 7)))
	got, err := p.Product(ctx, "new")
	wantNil(t, "Product", err)
	wantEqual(t, "the new product", got, product("new", 7))
	for name, put := range map[string]error{
		"PutProduct":    p.PutProduct(ctx, product("negative", -1)),
		"CreateProduct": p.CreateProduct(ctx, product("negative", -1)),
	} {
		wantError(t, name+" of what Python would take", put, hangar.NewValidationError(map[string]any{"in_stock": []string{"Must be at least 0."}}))
	}
	cannot := func(what string) *hangar.Error {
		return hangar.Errorf(hangar.Unavailable, "The products service that was asked is not hangar's, and cannot %s.", what)
	}
	wantError(t, "DeleteProduct", p.DeleteProduct(ctx, "a"), cannot("delete products"))
	for _, key := range []string{"", "k"} {
		_, err = p.Restock(ctx, hangar.Restock{ID: "a", Quantity: 1, IdempotencyKey: key})
		wantError(t, "Restock", err, cannot("restock products"))
	}
	_, err = p.StockStatistics(ctx)
	wantError(t, "StockStatistics", err, cannot("tell what it was asked to hold"))
}

// An instance of an earlier version, whose list_page knows no prefix.
func TestPrefixOfEarlierProducts(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	pages := 0
	serve(t, connect(t, url), "products", func(s *nameko.Server) {
		s.Handle("list_page", nameko.Params("after", "limit"), func(context.Context, nameko.Args) (any, error) {
			pages++
			return map[string]any{"items": []hangar.Product{product("a", 1)}, "more": true}, nil
		})
		s.Handle("list", nameko.Params(), func(context.Context, nameko.Args) (any, error) {
			return []hangar.Product{product("b", 1), product("thé", 1), product("th", 1), product("a", 1)}, nil
		})
	})
	p := rpc.NewProducts(newClient(t, url, "gateway"))
	for _, test := range []struct {
		q    hangar.ProductQuery
		want hangar.Page[hangar.Product]
	}{
		{hangar.ProductQuery{Limit: 1, Prefix: "th"}, hangar.Page[hangar.Product]{Items: []hangar.Product{product("th", 1)}, More: true}},
		{hangar.ProductQuery{Limit: 9, Prefix: "th", After: "th"}, hangar.Page[hangar.Product]{Items: []hangar.Product{product("thé", 1)}}},
		{hangar.ProductQuery{Limit: 1}, hangar.Page[hangar.Product]{Items: []hangar.Product{product("a", 1)}, More: true}},
	} {
		got, err := p.ListProducts(t.Context(), test.q)
		wantNil(t, "ListProducts", err)
		wantEqual(t, fmt.Sprintf("ListProducts(%+v)", test.q), got, test.want)
	}
	if pages != 1 {
		t.Errorf("list_page was answered %d times, want once, to the question without a prefix", pages)
	}
}

func TestPythonProductsHold(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	python := servePythonProducts(t, url)
	p := rpc.NewProducts(newClient(t, url, "orders"))
	python.add("a", 10)
	ctx := t.Context()
	hold := func(version int64, quantities map[string]int64) error {
		return p.Hold(ctx, hangar.Hold{ID: "h", Version: version, Quantities: quantities})
	}
	wantNil(t, "Hold", hold(1, map[string]int64{"a": 100}))
	if n := python.asked("get"); n != 1 {
		t.Errorf("Hold of one product made %d calls of get, want 1", n)
	}
	wantNil(t, "Hold of nothing", hold(2, nil))
	if n := python.asked("get"); n != 1 {
		t.Errorf("Hold of nothing made %d calls of get, want none", n-1)
	}
	wantError(t, "Hold of missing products", hold(3, map[string]int64{"z": 1, "missing": 1, "a": 1}), hangar.NewHeldProductNotFound("missing"))
	got, err := p.Product(ctx, "a")
	wantNil(t, "Product", err)
	wantEqual(t, "the stock, which is left to the event", got.InStock, int64(10))
}

// Python has numbers of any size, and its forks products of all sorts.
func TestProductsOfAnyKindAreRead(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	python := servePythonProducts(t, url)
	python.products["5"] = map[string]any{"id": 5, "title": nil, "passenger_capacity": uint64(1<<64 - 1), "maximum_speed": "-3", "in_stock": 2.0, "colour": "red"}
	got, err := rpc.NewProducts(newClient(t, url, "gateway")).Product(t.Context(), "5")
	wantNil(t, "Product", err)
	wantEqual(t, "the product", got, hangar.Product{ID: "5", PassengerCapacity: 1<<63 - 1, MaximumSpeed: -3, InStock: 2})
}

func TestMissingMethodIsAskedForAgainLater(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	python := servePythonProducts(t, url)
	p := rpc.NewProducts(newClient(t, url, "gateway"))
	clock := newClock()
	p.SetClock(clock.now)
	python.add("a", 10)
	for _, step := range []struct {
		pass time.Duration
		want int // calls of get_many so far
	}{{0, 1}, {0, 1}, {9 * time.Second, 1}, {time.Second, 2}, {9 * time.Second, 2}, {time.Hour, 3}} {
		clock.pass(step.pass)
		list, err := p.Products(t.Context(), []string{"a"})
		wantNil(t, "Products", err)
		wantEqual(t, "Products", list, []hangar.Product{product("a", 10)})
		if n := python.asked("get_many"); n != step.want {
			t.Errorf("get_many was asked for %d times at %v, want %d", n, clock.now(), step.want)
		}
	}
	// Each method for itself.
	_, err := p.ListProducts(t.Context(), hangar.ProductQuery{Limit: 1})
	wantNil(t, "ListProducts", err)
	if n := python.asked("list_page"); n != 1 {
		t.Errorf("list_page was asked for %d times, want 1", n)
	}
}

// One Python and one of hangar's instances answer the calls in turn.
func TestMixedProducts(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	serveProducts(t, url)
	alone := rpc.NewProducts(newClient(t, url, "test"))
	wantNil(t, "PutProduct", alone.PutProduct(t.Context(), product("a", 100)))
	python := servePythonProducts(t, url)
	python.add("a", 50)
	p := rpc.NewProducts(newClient(t, url, "gateway"))
	clock := newClock()
	p.SetClock(clock.now)
	ofHangar := 0
	for range 40 {
		clock.pass(10 * time.Second)
		list, err := p.Products(t.Context(), []string{"missing", "a"})
		wantNil(t, "Products", err)
		if len(list) != 1 || list[0].ID != "a" {
			t.Fatalf("Products = %+v, want a", list)
		}
		if list[0].InStock == 100 {
			ofHangar++
		}
		page, err := p.ListProducts(t.Context(), hangar.ProductQuery{Limit: 10})
		wantNil(t, "ListProducts", err)
		if len(page.Items) != 1 || page.Items[0].ID != "a" {
			t.Fatalf("ListProducts = %+v, want a", page)
		}
	}
	if asked := python.asked("get_many"); ofHangar == 0 || asked == 0 {
		t.Errorf("of 40 calls hangar answered %d, and %d went to Python, want some of both", ofHangar, asked)
	}
}
