package hangartest

import (
	"sync"
	"testing"

	"hangar"
	"hangar/products"
)

var takeTests = []subtest[products.Store]{
	{"Take takes once", testTakeOnce},
	{"Take goes below zero", testTakeBelowZero},
	{"Take passes over products that do not exist", testTakeUnknownProduct},
	{"Take after a Hold of that version or a later one changes nothing", testTakeAfterHold},
	{"Take is what a later Hold starts from", testTakeThenHold},
	{"one Take at once from many sides counts once", testTakeAtOnce},
}

func take(t *testing.T, s products.Store, h hangar.Hold) {
	t.Helper()
	wantNil(t, "Take "+h.ID, s.Take(t.Context(), h))
}

func testTakeOnce(t *testing.T, s products.Store) {
	put(t, s, product("a", 10), product("b", 10))
	for range 3 {
		take(t, s, hold("order-1", 1, quantities{"a": 3, "b": 1}))
	}
	wantStock(t, "taking 3 and 1, three times", s, quantities{"a": 7, "b": 9})
	take(t, s, hold("order-2", 1, quantities{"a": 3}))
	wantStock(t, "taking for another order", s, quantities{"a": 4, "b": 9})
	take(t, s, hold("order-1", 2, quantities{"a": 1}))
	wantStock(t, "taking for a newer version", s, quantities{"a": 6, "b": 10})
}

func testTakeBelowZero(t *testing.T, s products.Store) {
	put(t, s, product("a", 2))
	for range 2 {
		take(t, s, hold("order-1", 1, quantities{"a": 5}))
	}
	wantStock(t, "taking 5 of 2", s, quantities{"a": -3})
	err := s.Hold(t.Context(), hold("h", 1, quantities{"a": 1}))
	wantCode(t, "Hold of what is below zero", err, hangar.OutOfStock)
	want := hangar.NewOutOfStock(map[string]hangar.Shortage{"a": {Requested: 1, InStock: -3}})
	wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, want))
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("order-1", 2, nil)))
	wantStock(t, "giving back", s, quantities{"a": 2})
}

func testTakeUnknownProduct(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	take(t, s, hold("order-1", 1, quantities{"a": 1, "missing": 5}))
	wantStock(t, "taking", s, quantities{"a": 9})
	_, err := s.Product(t.Context(), "missing")
	wantCode(t, "the product that was passed over", err, hangar.ProductNotFound)
	list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10})
	wantNil(t, "List", err)
	wantEqual(t, "the list", idsOf(list), []string{"a"})
	put(t, s, product("missing", 10))
	take(t, s, hold("order-1", 1, quantities{"a": 1, "missing": 5}))
	wantStock(t, "taking again, now that it exists", s, quantities{"a": 9, "missing": 10})
}

func testTakeAfterHold(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 2, quantities{"a": 3})))
	for version := range int64(2) {
		take(t, s, hold("h", version+1, quantities{"a": 5}))
	}
	wantStock(t, "taking what is held", s, quantities{"a": 7})
	wantCode(t, "Hold beyond the stock", s.Hold(t.Context(), hold("i", 1, quantities{"a": 8})), hangar.OutOfStock)
	take(t, s, hold("i", 1, quantities{"a": 8}))
	wantStock(t, "taking what was refused", s, quantities{"a": 7})
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("j", 2, nil)))
	take(t, s, hold("j", 1, quantities{"a": 1}))
	wantStock(t, "taking what was cancelled", s, quantities{"a": 7})
}

func testTakeThenHold(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	take(t, s, hold("h", 1, quantities{"a": 3}))
	wantNil(t, "Hold of the version that was taken", s.Hold(t.Context(), hold("h", 1, quantities{"a": 3})))
	wantStock(t, "holding what was taken", s, quantities{"a": 7})
	wantNil(t, "Hold of the next version", s.Hold(t.Context(), hold("h", 2, quantities{"a": 10})))
	wantStock(t, "holding more than was taken", s, quantities{"a": 0})
}

func testTakeAtOnce(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := s.Take(t.Context(), hold("order-1", 1, quantities{"a": 3})); err != nil {
				t.Errorf("Take: %v, want no error", err)
			}
		})
	}
	wg.Wait()
	wantStock(t, "taking 3, 20 times at once", s, quantities{"a": 7})
}
