package hangartest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
)

var orderServiceTests = []subtest[Services]{
	{"an order is confirmed and its stock is held", testCreateOrder},
	{"lines of one product count together", testSameProductTwice},
	{"an order beyond the stock is rejected and stays readable", testRejectedOrder},
	{"an order of a missing product is not found and stays readable", testMissingProduct},
	{"an order of 1000 lines", testLongOrder},
	{"an order that is not valid is not stored", testInvalidOrders},
	{"orders are listed in pages in both orders", testOrderPages},
	{"orders are listed by their status", testOrdersOfStatus},
	{"an unknown order is not found", testUnknownOrderService},
	{"an order outlives its product", testOrderOfDeletedProduct},
}

// tryCreate asks for an order without an idempotency key.
func tryCreate(t *testing.T, s Services, lines ...hangar.OrderDetail) (hangar.Order, error) {
	t.Helper()
	created, err := s.Orders.CreateOrder(t.Context(), hangar.NewOrder{Details: lines})
	if created.Replayed {
		t.Error("CreateOrder without a key says that it was replayed")
	}
	return created.Order, err
}

func create(t *testing.T, s Services, lines ...hangar.OrderDetail) hangar.Order {
	t.Helper()
	o, err := tryCreate(t, s, lines...)
	wantNil(t, "CreateOrder", err)
	return o
}

// getOrder returns the order, which must be there.
func getOrder(t *testing.T, s Services, id int64) hangar.Order {
	t.Helper()
	o, err := s.Orders.Order(t.Context(), id)
	wantNil(t, fmt.Sprintf("Order(%d)", id), err)
	return o
}

// onlyOrder returns the one order that is stored.
func onlyOrder(t *testing.T, s Services) hangar.Order {
	t.Helper()
	page, err := s.Orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: 10})
	wantNil(t, "ListOrders", err)
	if len(page.Items) != 1 {
		t.Fatalf("orders: %+v, want one", page.Items)
	}
	return page.Items[0]
}

func testCreateOrder(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("ü ☃", 5))
	lines := []hangar.OrderDetail{line("ü ☃", 5), line("a", 3)}
	lines[1].Price = hangar.MaxPrice
	asked := time.Now()
	o := create(t, s, lines...)
	if o.ID < 1 || o.Status != hangar.Confirmed || o.Version < 1 {
		t.Errorf("the new order: %+v, want an id, confirmed, and a version", o)
	}
	if d := o.CreatedAt.Sub(asked).Abs(); d > time.Hour {
		t.Errorf("the new order was created at %v, want about %v", o.CreatedAt, asked)
	}
	if len(o.Details) != len(lines) {
		t.Fatalf("the new order has the lines %+v, want %d", o.Details, len(lines))
	}
	for i, d := range o.Details {
		if d.ID < 1 || i > 0 && d.ID <= o.Details[i-1].ID {
			t.Errorf("lines of the new order: %+v, want rising ids", o.Details)
		}
		lines[i].ID = d.ID
	}
	wantEqual(t, "the lines", o.Details, lines)
	wantEqual(t, "the order as it is read", getOrder(t, s, o.ID), o)
	s.wantStock(t, "the order", quantities{"a": 7, "ü ☃": 0})
}

func testSameProductTwice(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	_, err := tryCreate(t, s, line("a", 6), line("a", 5))
	wantCode(t, "6 and 5 of 10", err, hangar.OutOfStock)
	want := hangar.NewOutOfStock(map[string]hangar.Shortage{"a": {Requested: 11, InStock: 10}})
	wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, want))
	s.wantStock(t, "the refusal", quantities{"a": 10})
	create(t, s, line("a", 6), line("a", 4))
	s.wantStock(t, "6 and 4 of 10", quantities{"a": 0})
}

