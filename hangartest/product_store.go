package hangartest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"hangar"
	"hangar/products"
)

// TestProductStore tests what products.Store promises.
func TestProductStore(t *testing.T, open func(t *testing.T) products.Store) {
	runAll(t, open, []subtest[products.Store]{
		{"Put creates and replaces", testPut},
		{"Insert creates, and replaces nothing", testInsertProduct},
		{"an unknown product is not found", testUnknownProduct},
		{"any text is kept as it is", testProductTexts},
		{"the largest numbers are kept exactly", testLargestNumbers},
		{"Products keeps the order of the ids", testProducts},
		{"Products takes many ids", testManyProducts},
		{"List returns pages in byte order", testListProducts},
		{"List returns the ids with a prefix", testListPrefix},
		{"Delete removes one product", testDeleteProduct},
	})
	runAll(t, open, editTests)
	runAll(t, open, holdTests)
	runAll(t, open, takeTests)
	runAll(t, open, restockTests)
}

func put(t *testing.T, s products.Store, list ...hangar.Product) {
	t.Helper()
	for _, p := range list {
		wantNil(t, "Put "+p.ID, s.Put(t.Context(), p))
	}
}

// wantStock compares what is in stock of each product.
func wantStock(t *testing.T, what string, s products.Store, want map[string]int64) {
	t.Helper()
	got := map[string]int64{}
	for id := range want {
		p, err := s.Product(t.Context(), id)
		wantNil(t, what+": Product "+id, err)
		got[id] = p.InStock
	}
	wantEqual(t, "in stock after "+what, got, want)
}

func idsOf(list []hangar.Product) []string {
	ids := []string{}
	for _, p := range list {
		ids = append(ids, p.ID)
	}
	return ids
}

func testPut(t *testing.T, s products.Store) {
	other := product("b", 7)
	put(t, s, product("a", 5), other)
	replaced := hangar.Product{ID: "a", Title: "New", PassengerCapacity: 1, MaximumSpeed: 2, InStock: 3}
	put(t, s, replaced)
	for _, want := range []hangar.Product{replaced, other} {
		got, err := s.Product(t.Context(), want.ID)
		wantNil(t, "Product "+want.ID, err)
		wantEqual(t, "product "+want.ID, got, want)
	}
}

func testInsertProduct(t *testing.T, s products.Store) {
	want := product("a", 5)
	wantNil(t, "Insert", s.Insert(t.Context(), want))
	err := s.Insert(t.Context(), hangar.Product{ID: "a", Title: "New"})
	wantCode(t, "Insert of a product that exists", err, hangar.ProductExists)
	got, err := s.Product(t.Context(), "a")
	wantNil(t, "Product", err)
	wantEqual(t, "the product after a second Insert", got, want)
	wantNil(t, "Delete", s.Delete(t.Context(), "a"))
	wantNil(t, "Insert after a deletion", s.Insert(t.Context(), want))
}

func testUnknownProduct(t *testing.T, s products.Store) {
	put(t, s, product("a", 1))
	for _, id := range []string{"", "A", "a ", "missing"} {
		_, err := s.Product(t.Context(), id)
		wantCode(t, fmt.Sprintf("Product(%q)", id), err, hangar.ProductNotFound)
		if want := "Product ID " + id + " does not exist"; err.Error() != want {
			t.Errorf("Product(%q): %q, want %q", id, err, want)
		}
		wantCode(t, fmt.Sprintf("Delete(%q)", id), s.Delete(t.Context(), id), hangar.ProductNotFound)
	}
}

func testProductTexts(t *testing.T, s products.Store) {
	texts := []string{
		"ü é ☃", "🚀", "a'b\"c\\d", "%_", "e\u0301", "\u00e9", "123", " ", "a*", "[a]?", "{a}", "products:x",
		"'; DROP TABLE products; --", strings.Repeat("☃", hangar.MaxProductID),
	}
	for _, text := range texts {
		put(t, s, hangar.Product{ID: text, Title: "title " + text, InStock: 1})
	}
	for _, text := range texts {
		got, err := s.Product(t.Context(), text)
		wantNil(t, fmt.Sprintf("Product(%q)", text), err)
		wantEqual(t, "the product", got, hangar.Product{ID: text, Title: "title " + text, InStock: 1})
	}
	got, err := s.Products(t.Context(), texts)
	wantNil(t, "Products", err)
	wantEqual(t, "ids of Products", idsOf(got), texts)
}

func testLargestNumbers(t *testing.T, s products.Store) {
	want := hangar.Product{
		ID: "a", Title: strings.Repeat("☃", hangar.MaxTitle),
		PassengerCapacity: hangar.MaxInteger, MaximumSpeed: hangar.MaxInteger, InStock: hangar.MaxInteger,
	}
	put(t, s, want)
	got, err := s.Product(t.Context(), "a")
	wantNil(t, "Product", err)
	wantEqual(t, "the product", got, want)
	wantNil(t, "Hold", s.Hold(t.Context(), hold("h", 1, quantities{"a": 1})))
	wantStock(t, "a hold of 1", s, quantities{"a": hangar.MaxInteger - 1})
}

