package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/orders"
	"hangar/rpc"
	"hangar/sqlite"
)

// catalogue has one product, a, and counts how often it was asked.
type catalogue struct {
	hangar.ProductService
	asked atomic.Int64
}

func (c *catalogue) Products(_ context.Context, ids []string) ([]hangar.Product, error) {
	c.asked.Add(1)
	var found []hangar.Product
	for _, id := range ids {
		if id == "a" {
			found = append(found, product("a", 10))
		}
	}
	return found, nil
}

func TestPythonOrders(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	python := servePythonOrders(t, url, "")
	o := rpc.NewOrders(newClient(t, url, "gateway"), new(catalogue))
	ctx := t.Context()

	_, err := o.CreateOrder(ctx, orderOf(line("a", 1), line("missing", 1)))
	wantError(t, "CreateOrder of a missing product", err, hangar.NewHeldProductNotFound("missing"))
	_, err = o.CreateOrder(ctx, orderOf(line("a", -1)))
	if hangar.CodeOf(err) != hangar.ValidationError {
		t.Errorf("CreateOrder of -1: %v, want VALIDATION_ERROR", err)
	}
	if n := python.asked("create_order"); n != 0 {
		t.Errorf("create_order was called %d times for orders that are not valid, want 0", n)
	}
	created, err := o.CreateOrder(ctx, hangar.NewOrder{Details: []hangar.OrderDetail{line("a", 1), line("a", 2)}, IdempotencyKey: "k"})
	wantNil(t, "CreateOrder", err)
	want := hangar.Order{ID: 1, Status: hangar.Confirmed, Details: []hangar.OrderDetail{line("a", 1), line("a", 2)}}
	want.Details[0].ID, want.Details[1].ID = 1, 2
	wantEqual(t, "the new order", created, hangar.OrderCreation{Order: want})

	updated, err := o.UpdateOrder(ctx, hangar.OrderUpdate{ID: 1, Lines: []hangar.LineUpdate{{ID: 2, Price: 7, Quantity: 5}}})
	wantNil(t, "UpdateOrder of one line", err)
	want.Details[1].Price, want.Details[1].Quantity = 7, 5
	wantEqual(t, "the updated order", updated, want)
	_, err = o.UpdateOrder(ctx, hangar.OrderUpdate{ID: 1, Lines: []hangar.LineUpdate{{ID: 3, Quantity: 5}}})
	if hangar.CodeOf(err) != hangar.ValidationError {
		t.Errorf("UpdateOrder of a line that is not there: %v, want VALIDATION_ERROR", err)
	}
	got, err := o.Order(ctx, 1)
	wantNil(t, "Order", err)
	wantEqual(t, "the order", got, want)

	_, err = o.Order(ctx, 99)
	wantError(t, "Order of none", err, hangar.NewOrderNotFound("99"))
	_, err = o.UpdateOrder(ctx, hangar.OrderUpdate{ID: 99, Lines: []hangar.LineUpdate{{ID: 2, Quantity: 5}}})
	wantError(t, "UpdateOrder of none", err, hangar.NewOrderNotFound("99"))
	wantError(t, "DeleteOrder of none", o.DeleteOrder(ctx, 99), hangar.NewOrderNotFound("99"))
	cannot := func(what string) *hangar.Error {
		return hangar.Errorf(hangar.Unavailable, "The orders service that was asked is not hangar's, and cannot %s.", what)
	}
	wantError(t, "DeleteOrder", o.DeleteOrder(ctx, 1), cannot("delete orders that have lines"))
	_, err = o.CancelOrder(ctx, 1)
	wantError(t, "CancelOrder", err, cannot("cancel orders"))
	_, err = o.ListOrders(ctx, hangar.OrderQuery{Limit: 10})
	wantError(t, "ListOrders", err, cannot("list orders"))
	_, err = o.OutboxStatistics(ctx)
	wantError(t, "OutboxStatistics", err, cannot("tell how far its events are"))
}

// An instance of an earlier version, whose list_page knows no status. It is no
// Python one: its orders have statuses.
func TestStatusOfEarlierOrders(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	all := []map[string]any{}
	for i, status := range []hangar.OrderStatus{hangar.Confirmed, hangar.Cancelled, hangar.Confirmed, hangar.Rejected} {
		all = append(all, map[string]any{"id": i + 1, "order_details": []any{}, "status": status, "version": 2})
	}
	serve(t, connect(t, url), "orders", func(s *nameko.Server) {
		s.Handle("list_page", nameko.Params("after", "limit", "newest_first"), func(context.Context, nameko.Args) (any, error) {
			return map[string]any{"items": all[:1], "more": true}, nil
		})
		s.Handle("list_orders", nameko.Params(), func(context.Context, nameko.Args) (any, error) { return all, nil })
	})
	o := rpc.NewOrders(newClient(t, url, "gateway"), new(catalogue))
	for _, test := range []struct {
		q    hangar.OrderQuery
		want []int64
		more bool
	}{
		{hangar.OrderQuery{Limit: 1, Status: hangar.Confirmed, NewestFirst: true}, []int64{3}, true},
		{hangar.OrderQuery{Limit: 2, Status: hangar.Confirmed}, []int64{1, 3}, false},
		{hangar.OrderQuery{Limit: 2, Status: hangar.Rejected, After: 2}, []int64{4}, false},
		{hangar.OrderQuery{Limit: 1}, []int64{1}, true},
	} {
		page, err := o.ListOrders(t.Context(), test.q)
		wantNil(t, "ListOrders", err)
		var ids []int64
		for _, order := range page.Items {
			ids = append(ids, order.ID)
		}
		wantEqual(t, fmt.Sprintf("ids of ListOrders(%+v)", test.q), ids, test.want)
		wantEqual(t, "that there are more", page.More, test.more)
	}
}

