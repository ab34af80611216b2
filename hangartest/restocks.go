package hangartest

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hangar"
	"hangar/products"
)

var restockTests = []subtest[products.Store]{
	{"Restock adds to what is there", testRestock},
	{"Restock adds once per marker", testRestockOnce},
	{"a marker is of one product and quantity", testRestockMarkerReused},
	{"Restock of an unknown product is not kept", testRestockUnknownProduct},
	{"Restock of a product that was deleted since", testRestockDeletedProduct},
	{"Restock goes up to the largest number", testRestockLimit},
	{"a restock is no hold", testRestockIsNoHold},
	{"restocks and holds at once add up", testRestockAtOnce},
	{"SweepHolds forgets restocks", testSweepRestocks},
}

// restock wants the product to come back as it is then.
func restock(t *testing.T, s products.Store, marker, id string, quantity int64, want hangar.Restocked) {
	t.Helper()
	got, err := s.Restock(t.Context(), marker, id, quantity)
	wantNil(t, fmt.Sprintf("Restock(%q, %q, %d)", marker, id, quantity), err)
	wantEqual(t, fmt.Sprintf("Restock(%q, %q, %d)", marker, id, quantity), got, want)
	p, err := s.Product(t.Context(), id)
	wantNil(t, "Product "+id, err)
	wantEqual(t, "the product after a restock", p, want.Product)
}

func testRestock(t *testing.T, s products.Store) {
	put(t, s, product("a", 5), product("ü ☃", 0), product("1", 7))
	restock(t, s, "r1", "a", 3, hangar.Restocked{Product: product("a", 8)})
	restock(t, s, "r2", "a", 3, hangar.Restocked{Product: product("a", 11)})
	restock(t, s, "r3", "ü ☃", 1, hangar.Restocked{Product: product("ü ☃", 1)})
	restock(t, s, "r4", "1", 1, hangar.Restocked{Product: product("1", 8)})
	take(t, s, hold("h", 1, quantities{"ü ☃": 5}))
	restock(t, s, "r5", "ü ☃", 3, hangar.Restocked{Product: product("ü ☃", -1)})
	wantStock(t, "restocks", s, quantities{"a": 11, "ü ☃": -1, "1": 8})
}

func testRestockOnce(t *testing.T, s products.Store) {
	put(t, s, product("a", 5))
	long := strings.Repeat("m", 255)
	for _, marker := range []string{"m", "M", "m ", long} {
		p, err := s.Product(t.Context(), "a")
		wantNil(t, "Product", err)
		p.InStock += 3
		restock(t, s, marker, "a", 3, hangar.Restocked{Product: p})
		restock(t, s, marker, "a", 3, hangar.Restocked{Product: p, Replayed: true})
	}
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 16})))
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 1), Replayed: true})
	put(t, s, product("a", 50))
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 50), Replayed: true})
}

func testRestockMarkerReused(t *testing.T, s products.Store) {
	put(t, s, product("a", 5), product("b", 5))
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 8)})
	for _, test := range []struct {
		id       string
		quantity int64
	}{{"a", 4}, {"a", 2}, {"b", 3}, {"missing", 3}, {"a", hangar.MaxInteger}} {
		_, err := s.Restock(t.Context(), "m", test.id, test.quantity)
		wantCode(t, fmt.Sprintf("Restock of %d of %s with a marker of 3 of a", test.quantity, test.id), err, hangar.IdempotencyKeyReused)
	}
	wantStock(t, "refusals", s, quantities{"a": 8, "b": 5})
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 3})))
	_, err := s.Restock(t.Context(), "h", "a", 3)
	wantCode(t, "Restock with a hold's key", err, hangar.IdempotencyKeyReused)
	wantStock(t, "a refusal", s, quantities{"a": 5, "b": 5})
}

// An answer that says no has changed nothing: the same may be asked again.
func testRestockUnknownProduct(t *testing.T, s products.Store) {
	put(t, s, product("a", 5))
	for range 2 {
		_, err := s.Restock(t.Context(), "m", "missing", 3)
		wantCode(t, "Restock of an unknown product", err, hangar.ProductNotFound)
		wantEqual(t, "its message", err.Error(), "Product ID missing does not exist")
	}
	list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10})
	wantNil(t, "List", err)
	wantEqual(t, "the list", idsOf(list), []string{"a"})
	wantNil(t, "Insert", s.Insert(t.Context(), product("missing", 1)))
	restock(t, s, "m", "missing", 3, hangar.Restocked{Product: product("missing", 4)})
}

