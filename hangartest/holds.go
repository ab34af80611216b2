package hangartest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"hangar"
	"hangar/products"
)

type quantities = map[string]int64

func hold(id string, version int64, q quantities) hangar.Hold {
	return hangar.Hold{ID: id, Version: version, Quantities: q}
}

var holdTests = []subtest[products.Store]{
	{"Hold takes all products or none", testHoldAllOrNone},
	{"Hold takes the last unit and not one more", testHoldLastUnit},
	{"Hold that is repeated changes nothing", testHoldRepeated},
	{"Hold that was refused stays refused", testHoldRefusedAgain},
	{"Hold with an old version is a conflict", testHoldStale},
	{"Hold follows updates up and down", testHoldUpdates},
	{"Hold of an update that is refused leaves what was held", testHoldUpdateRefused},
	{"Hold of nothing gives back once", testHoldNothing},
	{"Hold of nothing keeps a late first version out", testHoldLateFirst},
	{"Hold of a product that does not exist is refused", testHoldUnknownProduct},
	{"Hold says what is short of which product", testHoldShortages},
	{"Hold never brings a deleted product back", testHoldDeletedProduct},
	{"Hold of 1000 products", testHoldManyProducts},
	{"Hold believes Before only without a marker", testHoldBefore},
	{"Hold with Before that is refused remembers Before", testHoldBeforeRefused},
	{"holds are apart from each other", testHoldsApart},
	{"500 at once buy 100 units", testHoldAtOnce},
	{"one Hold at once from many sides counts once", testHoldSameAtOnce},
	{"SweepHolds forgets what is older", testSweepHolds},
}

func testHoldAllOrNone(t *testing.T, s products.Store) {
	put(t, s, product("a", 5), product("b", 2), product("c", 5), product("d", 5))
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 1, "b": 2, "c": 5})))
	wantStock(t, "a hold", s, quantities{"a": 4, "b": 0, "c": 0, "d": 5})
	err := s.Hold(t.Context(), hold("i", 1, quantities{"a": 1, "b": 1, "d": 1}))
	wantCode(t, "Hold of a product that is short", err, hangar.OutOfStock)
	err = s.Hold(t.Context(), hold("j", 1, quantities{"a": 1, "missing": 1, "d": 1}))
	wantCode(t, "Hold of a product that is missing", err, hangar.ProductNotFound)
	wantStock(t, "two refusals", s, quantities{"a": 4, "b": 0, "c": 0, "d": 5})
}

func testHoldLastUnit(t *testing.T, s products.Store) {
	put(t, s, product("a", 1))
	wantNil(t, "Hold of the last unit", s.Hold(t.Context(), hold("h", 1, quantities{"a": 1})))
	wantCode(t, "Hold of one more", s.Hold(t.Context(), hold("i", 1, quantities{"a": 1})), hangar.OutOfStock)
	wantStock(t, "both", s, quantities{"a": 0})
}

func testHoldRepeated(t *testing.T, s products.Store) {
	put(t, s, product("a", 10), product("b", 10))
	for range 3 {
		wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 3})))
	}
	wantStock(t, "a hold and its repetitions", s, quantities{"a": 7})
	// The first answer stands, whatever else is asked for.
	wantNil(t, "Hold of the same version", s.Hold(t.Context(), hold("h", 1, quantities{"a": 99, "b": 1, "missing": 1})))
	wantStock(t, "the same version with other quantities", s, quantities{"a": 7, "b": 10})
	for range 3 {
		wantNil(t, "Hold of the next version", s.Hold(t.Context(), hold("h", 5, quantities{"a": 4})))
	}
	wantStock(t, "the next version and its repetitions", s, quantities{"a": 6})
}

func testHoldRefusedAgain(t *testing.T, s products.Store) {
	put(t, s, product("a", 1), product("ü", 2))
	for _, test := range []struct {
		hold hangar.Hold
		code hangar.Code
	}{
		{hold("short", 1, quantities{"a": 2, "ü": 1 << 40}), hangar.OutOfStock},
		{hold("missing", 3, quantities{"a": 1, "missing": 1}), hangar.ProductNotFound},
	} {
		first := s.Hold(t.Context(), test.hold)
		wantCode(t, "Hold "+test.hold.ID, first, test.code)
		put(t, s, product("a", 100), product("missing", 100), product("ü", 1<<50))
		for range 2 {
			again := s.Hold(t.Context(), test.hold)
			wantCode(t, "Hold "+test.hold.ID+" again", again, test.code)
			wantEqual(t, "the refusal that was repeated", asSeen(t, again), asSeen(t, first))
		}
		wantStock(t, "refusals", s, quantities{"a": 100, "missing": 100})
		next := test.hold
		next.Version++
		wantNil(t, "the next version, now that there is enough", s.Hold(t.Context(), next))
		wantNil(t, "Delete", s.Delete(t.Context(), "missing"))
		put(t, s, product("a", 1), product("ü", 2))
	}
}

