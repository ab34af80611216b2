package hangartest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"hangar"
)

var restockServiceTests = []subtest[Services]{
	{"a restock adds to the present stock", testRestockService},
	{"a restock with a key adds once", testRestockKey},
	{"a restock that is not valid changes nothing", testInvalidRestocks},
	{"a restock of an unknown product is not found", testRestockUnknownService},
	{"restocks and orders at once add up", testRestockAndSell},
	{"holds are counted", testStockStatistics},
}

// restock wants the stock to be that much afterwards.
func (s Services) restock(t *testing.T, r hangar.Restock, want int64, replayed bool) {
	t.Helper()
	got, err := s.Products.Restock(t.Context(), r)
	wantNil(t, fmt.Sprintf("Restock(%+v)", r), err)
	wantEqual(t, fmt.Sprintf("Restock(%+v)", r), got, hangar.Restocked{Product: product(r.ID, want), Replayed: replayed})
	s.wantStock(t, "a restock", quantities{r.ID: want})
}

func testRestockService(t *testing.T, s Services) {
	s.put(t, product("ü ☃", 10))
	s.restock(t, hangar.Restock{ID: "ü ☃", Quantity: 5}, 15, false)
	create(t, s, line("ü ☃", 4))
	s.restock(t, hangar.Restock{ID: "ü ☃", Quantity: 5}, 16, false)
	s.restock(t, hangar.Restock{ID: "ü ☃", Quantity: hangar.MaxInteger - 16}, hangar.MaxInteger, false)
	_, err := s.Products.Restock(t.Context(), hangar.Restock{ID: "ü ☃", Quantity: 1})
	wantCode(t, "Restock of a full product", err, hangar.ValidationError)
	wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, hangar.NewOverstocked()))
}

func testRestockKey(t *testing.T, s Services) {
	s.put(t, product("a", 10), product("b", 10))
	r := hangar.Restock{ID: "a", Quantity: 5, IdempotencyKey: strings.Repeat("☃", hangar.MaxIdempotencyKey)}
	s.restock(t, r, 15, false)
	s.restock(t, r, 15, true)
	create(t, s, line("a", 4))
	s.restock(t, r, 11, true)
	for _, other := range []hangar.Restock{
		{ID: "a", Quantity: 6, IdempotencyKey: r.IdempotencyKey},
		{ID: "b", Quantity: 5, IdempotencyKey: r.IdempotencyKey},
	} {
		_, err := s.Products.Restock(t.Context(), other)
		wantCode(t, fmt.Sprintf("Restock(%+v) with a used key", other), err, hangar.IdempotencyKeyReused)
		wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, hangar.NewRestockKeyReused()))
	}
	// An order's key is another one, and so is a hold's.
	r.IdempotencyKey = "k"
	_, err := s.Orders.CreateOrder(t.Context(), hangar.NewOrder{Details: []hangar.OrderDetail{line("a", 1)}, IdempotencyKey: "k"})
	wantNil(t, "CreateOrder", err)
	wantNil(t, "Hold", s.Stock.Hold(t.Context(), hold("restock-k", 1, quantities{"b": 1})))
	s.restock(t, r, 15, false)
	r.IdempotencyKey = "K"
	s.restock(t, r, 20, false)
	s.wantStock(t, "refusals", quantities{"a": 20, "b": 9})
}

func testInvalidRestocks(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	for _, r := range []hangar.Restock{
		{ID: "a"},
		{ID: "a", Quantity: -1},
		{ID: "a", Quantity: hangar.MaxInteger + 1},
		{ID: "a", Quantity: hangar.MaxInteger},
		{ID: "a", Quantity: 1, IdempotencyKey: strings.Repeat("k", hangar.MaxIdempotencyKey+1)},
		{ID: "a", Quantity: 1, IdempotencyKey: "\x00"},
	} {
		_, err := s.Products.Restock(t.Context(), r)
		wantCode(t, fmt.Sprintf("Restock(%.100v)", r), err, hangar.ValidationError)
	}
	s.wantStock(t, "refusals", quantities{"a": 10})
}

func testRestockUnknownService(t *testing.T, s Services) {
	for _, id := range []string{"missing", "", ".."} {
		for range 2 {
			_, err := s.Products.Restock(t.Context(), hangar.Restock{ID: id, Quantity: 1, IdempotencyKey: "k"})
			wantCode(t, fmt.Sprintf("Restock of %q", id), err, hangar.ProductNotFound)
			wantEqual(t, "its message", err.Error(), "Product ID "+id+" does not exist")
		}
	}
	page, err := s.Products.ListProducts(t.Context(), hangar.ProductQuery{Limit: 10})
	if len(page.Items) != 0 || err != nil {
		t.Errorf("ListProducts after refusals = %+v, %v, want an empty page", page, err)
	}
	s.put(t, product("missing", 1))
	s.restock(t, hangar.Restock{ID: "missing", Quantity: 1, IdempotencyKey: "k"}, 2, false)
}

func testRestockAndSell(t *testing.T, s Services) {
	const clients = 50
	s.put(t, product("a", clients))
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() {
			if err := keepBuying(t.Context(), s.Orders, line("a", 1)); err != nil {
				t.Errorf("CreateOrder: %v, want no error", err)
			}
		})
		wg.Go(func() {
			r := hangar.Restock{ID: "a", Quantity: 10, IdempotencyKey: fmt.Sprint("k", i%10)}
			if _, err := s.Products.Restock(t.Context(), r); err != nil {
				t.Errorf("Restock: %v, want no error", err)
			}
		})
	}
	wg.Wait()
	s.wantStock(t, "50 orders of 1, and 10 restocks of 10 five times each", quantities{"a": 100})
}

func testStockStatistics(t *testing.T, s Services) {
	s.put(t, product("a", 10))
	counted := func(what string, before hangar.StockStatistics, holds, refusals int64) hangar.StockStatistics {
		t.Helper()
		got, err := s.Products.StockStatistics(t.Context())
		wantNil(t, "StockStatistics", err)
		want := hangar.StockStatistics{Instance: got.Instance, Holds: before.Holds + holds, Refusals: before.Refusals + refusals}
		wantEqual(t, "StockStatistics after "+what, got, want)
		return got
	}
	at := counted("the start", hangar.StockStatistics{}, 0, 0)
	if at.Instance == "" {
		t.Error("StockStatistics has no Instance, want one")
	}
	wantNil(t, "Hold", s.Stock.Hold(t.Context(), hold("h", 1, quantities{"a": 4})))
	at = counted("a hold", at, 1, 0)
	wantCode(t, "Hold", s.Stock.Hold(t.Context(), hold("i", 1, quantities{"a": 7})), hangar.OutOfStock)
	wantCode(t, "Hold", s.Stock.Hold(t.Context(), hold("j", 1, quantities{"missing": 1})), hangar.ProductNotFound)
	at = counted("two refusals", at, 0, 2)
	wantNil(t, "Hold", s.Stock.Hold(t.Context(), hold("h", 2, nil)))
	wantCode(t, "Hold", s.Stock.Hold(t.Context(), hold("h", 1, quantities{"a": 4})), hangar.Conflict)
	wantCode(t, "Hold", s.Stock.Hold(t.Context(), hold("k", 1, quantities{"a": 0})), hangar.ValidationError)
	counted("giving back, and what cannot be held", at, 0, 0)
}