func testRejectedOrder(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("b", 1), product("c", 0))
	_, err := tryCreate(t, s, line("a", 1), line("b", 2), line("c", 1))
	wantCode(t, "an order beyond the stock", err, hangar.OutOfStock)
	want := hangar.NewOutOfStock(map[string]hangar.Shortage{"b": {Requested: 2, InStock: 1}, "c": {Requested: 1, InStock: 0}})
	wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, want))
	s.wantStock(t, "the refusal", quantities{"a": 10, "b": 1, "c": 0})
	o := onlyOrder(t, s)
	if o.Status != hangar.Rejected || len(o.Details) != 3 {
		t.Errorf("the order: %+v, want rejected, with its 3 lines", o)
	}
	wantEqual(t, "the order as it is read", getOrder(t, s, o.ID), o)
}

func testMissingProduct(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	_, err := tryCreate(t, s, line("a", 1), line("missing", 1))
	wantCode(t, "an order of a missing product", err, hangar.ProductNotFound)
	wantEqual(t, "its message", err.Error(), "Product Id missing")
	s.wantStock(t, "the refusal", quantities{"a": 10})
	if o := onlyOrder(t, s); o.Status != hangar.Rejected {
		t.Errorf("the order: %+v, want rejected", o)
	}
}

func testLongOrder(t *testing.T, s Services) {
	s.put(t, product("a", hangar.MaxOrderLines), product("b", hangar.MaxOrderLines))
	lines := make([]hangar.OrderDetail, hangar.MaxOrderLines)
	for i := range lines {
		lines[i] = line([]string{"a", "b"}[i%2], 1)
		lines[i].Price = hangar.Price(i)
	}
	o := getOrder(t, s, create(t, s, lines...).ID)
	for i := range o.Details {
		lines[i].ID = o.Details[i].ID
	}
	wantEqual(t, "the lines", o.Details, lines)
	s.wantStock(t, "the order", quantities{"a": 500, "b": 500})
	_, err := tryCreate(t, s, append(lines, line("a", 1))...)
	wantCode(t, "an order of 1001 lines", err, hangar.ValidationError)
}

func testInvalidOrders(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	long := strings.Repeat("x", hangar.MaxProductID+1)
	for _, n := range []hangar.NewOrder{
		{},
		{Details: []hangar.OrderDetail{line("a", 0)}},
		{Details: []hangar.OrderDetail{line("a", -1)}},
		{Details: []hangar.OrderDetail{line("a", hangar.MaxQuantity+1)}},
		{Details: []hangar.OrderDetail{line("", 1)}},
		{Details: []hangar.OrderDetail{line(long, 1)}},
		{Details: []hangar.OrderDetail{line("a", 1), {ProductID: "a", Price: -1, Quantity: 1}}},
		{Details: []hangar.OrderDetail{{ProductID: "a", Price: hangar.MaxPrice + 1, Quantity: 1}}},
		{Details: []hangar.OrderDetail{line("a", 1)}, IdempotencyKey: strings.Repeat("k", hangar.MaxIdempotencyKey+1)},
	} {
		_, err := s.Orders.CreateOrder(t.Context(), n)
		wantCode(t, fmt.Sprintf("CreateOrder(%.100v)", n), err, hangar.ValidationError)
	}
	page, err := s.Orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: 10})
	if len(page.Items) != 0 || page.More || err != nil {
		t.Errorf("ListOrders after refusals = %+v, %v, want an empty page", page, err)
	}
	s.wantStock(t, "refusals", quantities{"a": 10})
}