func testHoldStale(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 3, quantities{"a": 3})))
	for _, stale := range []hangar.Hold{
		hold("h", 1, quantities{"a": 5}),
		hold("h", 2, nil),
		hold("h", 2, quantities{"missing": 1}),
		{ID: "h", Version: 2, Quantities: quantities{"a": 1}, Before: quantities{"a": 9}},
	} {
		wantCode(t, fmt.Sprintf("Hold(%+v) after version 3", stale), s.Hold(t.Context(), stale), hangar.Conflict)
	}
	wantStock(t, "stale versions", s, quantities{"a": 7})
	wantCode(t, "Hold beyond the stock", s.Hold(t.Context(), hold("h", 5, quantities{"a": 11})), hangar.OutOfStock)
	wantCode(t, "Hold older than a refused one", s.Hold(t.Context(), hold("h", 4, quantities{"a": 1})), hangar.Conflict)
	wantStock(t, "a version older than a refused one", s, quantities{"a": 7})
}

func testHoldUpdates(t *testing.T, s products.Store) {
	put(t, s, product("a", 10), product("b", 10))
	for version, step := range []struct{ hold, stock quantities }{
		{quantities{"a": 3}, quantities{"a": 7, "b": 10}},
		{quantities{"a": 10}, quantities{"a": 0, "b": 10}}, // all there is counts what it holds itself
		{quantities{"a": 2, "b": 4}, quantities{"a": 8, "b": 6}},
		{quantities{"b": 10}, quantities{"a": 10, "b": 0}},
		{quantities{"b": 10}, quantities{"a": 10, "b": 0}},
		{nil, quantities{"a": 10, "b": 10}},
		{quantities{"a": 1}, quantities{"a": 9, "b": 10}},
	} {
		h := hold("h", int64(version+1), step.hold)
		wantNil(t, fmt.Sprintf("Hold(%+v)", h), s.Hold(t.Context(), h))
		wantStock(t, fmt.Sprintf("Hold(%+v)", h), s, step.stock)
	}
}

func testHoldUpdateRefused(t *testing.T, s products.Store) {
	put(t, s, product("a", 10), product("b", 1))
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 4})))
	refused := s.Hold(t.Context(), hold("h", 2, quantities{"a": 1, "b": 2}))
	wantCode(t, "an update beyond the stock", refused, hangar.OutOfStock)
	wantStock(t, "a refused update", s, quantities{"a": 6, "b": 1})
	wantCode(t, "the first version after a refused one", s.Hold(t.Context(), hold("h", 1, quantities{"a": 4})), hangar.Conflict)
	wantCode(t, "an update to a missing product", s.Hold(t.Context(), hold("h", 3, quantities{"missing": 2})), hangar.ProductNotFound)
	wantStock(t, "two refused updates", s, quantities{"a": 6, "b": 1})
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("h", 4, nil)))
	wantStock(t, "giving back", s, quantities{"a": 10, "b": 1})
}

func testHoldNothing(t *testing.T, s products.Store) {
	put(t, s, product("a", 10), product("b", 10))
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 4, "b": 1})))
	for _, h := range []hangar.Hold{hold("h", 2, nil), hold("h", 2, quantities{}), hold("h", 3, nil)} {
		wantNil(t, fmt.Sprintf("Hold(%+v)", h), s.Hold(t.Context(), h))
		wantStock(t, fmt.Sprintf("Hold(%+v)", h), s, quantities{"a": 10, "b": 10})
	}
	wantCode(t, "the first version, late", s.Hold(t.Context(), hold("h", 1, quantities{"a": 4})), hangar.Conflict)
	wantStock(t, "the first version, late", s, quantities{"a": 10, "b": 10})
}

