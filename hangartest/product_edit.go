package hangartest

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"hangar"
	"hangar/products"
)

var editTests = []subtest[products.Store]{
	{"Edit changes all of a product but its stock", testEdit},
	{"Edit creates nothing", testEditUnknown},
	{"Edit forgets no hold that is made at the same time", testEditBesideHolds},
}

func edit(id string) hangar.ProductEdit {
	return hangar.ProductEdit{ID: id, Title: "Edited ☃", PassengerCapacity: hangar.MaxInteger, MaximumSpeed: 0}
}

func testEdit(t *testing.T, s products.Store) {
	other := product("b", 7)
	put(t, s, product("a", 5), other)
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 2})))
	want := hangar.Product{ID: "a", Title: "Edited ☃", PassengerCapacity: hangar.MaxInteger, MaximumSpeed: 0, InStock: 3}
	got, err := s.Edit(t.Context(), edit("a"))
	wantNil(t, "Edit", err)
	wantEqual(t, "what Edit returns", got, want)
	for _, want := range []hangar.Product{want, other} {
		got, err := s.Product(t.Context(), want.ID)
		wantNil(t, "Product "+want.ID, err)
		wantEqual(t, "product "+want.ID, got, want)
	}
}

func testEditUnknown(t *testing.T, s products.Store) {
	put(t, s, product("a", 1))
	_, err := s.Edit(t.Context(), edit("A"))
	wantCode(t, "Edit of an unknown product", err, hangar.ProductNotFound)
	_, err = s.Product(t.Context(), "A")
	wantCode(t, "Product after that", err, hangar.ProductNotFound)
}

func testEditBesideHolds(t *testing.T, s products.Store) {
	const holds = 50
	put(t, s, product("a", 2*holds))
	var wg sync.WaitGroup
	for i := range holds {
		wg.Go(func() {
			if err := s.Hold(t.Context(), hold(fmt.Sprint("h", i), 1, quantities{"a": 1})); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			if _, err := s.Edit(t.Context(), edit("a")); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	wantStock(t, "holds and edits at the same time", s, map[string]int64{"a": holds})
}

func testEditProduct(t *testing.T, s Services) {
	s.put(t, product("a", 5))
	want := hangar.Product{ID: "a", Title: "Edited ☃", PassengerCapacity: hangar.MaxInteger, MaximumSpeed: 0, InStock: 5}
	got, err := s.Products.EditProduct(t.Context(), edit("a"))
	wantNil(t, "EditProduct", err)
	wantEqual(t, "what EditProduct returns", got, want)
	_, err = s.Products.EditProduct(t.Context(), edit("missing"))
	wantCode(t, "EditProduct of a missing one", err, hangar.ProductNotFound)
	for _, e := range []hangar.ProductEdit{
		{ID: "a"},
		{ID: "a", Title: strings.Repeat("x", hangar.MaxTitle+1)},
		{ID: "a", Title: "t", MaximumSpeed: -1},
		{ID: "a", Title: "t", PassengerCapacity: hangar.MaxInteger + 1},
		{ID: "a/b", Title: "t"},
	} {
		_, err := s.Products.EditProduct(t.Context(), e)
		wantCode(t, fmt.Sprintf("EditProduct(%.200v)", e), err, hangar.ValidationError)
	}
	got, err = s.Products.Product(t.Context(), "a")
	wantNil(t, "Product", err)
	wantEqual(t, "the product after edits that were refused", got, want)
}
