package hangartest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"hangar"
)

var orderChangeTests = []subtest[Services]{
	{"an update moves the stock up and down", testUpdateOrder},
	{"an update of one line leaves the others", testUpdateOneLine},
	{"an update beyond the stock leaves the order as it was", testUpdateRefused},
	{"an update that is not valid changes nothing", testInvalidUpdates},
	{"an order is cancelled once", testCancelOrder},
	{"a rejected order cannot be changed", testChangeRejected},
	{"a deleted order gives its stock back and is gone", testDeleteOrder},
	{"an order is cancelled at once from many sides", testCancelAtOnce},
}

var idempotencyTests = []subtest[Services]{
	{"a key replays an order", testKeyReplays},
	{"a key replays a refusal", testKeyReplaysRefusal},
	{"a key with another order is refused", testKeyReused},
	{"a key replays an order that was deleted", testKeyAfterDeletion},
	{"a key that came with an invalid order is free", testKeyOfInvalidOrder},
	{"a key at once from many sides makes one order", testKeyAtOnce},
	{"keys may be any text", testKeyTexts},
}

// update sets the quantities of an order's lines.
func update(o hangar.Order, quantities ...int64) hangar.OrderUpdate {
	u := hangar.OrderUpdate{ID: o.ID}
	for i, q := range quantities {
		u.Lines = append(u.Lines, hangar.LineUpdate{ID: o.Details[i].ID, Price: o.Details[i].Price, Quantity: q})
	}
	return u
}

func testUpdateOrder(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("b", 10))
	o := create(t, s, line("a", 3), line("b", 3), line("a", 1))
	for _, test := range []struct {
		quantities []int64
		stock      quantities
	}{
		{[]int64{5, 1, 2}, quantities{"a": 3, "b": 9}},
		{[]int64{1, 10, 9}, quantities{"a": 0, "b": 0}},
		{[]int64{1, 1, 1}, quantities{"a": 8, "b": 9}},
		{[]int64{1, 1, 1}, quantities{"a": 8, "b": 9}},
	} {
		before := getOrder(t, s, o.ID)
		updated, err := s.Orders.UpdateOrder(t.Context(), update(o, test.quantities...))
		wantNil(t, fmt.Sprint("UpdateOrder to ", test.quantities), err)
		want := before
		want.Version = before.Version + 1
		want.Details = append([]hangar.OrderDetail(nil), before.Details...)
		for i, q := range test.quantities {
			want.Details[i].Quantity = q
		}
		wantEqual(t, "the order after its update", updated, want)
		wantEqual(t, "the order as it is read", getOrder(t, s, o.ID), updated)
		s.wantStock(t, fmt.Sprint("an update to ", test.quantities), test.stock)
	}
}

func testUpdateOneLine(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	o := create(t, s, line("a", 1), line("a", 2))
	u := hangar.OrderUpdate{ID: o.ID, Lines: []hangar.LineUpdate{{ID: o.Details[1].ID, ProductID: "a", Price: 0, Quantity: 4}}}
	updated, err := s.Orders.UpdateOrder(t.Context(), u)
	wantNil(t, "UpdateOrder", err)
	want := append([]hangar.OrderDetail(nil), o.Details...)
	want[1].Price, want[1].Quantity = 0, 4
	wantEqual(t, "the lines", updated.Details, want)
	s.wantStock(t, "the update", quantities{"a": 5})
}

func testUpdateRefused(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("b", 10))
	o := create(t, s, line("a", 3), line("b", 3))
	_, err := s.Orders.UpdateOrder(t.Context(), update(o, 1, 14))
	wantCode(t, "UpdateOrder beyond the stock", err, hangar.OutOfStock)
	want := hangar.NewOutOfStock(map[string]hangar.Shortage{"b": {Requested: 11, InStock: 7}})
	wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, want))
	got := getOrder(t, s, o.ID)
	wantEqual(t, "the lines after the refusal", got.Details, o.Details)
	wantEqual(t, "the status after the refusal", got.Status, hangar.Confirmed)
	s.wantStock(t, "the refusal", quantities{"a": 7, "b": 7})
	_, err = s.Orders.UpdateOrder(t.Context(), update(o, 1, 10))
	wantNil(t, "UpdateOrder to all there is", err)
	s.wantStock(t, "an update to all there is", quantities{"a": 9, "b": 0})
}

