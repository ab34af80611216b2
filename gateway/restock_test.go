package gateway_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar"
)

func TestRestock(t *testing.T) {
	s := newStore(t)
	s.want(t, 200, "POST", "/products", odyssey)
	s.want(t, 200, "POST", "/orders", orderOf("the_odyssey", 4))
	const path = "/products/the_odyssey/restock"
	first := s.want(t, 200, "POST", path, `{"quantity": 5}`, "Idempotency-Key: k1")
	var got hangar.Product
	first.decode(t, &got)
	want := hangar.Product{ID: "the_odyssey", Title: "The Odyssey", PassengerCapacity: 101, MaximumSpeed: 5, InStock: 11}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a restock of 5 where 6 of 10 are left (-want +got):\n%s", diff)
	}
	s.want(t, 200, "POST", "/orders", orderOf("the_odyssey", 1))
	again := s.want(t, 200, "POST", path, `{"quantity": "5"}`, "Idempotency-Key: k1")
	again.decode(t, &got)
	if got.InStock != 10 || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("first %v, again %s with %v; want 10 in stock, and only the second one marked as replayed", first.header, again.body, again.header)
	}
	r := s.want(t, 422, "POST", path, `{"quantity": 6}`, "Idempotency-Key: k1")
	if code := r.code(t); code != hangar.IdempotencyKeyReused {
		t.Errorf("the key with another quantity: %s, want IDEMPOTENCY_KEY_REUSED", r.body)
	}
	for range 2 {
		r := s.want(t, 200, "POST", path, `{"quantity": 1, "unknown": true}`)
		if r.header.Get("Idempotent-Replayed") != "" {
			t.Errorf("a restock without a key: %v, want it not replayed", r.header)
		}
	}
	if n := s.inStock(t, "the_odyssey"); n != 12 {
		t.Errorf("in stock: %d, want 12", n)
	}
}

func TestRestockThatIsRefused(t *testing.T) {
	s := newStore(t)
	s.want(t, 200, "POST", "/products", odyssey)
	const limit = "Must be at most 9007199254740991."
	for _, test := range []struct {
		path, body string
		status     int
		code       hangar.Code
		details    string
		headers    []string
	}{
		{"/products/missing/restock", `{"quantity": 1}`, 404, hangar.ProductNotFound, "", nil},
		{"/products/a%2Fb/restock", `{"quantity": 1}`, 404, hangar.ProductNotFound, "", nil},
		{"/products/the_odyssey/restock", `{`, 400, hangar.BadRequest, "", nil},
		{"/products/the_odyssey/restock", ``, 400, hangar.BadRequest, "", nil},
		{"/products/the_odyssey/restock", `[]`, 400, hangar.ValidationError, `{"_schema":["Invalid input type."]}`, nil},
		{"/products/the_odyssey/restock", `{}`, 400, hangar.ValidationError, `{"quantity":["Missing data for required field."]}`, nil},
		{"/products/the_odyssey/restock", `{"quantity": null}`, 400, hangar.ValidationError, `{"quantity":["Field may not be null."]}`, nil},
		{"/products/the_odyssey/restock", `{"quantity": 1.5}`, 400, hangar.ValidationError, `{"quantity":["Not a valid integer."]}`, nil},
		{"/products/the_odyssey/restock", `{"quantity": 0}`, 400, hangar.ValidationError, `{"quantity":["Must be at least 1."]}`, nil},
		{"/products/the_odyssey/restock", `{"quantity": -1}`, 400, hangar.ValidationError, `{"quantity":["Must be at least 1."]}`, nil},
		{"/products/the_odyssey/restock", `{"quantity": 9007199254740992}`, 400, hangar.ValidationError, `{"quantity":["` + limit + `"]}`, nil},
		{"/products/the_odyssey/restock", `{"quantity": 1e30}`, 400, hangar.ValidationError, `{"quantity":["` + limit + `"]}`, nil},
		{"/products/the_odyssey/restock", `{"quantity": 9007199254740991}`, 400, hangar.ValidationError,
			`{"quantity":["Must not bring the stock above 9007199254740991."]}`, nil},
		{"/products/the_odyssey/restock", `{"quantity": 1}`, 400, hangar.ValidationError, `{"Idempotency-Key":["Given more than once."]}`,
			[]string{"Idempotency-Key: a", "Idempotency-Key: a"}},
		{"/products/the_odyssey/restock", `{"quantity": 1}`, 400, hangar.ValidationError, `{"Idempotency-Key":["Longer than maximum length 255."]}`,
			[]string{"Idempotency-Key: " + strings.Repeat("k", 256)}},
	} {
		r := s.want(t, test.status, "POST", test.path, test.body, test.headers...)
		if code := r.code(t); code != test.code || !strings.Contains(r.body, test.details) {
			t.Errorf("POST %s %s: %s, want %s and %s", test.path, test.body, r.body, test.code, test.details)
		}
	}
	if n := s.inStock(t, "the_odyssey"); n != 10 {
		t.Errorf("in stock after refusals: %d, want 10", n)
	}
	s.want(t, 404, "GET", "/products/missing", "")
}