func TestPythonOrdersAreListed(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"list_orders", "get_orders"} {
		url := hangartest.RabbitMQ(t)
		python := servePythonOrders(t, url, method)
		o := rpc.NewOrders(newClient(t, url, "gateway"), new(catalogue))
		for _, id := range []string{"2", "10", "9", "1"} {
			python.add(`{"id": ` + id + `, "order_details": []}`)
		}
		for _, test := range []struct {
			q    hangar.OrderQuery
			want []int64
			more bool
		}{
			{hangar.OrderQuery{Limit: 3}, []int64{1, 2, 9}, true},
			{hangar.OrderQuery{Limit: 4}, []int64{1, 2, 9, 10}, false},
			{hangar.OrderQuery{Limit: 3, After: 2}, []int64{9, 10}, false},
			{hangar.OrderQuery{Limit: 3, After: 3}, []int64{9, 10}, false},
			{hangar.OrderQuery{Limit: 3, NewestFirst: true}, []int64{10, 9, 2}, true},
			{hangar.OrderQuery{Limit: 3, After: 9, NewestFirst: true}, []int64{2, 1}, false},
			{hangar.OrderQuery{Limit: 3, After: 10}, nil, false},
			{hangar.OrderQuery{Limit: 3, Status: hangar.Confirmed, After: 9, NewestFirst: true}, []int64{2, 1}, false},
			{hangar.OrderQuery{Limit: 3, Status: hangar.Cancelled}, nil, false},
		} {
			page, err := o.ListOrders(t.Context(), test.q)
			wantNil(t, "ListOrders", err)
			var ids []int64
			for _, order := range page.Items {
				ids = append(ids, order.ID)
			}
			wantEqual(t, method, ids, test.want)
			if page.More != test.more {
				t.Errorf("%s for %+v says there are more: %v, want %v", method, test.q, page.More, test.more)
			}
		}
	}
}

// Rows of the Python services and of their forks.
func TestOrdersOfAnyKindAreRead(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	python := servePythonOrders(t, url, "")
	o := rpc.NewOrders(newClient(t, url, "gateway"), new(catalogue))
	python.add(`{"id": 1, "status": "SHIPPED", "created_at": "2026-11-23T08:02:52.255799", "order_details": [
		{"id": 1, "product_id": 5, "price": 99.99, "quantity": -1},
		{"id": 2, "product_id": "b", "price": "-12.50", "quantity": 0},
		{"id": 3, "product_id": "c", "price": "NaN", "quantity": "3"},
		{"id": 4, "product_id": null, "price": null, "quantity": 3.0}]}`)
	got, err := o.Order(t.Context(), 1)
	wantNil(t, "Order", err)
	wantEqual(t, "the order", got, hangar.Order{
		ID:        1,
		Status:    hangar.Confirmed,
		CreatedAt: time.Date(2026, 11, 23, 8, 2, 52, 255799000, time.UTC),
		Details: []hangar.OrderDetail{
			{ID: 1, ProductID: "5", Price: 9999, Quantity: -1},
			{ID: 2, ProductID: "b", Price: -1250},
			{ID: 3, ProductID: "c", Quantity: 3},
			{ID: 4, Quantity: 3},
		},
	})
}