func testHoldLateFirst(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	wantNil(t, "Hold of nothing by an order that holds nothing", s.Hold(t.Context(), hold("h", 2, nil)))
	wantCode(t, "its first version, late", s.Hold(t.Context(), hold("h", 1, quantities{"a": 4})), hangar.Conflict)
	wantStock(t, "a late first version", s, quantities{"a": 10})
}

func testHoldUnknownProduct(t *testing.T, s products.Store) {
	put(t, s, product("a", 1))
	for i, q := range []quantities{{"missing": 1}, {"a": 1, "missing": 1}, {"a": 99, "missing": 1}} {
		err := s.Hold(t.Context(), hold(fmt.Sprint("h", i), 1, q))
		wantCode(t, fmt.Sprintf("Hold of %v", q), err, hangar.ProductNotFound)
		if want := "Product Id missing"; err.Error() != want {
			t.Errorf("Hold of %v: %q, want %q", q, err, want)
		}
	}
	_, err := s.Product(t.Context(), "missing")
	wantCode(t, "the product that was asked for", err, hangar.ProductNotFound)
}

func testHoldShortages(t *testing.T, s products.Store) {
	put(t, s, product("a", 3), product("b", 5), product("ü", 0))
	err := s.Hold(t.Context(), hold("h", 1, quantities{"ü": 1, "a": 4, "b": 5}))
	want := hangar.NewOutOfStock(map[string]hangar.Shortage{
		"a": {Requested: 4, InStock: 3},
		"ü": {Requested: 1, InStock: 0},
	})
	wantCode(t, "Hold", err, hangar.OutOfStock)
	wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, want))
	// Of an update, what is asked for beyond what the order holds already.
	wantNil(t, "Hold", s.Hold(t.Context(), hold("i", 1, quantities{"a": 2})))
	err = s.Hold(t.Context(), hold("i", 2, quantities{"a": 4}))
	want = hangar.NewOutOfStock(map[string]hangar.Shortage{"a": {Requested: 2, InStock: 1}})
	wantCode(t, "Hold of an update", err, hangar.OutOfStock)
	wantEqual(t, "the refusal of an update", asSeen(t, err), asSeen(t, want))
}

func testHoldDeletedProduct(t *testing.T, s products.Store) {
	put(t, s, product("a", 10), product("b", 10))
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 2, "b": 2})))
	wantNil(t, "Delete", s.Delete(t.Context(), "a"))
	wantNil(t, "Hold that is repeated", s.Hold(t.Context(), hold("h", 1, quantities{"a": 2, "b": 2})))
	wantNil(t, "an update that does not touch it", s.Hold(t.Context(), hold("h", 2, quantities{"a": 2, "b": 3})))
	wantCode(t, "an update that needs more of it", s.Hold(t.Context(), hold("h", 3, quantities{"a": 3, "b": 3})), hangar.ProductNotFound)
	wantNil(t, "an update that needs less of it", s.Hold(t.Context(), hold("h", 4, quantities{"a": 1, "b": 4})))
	wantStock(t, "updates", s, quantities{"b": 6})
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("h", 5, nil)))
	wantStock(t, "giving back", s, quantities{"b": 10})
	_, err := s.Product(t.Context(), "a")
	wantCode(t, "the deleted product", err, hangar.ProductNotFound)
	list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10})
	wantNil(t, "List", err)
	wantEqual(t, "the list", idsOf(list), []string{"b"})
}

func testHoldManyProducts(t *testing.T, s products.Store) {
	q := quantities{}
	for i := range hangar.MaxOrderLines {
		id := fmt.Sprintf("p%04d", i)
		q[id] = int64(i + 1)
	}
	var wg sync.WaitGroup
	for id, n := range q {
		wg.Go(func() {
			if err := s.Put(t.Context(), product(id, n)); err != nil {
				t.Errorf("Put %s: %v, want no error", id, err)
			}
		})
	}
	wg.Wait()
	wantNil(t, "Hold of 1000 products", s.Hold(t.Context(), hold("h", 1, q)))
	list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 1000})
	wantNil(t, "List", err)
	for _, p := range list {
		if p.InStock != 0 {
			t.Errorf("in stock of %s after all of it was held: %d, want 0", p.ID, p.InStock)
		}
	}
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("h", 2, nil)))
	wantStock(t, "giving back", s, quantities{"p0000": 1, "p0999": 1000})
}