func testInvalidUpdates(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("b", 10))
	other := create(t, s, line("a", 1))
	o := create(t, s, line("a", 3), line("b", 3))
	first := hangar.LineUpdate{ID: o.Details[0].ID, Price: 1, Quantity: 1}
	for _, test := range []struct {
		name, complaint string
		lines           []hangar.LineUpdate
	}{
		{"no lines", "Shorter than minimum length 1.", nil},
		{"an unknown line", "Not a line of this order.", []hangar.LineUpdate{first, {ID: 1 << 40, Price: 1, Quantity: 1}}},
		{"another order's line", "Not a line of this order.", []hangar.LineUpdate{{ID: other.Details[0].ID, Price: 1, Quantity: 1}}},
		{"a line twice", "Named more than once.", []hangar.LineUpdate{first, first}},
		{"another product", "Cannot be changed.", []hangar.LineUpdate{{ID: first.ID, ProductID: "b", Price: 1, Quantity: 1}}},
		{"no quantity", "Must be at least 1.", []hangar.LineUpdate{{ID: first.ID, Price: 1}}},
		{"a price below 0", "Must be at least 0.", []hangar.LineUpdate{{ID: first.ID, Price: -1, Quantity: 1}}},
	} {
		_, err := s.Orders.UpdateOrder(t.Context(), hangar.OrderUpdate{ID: o.ID, Lines: test.lines})
		wantCode(t, "UpdateOrder with "+test.name, err, hangar.ValidationError)
		if !strings.Contains(asSeen(t, err), test.complaint) {
			t.Errorf("UpdateOrder with %s: %s, want %q in it", test.name, asSeen(t, err), test.complaint)
		}
	}
	wantEqual(t, "the order after the refusals", getOrder(t, s, o.ID), o)
	s.wantStock(t, "the refusals", quantities{"a": 6, "b": 7})
}

func testCancelOrder(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	create(t, s, line("a", 1))
	o := create(t, s, line("a", 3), line("a", 1))
	want := o
	for range 3 {
		got, err := s.Orders.CancelOrder(t.Context(), o.ID)
		wantNil(t, "CancelOrder", err)
		want.Status, want.Version = hangar.Cancelled, o.Version+1
		wantEqual(t, "the cancelled order", got, want)
		wantEqual(t, "the cancelled order as it is read", getOrder(t, s, o.ID), want)
		s.wantStock(t, "a cancellation", quantities{"a": 9})
	}
	_, err := s.Orders.UpdateOrder(t.Context(), update(o, 1))
	wantCode(t, "UpdateOrder of a cancelled one", err, hangar.OrderNotConfirmed)
	s.wantStock(t, "a refused update", quantities{"a": 9})
}

func testChangeRejected(t *testing.T, s Services) {
	s.put(t, product("a", 1))
	_, err := tryCreate(t, s, line("a", 2))
	wantCode(t, "an order beyond the stock", err, hangar.OutOfStock)
	s.put(t, product("a", 10))
	o := onlyOrder(t, s)
	_, err = s.Orders.CancelOrder(t.Context(), o.ID)
	wantCode(t, "CancelOrder of a rejected one", err, hangar.OrderNotConfirmed)
	_, err = s.Orders.UpdateOrder(t.Context(), update(o, 1))
	wantCode(t, "UpdateOrder of a rejected one", err, hangar.OrderNotConfirmed)
	wantEqual(t, "the order after the refusals", getOrder(t, s, o.ID), o)
	s.wantStock(t, "the refusals", quantities{"a": 10})
}