// Products are validated as long as a Python service may take the order.
func TestWhenProductsAreValidated(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	known := new(catalogue)
	o := rpc.NewOrders(newClient(t, url, "gateway"), known)
	clock := newClock()
	o.SetClock(clock.now)
	serveProducts(t, url)
	wantNil(t, "PutProduct", rpc.NewProducts(newClient(t, url, "test")).PutProduct(t.Context(), product("a", 10)))
	create := func(when string, validated bool) {
		t.Helper()
		before := known.asked.Load()
		_, err := o.CreateOrder(t.Context(), orderOf(line("a", 1)))
		wantNil(t, "CreateOrder "+when, err)
		if got := known.asked.Load() > before; got != validated {
			t.Errorf("CreateOrder %s validated its products: %v, want %v", when, got, validated)
		}
	}
	t.Run("hangar", func(t *testing.T) {
		serveOrders(t, url)
		create("while nothing is known", true)
		create("of hangar's", false)
		_, err := o.CreateOrder(t.Context(), orderOf(line("missing", 1)))
		wantError(t, "CreateOrder of a missing product", err, hangar.NewHeldProductNotFound("missing"))
	})
	t.Run("python", func(t *testing.T) {
		servePythonOrders(t, url, "")
		create("before Python has answered", false)
		create("after Python has answered", true)
	})
	t.Run("hangar again", func(t *testing.T) {
		serveOrders(t, url)
		clock.pass(time.Minute - 1)
		create("within a minute of Python's answer", true)
		clock.pass(1)
		create("a minute after Python's answer", false)
	})
}

// A missing product that nobody has validated is hangar's to refuse: it keeps the
// order, rejected.
func TestFirstOrderOfAMissingProduct(t *testing.T) {
	t.Parallel()
	f := newFleet(t, hangartest.RabbitMQ(t))
	_, err := f.orders.CreateOrder(t.Context(), orderOf(line("missing", 1)))
	wantError(t, "CreateOrder", err, hangar.NewHeldProductNotFound("missing"))
	o, err := f.orders.Order(t.Context(), 1)
	wantNil(t, "Order", err)
	if o.Status != hangar.Rejected {
		t.Errorf("the order: %+v, want rejected", o)
	}
}

// What an idempotency key brings back says so, in the result or in the error.
func TestReplaysOnTheWire(t *testing.T) {
	t.Parallel()
	f := newFleet(t, hangartest.RabbitMQ(t))
	wantNil(t, "PutProduct", f.products.PutProduct(t.Context(), product("a", 10)))
	create := func(quantity int) (map[string]any, error) {
		ctx := nameko.WithData(t.Context(), "idempotency_key", fmt.Sprint("key of ", quantity))
		lines := []map[string]any{{"product_id": "a", "price": "1", "quantity": quantity}}
		reply, err := f.gateway.Call(ctx, nameko.Call{Service: "orders", Method: "create_order", Args: []any{lines}})
		if err != nil {
			return nil, err
		}
		var o map[string]any
		wantNil(t, "Decode", reply.Decode(&o))
		return o, nil
	}
	for _, want := range []any{nil, true} {
		o, err := create(1)
		wantNil(t, "create_order", err)
		wantEqual(t, "replayed", o["replayed"], want)
	}
	wantNil(t, "DeleteOrder", f.orders.DeleteOrder(t.Context(), 1))
	o, err := create(1)
	wantNil(t, "create_order with the key of a deleted order", err)
	wantEqual(t, "its lines", o["order_details"], any([]any{}))
	for _, want := range []int{2, 3} {
		_, err := create(100)
		e, ok := errors.AsType[*nameko.Error](err)
		if !ok || len(e.Args) != want {
			t.Fatalf("create_order beyond the stock: %#v, want an error with %d arguments", err, want)
		}
		if want == 3 {
			wantEqual(t, "the third argument", e.Args[2], any(map[string]any{"replayed": true}))
		}
	}
}

// silentStock does not answer.
type silentStock struct{ asked chan struct{} }

func (s silentStock) Hold(ctx context.Context, _ hangar.Hold) error {
	s.asked <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}

// What the orders service says at the end of a request's time arrives in time:
// that tells more than that no answer came. Nothing runs beside it: an answer has a
// second.
func TestAnswersAtTheDeadlineArrive(t *testing.T) {
	url := hangartest.RabbitMQ(t)
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	wantNil(t, "Open", err)
	closeAtEnd(t, file.Close)
	stock := silentStock{make(chan struct{}, 10)}
	service := orders.NewService(file.Orders, stock, noLog)
	serve(t, connect(t, url), "orders", func(s *nameko.Server) { rpc.ServeOrders(s, service) })
	o := rpc.NewOrders(newClient(t, url, "gateway"), existing{})
	keyed := orderOf(line("a", 1))
	keyed.IdempotencyKey = "k"
	var second sync.WaitGroup
	second.Go(func() {
		<-stock.asked
		// It ends while the first, which has ten seconds, is still worked on.
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		defer cancel()
		_, err := o.CreateOrder(ctx, keyed)
		wantError(t, "CreateOrder with a key that is worked on", err, hangar.Errorf(hangar.Conflict,
			"The first request with this Idempotency-Key is still being worked on. Ask again with the same key to learn what came of it."))
	})
	created, err := o.CreateOrder(t.Context(), keyed)
	second.Wait()
	wantError(t, "CreateOrder with a key", err, hangar.Errorf(hangar.Unavailable,
		"Order 1 is stored, but whether it could be carried through is not known yet. Ask again with the same Idempotency-Key."))
	if created.Replayed {
		t.Error("CreateOrder that is not settled says that it was replayed")
	}
}