// pages follows the links from a listing, and returns the ids of each page.
func (s *store) pages(t *testing.T, path string) (pages []string) {
	t.Helper()
	for path != "" {
		if len(pages) > 9 {
			t.Fatalf("%s: the pages do not end", path)
		}
		r := s.want(t, 200, "GET", path, "")
		var items []struct{ ID any }
		r.decode(t, &items)
		var ids []string
		for _, item := range items {
			ids = append(ids, fmt.Sprint(item.ID))
		}
		pages = append(pages, strings.Join(ids, " "))
		path, _, _ = strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), ">")
	}
	return pages
}

func TestPagesOfPrefixesAndStatuses(t *testing.T) {
	s := newStore(t)
	for _, id := range []string{"th 1", "th&2", "th%3", "th", "t", "ti", "the"} {
		s.want(t, 200, "POST", "/products", strings.Replace(odyssey, "the_odyssey", id, 1))
		s.want(t, 200, "POST", "/orders", orderOf(id, 10))
	}
	s.want(t, 409, "POST", "/orders", orderOf("t", 1))
	for _, id := range []string{"2", "5"} {
		s.want(t, 200, "POST", "/orders/"+id+"/cancel", "")
	}
	for path, want := range map[string][]string{
		"/products?prefix=th&limit=2":                      {"th th 1", "th%3 th&2", "the"},
		"/products/?prefix=th%26":                          {"th&2"},
		"/products?prefix=th%25&after=th":                  {"th%3"},
		"/products?prefix=":                                {"t th th 1 th%3 th&2 the ti"},
		"/products?prefix=T":                               {""},
		"/products?prefix=th&after=ti":                     {""},
		"/orders?status=confirmed&limit=2":                 {"1 3", "4 6", "7"},
		"/orders?status=confirmed&sort=-id&limit=3":        {"7 6 4", "3 1"},
		"/orders/?status=cancelled&sort=-id":               {"5 2"},
		"/orders?status=rejected":                          {"8"},
		"/orders?status=pending":                           {""},
		"/orders?status=":                                  {"1 2 3 4 5 6 7 8"},
		"/orders?status=confirmed&sort=id&after=1&limit=4": {"3 4 6 7"},
	} {
		if diff := cmp.Diff(want, s.pages(t, path)); diff != "" {
			t.Errorf("pages of %s (-want +got):\n%s", path, diff)
		}
	}
	for path, details := range map[string]string{
		"/products?prefix=" + strings.Repeat("x", 256): `{"prefix":["Longer than maximum length 255."]}`,
		"/products?prefix=%ff":                         `{"prefix":["Not a valid string."]}`,
		"/products?prefix=%00":                         `{"prefix":["Not a valid string."]}`,
		"/orders?status=shipped":                       `{"status":["Must be one of: pending, confirmed, rejected, cancelled."]}`,
		"/orders?status=Confirmed":                     `{"status":["Must be one of: pending, confirmed, rejected, cancelled."]}`,
	} {
		if r := s.want(t, 400, "GET", path, ""); r.code(t) != hangar.ValidationError || !strings.Contains(r.body, details) {
			t.Errorf("GET %s: %s, want VALIDATION_ERROR and %s", path, r.body, details)
		}
	}
}