func testOrderPages(t *testing.T, s Services) {
	for _, newest := range []bool{false, true} {
		page, err := s.Orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: 1, NewestFirst: newest})
		if len(page.Items) != 0 || page.More || err != nil {
			t.Errorf("ListOrders of nothing = %+v, %v, want an empty page", page, err)
		}
	}
	s.put(t, product("a", 10))
	var id [5]int64
	for i := range id {
		id[i] = create(t, s, line("a", 1), line("a", 1)).ID
	}
	for _, test := range []struct {
		q    hangar.OrderQuery
		want []int64
		more bool
	}{
		{hangar.OrderQuery{Limit: 2}, id[:2], true},
		{hangar.OrderQuery{Limit: 2, After: id[1]}, id[2:4], true},
		{hangar.OrderQuery{Limit: 2, After: id[3]}, id[4:], false},
		{hangar.OrderQuery{Limit: 3, After: id[1]}, id[2:], false},
		{hangar.OrderQuery{Limit: 2, After: id[4]}, nil, false},
		{hangar.OrderQuery{Limit: hangar.MaxPageSize}, id[:], false},
		{hangar.OrderQuery{Limit: 2, NewestFirst: true}, []int64{id[4], id[3]}, true},
		{hangar.OrderQuery{Limit: 2, After: id[3], NewestFirst: true}, []int64{id[2], id[1]}, true},
		{hangar.OrderQuery{Limit: 2, After: id[2], NewestFirst: true}, []int64{id[1], id[0]}, false},
		{hangar.OrderQuery{Limit: 2, After: id[0], NewestFirst: true}, nil, false},
	} {
		page, err := s.Orders.ListOrders(t.Context(), test.q)
		wantNil(t, fmt.Sprintf("ListOrders(%+v)", test.q), err)
		var got []int64
		for _, o := range page.Items {
			got = append(got, o.ID)
			if diff := cmp.Diff(getOrder(t, s, o.ID), o); diff != "" {
				t.Errorf("order %d of ListOrders(%+v) (-want +got):\n%s", o.ID, test.q, diff)
			}
		}
		wantEqual(t, fmt.Sprintf("ids of ListOrders(%+v)", test.q), got, test.want)
		if page.More != test.more {
			t.Errorf("ListOrders(%+v) says there are more: %v, want %v", test.q, page.More, test.more)
		}
	}
	for _, limit := range []int{-1, 0, hangar.MaxPageSize + 1} {
		_, err := s.Orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: limit})
		wantCode(t, fmt.Sprint("ListOrders with the limit ", limit), err, hangar.ValidationError)
	}
}

func testOrdersOfStatus(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	var id [6]int64
	for i := range id {
		id[i] = create(t, s, line("a", 1)).ID
	}
	for _, cancelled := range []int64{id[1], id[4]} {
		_, err := s.Orders.CancelOrder(t.Context(), cancelled)
		wantNil(t, "CancelOrder", err)
	}
	_, err := tryCreate(t, s, line("a", 7))
	wantCode(t, "an order beyond the stock", err, hangar.OutOfStock)
	wantNil(t, "DeleteOrder", s.Orders.DeleteOrder(t.Context(), id[2]))
	for _, test := range []struct {
		q    hangar.OrderQuery
		want []int64
		more bool
	}{
		{hangar.OrderQuery{Limit: 10, Status: hangar.Confirmed}, []int64{id[0], id[3], id[5]}, false},
		{hangar.OrderQuery{Limit: 2, Status: hangar.Confirmed}, []int64{id[0], id[3]}, true},
		{hangar.OrderQuery{Limit: 2, Status: hangar.Confirmed, After: id[0]}, []int64{id[3], id[5]}, false},
		{hangar.OrderQuery{Limit: 2, Status: hangar.Confirmed, After: id[1]}, []int64{id[3], id[5]}, false},
		{hangar.OrderQuery{Limit: 2, Status: hangar.Confirmed, NewestFirst: true}, []int64{id[5], id[3]}, true},
		{hangar.OrderQuery{Limit: 2, Status: hangar.Confirmed, NewestFirst: true, After: id[3]}, []int64{id[0]}, false},
		{hangar.OrderQuery{Limit: 2, Status: hangar.Cancelled}, []int64{id[1], id[4]}, false},
		{hangar.OrderQuery{Limit: 1, Status: hangar.Cancelled, NewestFirst: true}, []int64{id[4]}, true},
		{hangar.OrderQuery{Limit: 1, Status: hangar.Pending}, nil, false},
		{hangar.OrderQuery{Limit: 1, Status: hangar.Pending, NewestFirst: true}, nil, false},
	} {
		page, err := s.Orders.ListOrders(t.Context(), test.q)
		wantNil(t, fmt.Sprintf("ListOrders(%+v)", test.q), err)
		var got []int64
		for _, o := range page.Items {
			got = append(got, o.ID)
			wantEqual(t, fmt.Sprintf("order %d of ListOrders(%+v)", o.ID, test.q), o, getOrder(t, s, o.ID))
		}
		wantEqual(t, fmt.Sprintf("ids of ListOrders(%+v)", test.q), got, test.want)
		wantEqual(t, fmt.Sprintf("that ListOrders(%+v) says there are more", test.q), page.More, test.more)
	}
	page, err := s.Orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: 10, Status: hangar.Rejected})
	if err != nil || len(page.Items) != 1 || page.Items[0].ID <= id[5] || page.Items[0].Status != hangar.Rejected {
		t.Errorf("ListOrders of rejected ones = %+v, %v, want the last one", page, err)
	}
	for _, status := range []hangar.OrderStatus{"shipped", "Confirmed", "confirmed "} {
		_, err := s.Orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: 10, Status: status})
		want := hangar.NewValidationError(map[string]any{"status": []string{"Must be one of: pending, confirmed, rejected, cancelled."}})
		wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, want))
	}
}