func testDeleteOrder(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	confirmed, cancelled, kept := create(t, s, line("a", 1)), create(t, s, line("a", 2)), create(t, s, line("a", 3))
	_, err := s.Orders.CancelOrder(t.Context(), cancelled.ID)
	wantNil(t, "CancelOrder", err)
	_, err = tryCreate(t, s, line("a", 99))
	wantCode(t, "an order beyond the stock", err, hangar.OutOfStock)
	page, err := s.Orders.ListOrders(t.Context(), hangar.OrderQuery{Limit: 1, NewestFirst: true})
	wantNil(t, "ListOrders", err)
	rejected := page.Items[0]
	for _, o := range []hangar.Order{confirmed, cancelled, rejected} {
		wantNil(t, fmt.Sprintf("DeleteOrder(%d)", o.ID), s.Orders.DeleteOrder(t.Context(), o.ID))
		_, err := s.Orders.Order(t.Context(), o.ID)
		wantCode(t, "Order of a deleted one", err, hangar.OrderNotFound)
		_, err = s.Orders.CancelOrder(t.Context(), o.ID)
		wantCode(t, "CancelOrder of a deleted one", err, hangar.OrderNotFound)
		_, err = s.Orders.UpdateOrder(t.Context(), update(o, 1))
		wantCode(t, "UpdateOrder of a deleted one", err, hangar.OrderNotFound)
		wantCode(t, "DeleteOrder of a deleted one", s.Orders.DeleteOrder(t.Context(), o.ID), hangar.OrderNotFound)
		s.wantStock(t, "deletions", quantities{"a": 7})
	}
	wantEqual(t, "the order that is left", onlyOrder(t, s), kept)
}

func testCancelAtOnce(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	o := create(t, s, line("a", 4))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			_, err := s.Orders.CancelOrder(t.Context(), o.ID)
			if code := hangar.CodeOf(err); err != nil && code != hangar.Conflict {
				t.Errorf("CancelOrder at once with others: %v, want no error or CONFLICT", err)
			}
		})
	}
	wg.Wait()
	_, err := s.Orders.CancelOrder(t.Context(), o.ID)
	wantNil(t, "CancelOrder", err)
	s.wantStock(t, "cancelling 20 times at once", quantities{"a": 10})
}

func keyed(key string, lines ...hangar.OrderDetail) hangar.NewOrder {
	return hangar.NewOrder{Details: lines, IdempotencyKey: key}
}

func testKeyReplays(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	first, err := s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 2)))
	if err != nil || first.Replayed {
		t.Fatalf("CreateOrder = %+v, %v, want a new order", first, err)
	}
	for range 2 {
		again, err := s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 2)))
		wantNil(t, "CreateOrder with the same key", err)
		wantEqual(t, "the replayed order", again, hangar.OrderCreation{Order: first.Order, Replayed: true})
	}
	s.wantStock(t, "one order, three times", quantities{"a": 8})
	onlyOrder(t, s)
	_, err = s.Orders.CancelOrder(t.Context(), first.Order.ID)
	wantNil(t, "CancelOrder", err)
	again, err := s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 2)))
	if err != nil || !again.Replayed || again.Order.ID != first.Order.ID {
		t.Errorf("CreateOrder with the key of a cancelled order = %+v, %v, want order %d replayed", again, err, first.Order.ID)
	}
	s.wantStock(t, "a cancellation", quantities{"a": 10})
}

func testKeyReplaysRefusal(t *testing.T, s Services) {
	s.put(t, product("a", 1), product("ü", 0))
	for _, n := range []hangar.NewOrder{keyed("short", line("a", 2), line("ü", 1)), keyed("missing", line("missing", 1))} {
		_, first := s.Orders.CreateOrder(t.Context(), n)
		if first == nil {
			t.Fatalf("CreateOrder(%+v) succeeded, want it refused", n)
		}
		s.put(t, product("a", 10), product("ü", 10), product("missing", 10))
		for range 2 {
			created, again := s.Orders.CreateOrder(t.Context(), n)
			wantEqual(t, "the replayed refusal", asSeen(t, again), asSeen(t, first))
			if !created.Replayed {
				t.Errorf("CreateOrder(%+v) again: %+v, want it replayed", n, created)
			}
		}
		s.wantStock(t, "refusals", quantities{"a": 10, "ü": 10, "missing": 10})
		wantNil(t, "DeleteProduct", s.Products.DeleteProduct(t.Context(), "missing"))
	}
}