func testHoldBefore(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	withBefore := func(id string, version int64, q, before quantities) hangar.Hold {
		return hangar.Hold{ID: id, Version: version, Quantities: q, Before: before}
	}
	wantNil(t, "Hold without a marker", s.Hold(t.Context(), withBefore("h", 4, quantities{"a": 5}, quantities{"a": 3})))
	wantStock(t, "a hold of 5, of which 3 were held before", s, quantities{"a": 8})
	wantNil(t, "Hold with a marker", s.Hold(t.Context(), withBefore("h", 5, quantities{"a": 4}, quantities{"a": 9})))
	wantStock(t, "a hold of 4 that held 5, and says 9", s, quantities{"a": 9})
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), withBefore("i", 2, nil, quantities{"a": 1, "deleted": 1})))
	wantNil(t, "Hold of nothing again", s.Hold(t.Context(), withBefore("i", 2, nil, quantities{"a": 1, "deleted": 1})))
	wantStock(t, "giving back 1 that was held before", s, quantities{"a": 10})
}

func testHoldBeforeRefused(t *testing.T, s products.Store) {
	put(t, s, product("a", 1))
	err := s.Hold(t.Context(), hangar.Hold{ID: "h", Version: 4, Quantities: quantities{"a": 9}, Before: quantities{"a": 3}})
	wantCode(t, "Hold beyond the stock", err, hangar.OutOfStock)
	wantStock(t, "a refusal", s, quantities{"a": 1})
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("h", 5, nil)))
	wantStock(t, "giving back 3 that were held before", s, quantities{"a": 4})
}

func testHoldsApart(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	for _, id := range []string{"h", "H", "h ", "ü", "order-1", "order-11"} {
		wantNil(t, "Hold "+id, s.Hold(t.Context(), hold(id, 1, quantities{"a": 1})))
	}
	wantStock(t, "six holds of 1", s, quantities{"a": 4})
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("h", 2, nil)))
	wantStock(t, "giving one back", s, quantities{"a": 5})
}

func testHoldAtOnce(t *testing.T, s products.Store) {
	put(t, s, product("a", 100), product("b", 1000))
	errs := make([]error, 500)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			errs[i] = s.Hold(t.Context(), hold(fmt.Sprint("h", i), 1, quantities{"a": int64(i%3 + 1), "b": 1}))
		})
	}
	wg.Wait()
	sold, orders := int64(0), int64(0)
	for i, err := range errs {
		if err == nil {
			sold += int64(i%3 + 1)
			orders++
			continue
		}
		wantCode(t, "Hold that was refused", err, hangar.OutOfStock)
	}
	if sold > 100 || sold < 98 {
		t.Errorf("500 holds of 1 to 3 of 100 units sold %d, want 98 to 100", sold)
	}
	wantStock(t, "500 holds", s, quantities{"a": 100 - sold, "b": 1000 - orders})
}

func testHoldSameAtOnce(t *testing.T, s products.Store) {
	put(t, s, product("a", 100), product("b", 0))
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if err := s.Hold(t.Context(), hold("h", 1, quantities{"a": 3})); err != nil {
				t.Errorf("Hold: %v, want no error", err)
			}
			err := s.Hold(t.Context(), hold("i", 1, quantities{"a": 3, "b": 1}))
			if hangar.CodeOf(err) != hangar.OutOfStock {
				t.Errorf("Hold of what is short: %v, want OUT_OF_STOCK", err)
			}
		})
	}
	wg.Wait()
	wantStock(t, "one hold, 20 times", s, quantities{"a": 97, "b": 0})
}

func testSweepHolds(t *testing.T, s products.Store) {
	put(t, s, product("a", 10))
	h := hold("h", 1, quantities{"a": 1})
	wantNil(t, "Hold", s.Hold(t.Context(), h))
	wantNil(t, "SweepHolds", s.SweepHolds(t.Context(), time.Now().Add(-time.Hour)))
	wantNil(t, "Hold that is remembered", s.Hold(t.Context(), h))
	wantStock(t, "a hold that is remembered", s, quantities{"a": 9})
	wantNil(t, "SweepHolds", s.SweepHolds(t.Context(), time.Now().Add(time.Hour)))
	wantStock(t, "sweeping", s, quantities{"a": 9})
	wantNil(t, "Hold that is forgotten", s.Hold(t.Context(), h))
	wantStock(t, "a hold that is forgotten", s, quantities{"a": 8})
}