func testRestockDeletedProduct(t *testing.T, s products.Store) {
	put(t, s, product("a", 5), product("b", 1))
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 8)})
	wantNil(t, "Delete", s.Delete(t.Context(), "a"))
	for _, marker := range []string{"m", "n"} {
		_, err := s.Restock(t.Context(), marker, "a", 3)
		wantCode(t, "Restock of a deleted product", err, hangar.ProductNotFound)
	}
	list, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10})
	wantNil(t, "List", err)
	wantEqual(t, "the list", idsOf(list), []string{"b"})
	put(t, s, product("a", 1))
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 1), Replayed: true})
}

func testRestockLimit(t *testing.T, s products.Store) {
	put(t, s, product("a", 5), product("b", 0))
	for _, quantity := range []int64{hangar.MaxInteger - 4, hangar.MaxInteger} {
		_, err := s.Restock(t.Context(), "m", "a", quantity)
		wantCode(t, "Restock beyond what may be in stock", err, hangar.ValidationError)
		wantEqual(t, "the refusal", asSeen(t, err), asSeen(t, hangar.NewOverstocked()))
	}
	wantStock(t, "refusals", s, quantities{"a": 5})
	restock(t, s, "m", "a", hangar.MaxInteger-5, hangar.Restocked{Product: product("a", hangar.MaxInteger)})
	_, err := s.Restock(t.Context(), "n", "a", 1)
	wantCode(t, "Restock of a full product", err, hangar.ValidationError)
	restock(t, s, "m", "a", hangar.MaxInteger-5, hangar.Restocked{Product: product("a", hangar.MaxInteger), Replayed: true})
	take(t, s, hold("h", 1, quantities{"b": 1}))
	restock(t, s, "o", "b", hangar.MaxInteger, hangar.Restocked{Product: product("b", hangar.MaxInteger-1)})
}

func testRestockIsNoHold(t *testing.T, s products.Store) {
	put(t, s, product("a", 0))
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 3)})
	wantNil(t, "Hold of what was added", s.Hold(t.Context(), hold("h", 1, quantities{"a": 3})))
	wantStock(t, "a hold of what was added", s, quantities{"a": 0})
	wantNil(t, "Hold of nothing", s.Hold(t.Context(), hold("h", 2, nil)))
	wantStock(t, "giving back", s, quantities{"a": 3})
}

func testRestockAtOnce(t *testing.T, s products.Store) {
	put(t, s, product("a", 10), product("b", 0))
	var (
		wg    sync.WaitGroup
		sold  atomic.Int64
		fresh atomic.Int64
	)
	for i := range 100 {
		wg.Go(func() {
			err := s.Hold(t.Context(), hold(fmt.Sprint("h", i), 1, quantities{"a": int64(i%3 + 1)}))
			if err == nil {
				sold.Add(int64(i%3 + 1))
			} else if hangar.CodeOf(err) != hangar.OutOfStock {
				t.Errorf("Hold: %v, want no error or OUT_OF_STOCK", err)
			}
		})
		wg.Go(func() {
			for _, id := range []string{"a", "b"} {
				got, err := s.Restock(t.Context(), fmt.Sprint("m", id, i%20), id, int64(i%20+1))
				if err != nil {
					t.Errorf("Restock: %v, want no error", err)
				}
				if !got.Replayed && id == "b" {
					fresh.Add(1)
				}
			}
		})
	}
	wg.Wait()
	const added = 20 * 21 / 2
	wantStock(t, "100 holds, and 20 restocks five times each", s, quantities{"a": 10 + added - sold.Load(), "b": added})
	wantEqual(t, "restocks that were not replayed", fresh.Load(), int64(20))
}

func testSweepRestocks(t *testing.T, s products.Store) {
	put(t, s, product("a", 1))
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 4)})
	wantNil(t, "SweepHolds", s.SweepHolds(t.Context(), time.Now().Add(-time.Hour)))
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 4), Replayed: true})
	wantNil(t, "SweepHolds", s.SweepHolds(t.Context(), time.Now().Add(time.Hour)))
	wantStock(t, "sweeping", s, quantities{"a": 4})
	restock(t, s, "m", "a", 3, hangar.Restocked{Product: product("a", 7)})
}