func testKeyReused(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("b", 10))
	_, err := s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 2), line("b", 1)))
	wantNil(t, "CreateOrder", err)
	cheaper := line("a", 2)
	cheaper.Price--
	for _, lines := range [][]hangar.OrderDetail{
		{line("a", 2)},
		{line("a", 2), line("b", 2)},
		{line("b", 1), line("a", 2)},
		{line("a", 2), line("b", 1), line("b", 1)},
		{cheaper, line("b", 1)},
	} {
		_, err := s.Orders.CreateOrder(t.Context(), keyed("k", lines...))
		wantCode(t, fmt.Sprintf("the key with %+v", lines), err, hangar.IdempotencyKeyReused)
	}
	s.wantStock(t, "refusals", quantities{"a": 8, "b": 9})
	onlyOrder(t, s)
}

func testKeyAfterDeletion(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	first, err := s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 2)))
	wantNil(t, "CreateOrder", err)
	wantNil(t, "DeleteOrder", s.Orders.DeleteOrder(t.Context(), first.Order.ID))
	again, err := s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 2)))
	if err != nil || !again.Replayed || again.Order.ID != first.Order.ID {
		t.Errorf("CreateOrder with the key of a deleted order = %+v, %v, want order %d replayed", again, err, first.Order.ID)
	}
	_, err = s.Orders.Order(t.Context(), first.Order.ID)
	wantCode(t, "the deleted order", err, hangar.OrderNotFound)
	s.wantStock(t, "the deletion", quantities{"a": 10})
}

func testKeyOfInvalidOrder(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	_, err := s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 0)))
	wantCode(t, "CreateOrder that is not valid", err, hangar.ValidationError)
	created, err := s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 1)))
	if err != nil || created.Replayed {
		t.Errorf("CreateOrder with the same key = %+v, %v, want a new order", created, err)
	}
	onlyOrder(t, s)
}

func testKeyAtOnce(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("b", 10))
	created, errs := make([]hangar.OrderCreation, 50), make([]error, 50)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			created[i], errs[i] = s.Orders.CreateOrder(t.Context(), keyed("k", line("a", 2)))
			_, err := s.Orders.CreateOrder(t.Context(), keyed("refused", line("b", 11)))
			if hangar.CodeOf(err) != hangar.OutOfStock {
				t.Errorf("CreateOrder beyond the stock: %v, want OUT_OF_STOCK", err)
			}
		})
	}
	wg.Wait()
	fresh := 0
	for i := range errs {
		wantNil(t, "CreateOrder", errs[i])
		if created[i].Order.ID != created[0].Order.ID {
			t.Errorf("one key made the orders %d and %d", created[0].Order.ID, created[i].Order.ID)
		}
		if !created[i].Replayed {
			fresh++
		}
	}
	if fresh != 1 {
		t.Errorf("50 requests with one key: %d say that theirs is new, want 1", fresh)
	}
	s.wantStock(t, "50 requests with one key", quantities{"a": 8, "b": 10})
}

func testKeyTexts(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	for _, key := range []string{"k", "K", "k ", "ü☃", strings.Repeat("☃", hangar.MaxIdempotencyKey)} {
		for try := range 2 {
			created, err := s.Orders.CreateOrder(t.Context(), keyed(key, line("a", 1)))
			if err != nil || created.Replayed != (try > 0) {
				t.Errorf("CreateOrder with the key %.10q, request %d = %+v, %v", key, try+1, created, err)
			}
		}
	}
	s.wantStock(t, "five keys", quantities{"a": 5})
}