func testProducts(t *testing.T, s products.Store) {
	put(t, s, product("a", 1), product("b", 2), product("ü", 3))
	for _, test := range []struct{ ids, want []string }{
		{[]string{}, []string{}},
		{[]string{"missing"}, []string{}},
		{[]string{"b"}, []string{"b"}},
		{[]string{"ü", "a", "b"}, []string{"ü", "a", "b"}},
		{[]string{"b", "missing", "a"}, []string{"b", "a"}},
		{[]string{"b", "a", "b"}, []string{"b", "a", "b"}},
		{[]string{"b", "b"}, []string{"b", "b"}},
		{[]string{"missing", "missing"}, []string{}},
	} {
		got, err := s.Products(t.Context(), test.ids)
		wantNil(t, fmt.Sprintf("Products(%q)", test.ids), err)
		wantEqual(t, fmt.Sprintf("ids of Products(%q)", test.ids), idsOf(got), test.want)
		for _, p := range got {
			want, err := s.Product(t.Context(), p.ID)
			wantNil(t, "Product "+p.ID, err)
			wantEqual(t, "product "+p.ID, p, want)
		}
	}
}

func testManyProducts(t *testing.T, s products.Store) {
	put(t, s, product("a", 1), product("b", 2))
	ids := make([]string, hangar.MaxOrderLines)
	var want []string
	for i := range ids {
		ids[i] = fmt.Sprint("missing", i)
		if i%3 > 0 {
			ids[i] = []string{"", "b", "a"}[i%3]
			want = append(want, ids[i])
		}
	}
	got, err := s.Products(t.Context(), ids)
	wantNil(t, "Products of 1000 ids", err)
	wantEqual(t, "ids of Products of 1000 ids", idsOf(got), want)
}

func testListProducts(t *testing.T, s products.Store) {
	// Capitals before small letters, ASCII before the rest, and what lies beyond
	// 16 bits last: in bytes, not in any language's order.
	want := []string{"10", "9", "A", "Z", "_", "a", "a b", "aa", "b", "e\u0301", "é", "ü", "☃", "\uffee", "🚀"}
	empty, err := s.List(t.Context(), hangar.ProductQuery{Limit: 10})
	if err != nil || len(empty) != 0 {
		t.Errorf("List of nothing = %v, %v, want nothing", empty, err)
	}
	for _, id := range slices.Backward(want) {
		put(t, s, product(id, 1))
	}
	for _, test := range []struct {
		after string
		limit int
		want  []string
	}{
		{"", 100, want},
		{"", 1, want[:1]},
		{"", len(want), want},
		{"a", 3, want[6:9]},
		{"a ", 2, want[6:8]}, // between two products
		{"é", 100, want[11:]},
		{"🚀", 1, []string{}},
		{"\U0010ffff", 100, []string{}},
	} {
		got, err := s.List(t.Context(), hangar.ProductQuery{After: test.after, Limit: test.limit})
		wantNil(t, "List", err)
		wantEqual(t, fmt.Sprintf("ids of List(%q, %d)", test.after, test.limit), idsOf(got), test.want)
	}
	wantNil(t, "Delete", s.Delete(t.Context(), "b"))
	put(t, s, product("a", 9))
	all, err := s.List(t.Context(), hangar.ProductQuery{Limit: 100})
	wantNil(t, "List", err)
	wantEqual(t, "ids after a deletion and a replacement", idsOf(all), slices.Delete(slices.Clone(want), 8, 9))
	wantEqual(t, "a replaced product in the list", all[5], product("a", 9))
}

func testListPrefix(t *testing.T, s products.Store) {
	all := []string{"Th", "t", "tg\U0010ffff", "th", "th\x01", "the_odyssey", "theirs", "th~", "thé", "th\U0010ffff", "ti", "é", "ü", "\U0010ffff", "\U0010ffffa"}
	for _, id := range slices.Backward(all) {
		put(t, s, product(id, 1))
	}
	slices.Sort(all)
	for _, prefix := range []string{"", "t", "th", "the", "the_odyssey", "the_odyssey2", "th\U0010ffff", "T", "é", "\U0010ffff", "0", "z", "%", "t*", "[t]", "th_"} {
		for _, after := range append([]string{"", "0", "s", "tha", "the\U0010ffff", "tz", "\U0010ffffz"}, all...) {
			want := []string{}
			for _, id := range all {
				if strings.HasPrefix(id, prefix) && id > after {
					want = append(want, id)
				}
			}
			for _, limit := range []int{1, 3, 100} {
				q := hangar.ProductQuery{Prefix: prefix, After: after, Limit: limit}
				got, err := s.List(t.Context(), q)
				wantNil(t, "List", err)
				wantEqual(t, fmt.Sprintf("ids of List(%+v)", q), idsOf(got), want[:min(limit, len(want))])
			}
		}
	}
}

func testDeleteProduct(t *testing.T, s products.Store) {
	put(t, s, product("a", 1), product("b", 2))
	wantNil(t, "Delete", s.Delete(t.Context(), "a"))
	_, err := s.Product(t.Context(), "a")
	wantCode(t, "Product of a deleted one", err, hangar.ProductNotFound)
	wantCode(t, "Delete of a deleted one", s.Delete(t.Context(), "a"), hangar.ProductNotFound)
	got, err := s.Products(t.Context(), []string{"a", "b"})
	wantNil(t, "Products", err)
	wantEqual(t, "what is left", idsOf(got), []string{"b"})
}