func testUnknownOrderService(t *testing.T, s Services) {
	const id = 99999999
	_, err := s.Orders.Order(t.Context(), id)
	wantCode(t, "Order", err, hangar.OrderNotFound)
	wantEqual(t, "its message", err.Error(), "Order with id 99999999 not found")
	_, err = s.Orders.UpdateOrder(t.Context(), hangar.OrderUpdate{ID: id, Lines: []hangar.LineUpdate{{ID: 1, Price: 1, Quantity: 1}}})
	wantCode(t, "UpdateOrder", err, hangar.OrderNotFound)
	_, err = s.Orders.CancelOrder(t.Context(), id)
	wantCode(t, "CancelOrder", err, hangar.OrderNotFound)
	wantCode(t, "DeleteOrder", s.Orders.DeleteOrder(t.Context(), id), hangar.OrderNotFound)
}

func testOrderOfDeletedProduct(t *testing.T, s Services) {
	s.put(t, product("gone", 10), product("b", 10))
	o := create(t, s, line("gone", 2), line("b", 2))
	other := create(t, s, line("gone", 2))
	wantNil(t, "DeleteProduct", s.Products.DeleteProduct(t.Context(), "gone"))
	wantEqual(t, "the order", getOrder(t, s, o.ID), o)
	updated, err := s.Orders.UpdateOrder(t.Context(), update(o, 2, 5))
	wantNil(t, "UpdateOrder of the other line", err)
	s.wantStock(t, "an update", quantities{"b": 5})
	_, err = s.Orders.UpdateOrder(t.Context(), update(updated, 3, 5))
	wantCode(t, "UpdateOrder that needs more of the deleted product", err, hangar.ProductNotFound)
	cancelled, err := s.Orders.CancelOrder(t.Context(), o.ID)
	wantNil(t, "CancelOrder", err)
	wantEqual(t, "status of the cancelled order", cancelled.Status, hangar.Cancelled)
	wantNil(t, "DeleteOrder of the cancelled one", s.Orders.DeleteOrder(t.Context(), o.ID))
	wantNil(t, "DeleteOrder of the confirmed one", s.Orders.DeleteOrder(t.Context(), other.ID))
	s.wantStock(t, "giving back", quantities{"b": 10})
	_, err = s.Products.Product(t.Context(), "gone")
	wantCode(t, "the deleted product", err, hangar.ProductNotFound)
}
