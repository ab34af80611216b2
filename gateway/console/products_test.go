package console_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"hangar"
)

func productForm(id, title, capacity, speed, stock string) url.Values {
	return url.Values{"id": {id}, "title": {title}, "passenger_capacity": {capacity}, "maximum_speed": {speed}, "in_stock": {stock}}
}

func TestCreateProduct(t *testing.T) {
	s := newShop(t)
	s.get(t, 200, "/console/products", "There are no products yet", "Create the first one")
	s.get(t, 200, "/console/new-product", "Passenger capacity")
	s.postTo(t, "/console/products/a%20b?notice=created", "/console/new-product", productForm("a b", "The Odyssey", "101", "5", "10"))
	s.get(t, 200, "/console/products/a%20b?notice=created", "The product was created.", "The Odyssey", "10 in stock")
	s.get(t, 200, "/console/products", "The Odyssey", "a b").wantNot(t, "There are no products")

	r := s.post(t, http.StatusPreconditionFailed, "/console/new-product", productForm("a b", "Another", "1", "2", "3"),
		"The product was not created", "Product ID a b exists already")
	for name, want := range map[string]string{"id": "a b", "title": "Another", "passenger_capacity": "1", "maximum_speed": "2", "in_stock": "3"} {
		if got := r.value(t, name); got != want {
			t.Errorf("after an error, %s is %q, want %q as it was typed", name, got, want)
		}
	}
	s.wantStock(t, "a b", 10)
}

func TestCreateProductTwice(t *testing.T) {
	s := newShop(t)
	form := productForm("a", "The Odyssey", "101", "5", "10")
	s.postTo(t, "/console/products/a?notice=created", "/console/new-product", form)
	s.postTo(t, "/console/products/a?notice=again", "/console/new-product", form)
	s.wantStock(t, "a", 10)
}

func TestCreateProductThatIsNotValid(t *testing.T) {
	s := newShop(t)
	r := s.post(t, http.StatusBadRequest, "/console/new-product", productForm("a/b", "", "many", "-1", " 7 "),
		"The product was not created", "Correct what is marked",
		"Id : Must not contain '/'.", "Title : Shorter than minimum length 1.",
		"Passenger capacity : Not a valid integer.", "Top speed : Must be at least 0.")
	if n := strings.Count(r.body, `aria-invalid="true"`); n != 4 {
		t.Errorf("%d fields are marked, want 4:\n%s", n, r.body)
	}
	if got := r.value(t, "passenger_capacity"); got != "many" {
		t.Errorf("the capacity is %q, want it as it was typed", got)
	}
	s.get(t, 200, "/console/products", "There are no products yet")
}

func TestProductsAreFoundByPrefix(t *testing.T) {
	s := newShop(t)
	for _, id := range []string{"airship", "ballon_1", "ballon_2", "zeppelin"} {
		s.put(t, id, 1)
	}
	s.get(t, 200, "/console/products?prefix=ballon", "Title of ballon_1", "Title of ballon_2", "2 products are shown.").wantNot(t, "airship", "zeppelin")
	s.get(t, 200, "/console/products?prefix=Ballon", "No product’s id begins with “Ballon”")
	s.get(t, http.StatusBadRequest, "/console/products?prefix="+strings.Repeat("x", hangar.MaxProductID+1), "prefix: Longer than maximum length 255.")
}

// links returns what the page's links to other pages of it lead to, by their text.
func (r reply) links() map[string]string {
	links := map[string]string{}
	for _, part := range strings.Split(r.body, "<a ")[1:] {
		link, _, _ := strings.Cut(part, "</a>")
		attributes, text, _ := strings.Cut(link, ">")
		_, href, _ := strings.Cut(attributes, `href="`)
		href, _, _ = strings.Cut(href, `"`)
		links[text] = strings.ReplaceAll(href, "&amp;", "&")
	}
	return links
}

func TestPagesOfProductsLeadForthAndBack(t *testing.T) {
	s := newShop(t)
	for i := range 120 {
		s.put(t, fmt.Sprintf("p%03d", i), 1)
	}
	s.put(t, "q", 1)
	first := s.get(t, 200, "/console/products?prefix=p", "p000", "p049", "50 products are shown, and there are more.")
	first.wantNot(t, "p050", "First page", "Previous")
	second := s.get(t, 200, first.links()["Next"], "p050", "p099", "First page")
	second.wantNot(t, "p049", "p100")
	third := s.get(t, 200, second.links()["Next"], "p100", "p119")
	third.wantNot(t, "p099", "Next", "Title of q")
	s.get(t, 200, third.links()["Previous"], "p050", "p099")
	s.get(t, 200, s.get(t, 200, third.links()["Previous"]).links()["Previous"], "p000", "p049").wantNot(t, "Previous")
	s.get(t, 200, third.links()["First page"], "p000", "p049").wantNot(t, "Title of q")
	s.get(t, 200, "/console/products?after=z", "There are no more products")
}

// A request names the page that it comes from as well, and a server reads 16 KiB of
// its header.
func TestPagesOfLongIDs(t *testing.T) {
	s := newShop(t)
	long := strings.Repeat("世", hangar.MaxProductID-3)
	for i := range 51 {
		s.put(t, fmt.Sprintf("%s%03d", long, i+100), 1)
	}
	query := url.Values{"after": {long + "099"}}
	for i := range 20 {
		query.Add("trail", fmt.Sprintf("%s%03d", long, i))
	}
	next := s.get(t, 200, "/console/products?"+query.Encode()).links()["Next"]
	if len(next) == 0 || len(next) > 7<<10 {
		t.Fatalf("the URL of the next page has %d bytes, want some, and at most 7 KiB", len(next))
	}
	if previous := s.get(t, 200, next).links()["Previous"]; !strings.Contains(previous, url.QueryEscape(long+"099")) {
		t.Errorf("from the next page one comes back to %q, want to the page before", previous)
	}
}

func TestEditKeepsWhatWasSoldMeanwhile(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	s.get(t, 200, "/console/products/a", "10 in stock") // the form is open
	s.order(t, "a", 4)
	s.postTo(t, "/console/products/a?notice=saved", "/console/products/a/edit",
		url.Values{"title": {"New"}, "passenger_capacity": {"7"}, "maximum_speed": {"8"}, "in_stock": {"10"}})
	got, err := s.products.Product(t.Context(), "a")
	if want := (hangar.Product{ID: "a", Title: "New", PassengerCapacity: 7, MaximumSpeed: 8, InStock: 6}); got != want || err != nil {
		t.Errorf("after the edit the product is %+v, %v, want %+v", got, err, want)
	}
	r := s.post(t, http.StatusBadRequest, "/console/products/a/edit", url.Values{"title": {""}, "passenger_capacity": {"x"}, "maximum_speed": {"8"}},
		"The details were not saved", "Title : Shorter than minimum length 1.", "6 in stock")
	if got := r.value(t, "passenger_capacity"); got != "x" {
		t.Errorf("the capacity is %q, want it as it was typed", got)
	}
	s.post(t, http.StatusNotFound, "/console/products/missing/edit", url.Values{"title": {"t"}, "passenger_capacity": {"1"}, "maximum_speed": {"1"}},
		"Not found", "Product ID missing does not exist")
}

func TestRestockAddsOncePerForm(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	key := s.get(t, 200, "/console/products/a").value(t, "key")
	s.order(t, "a", 4)
	s.postTo(t, "/console/products/a?notice=restocked", "/console/products/a/restock", url.Values{"quantity": {"5"}, "key": {key}})
	s.wantStock(t, "a", 11)
	s.postTo(t, "/console/products/a?notice=again", "/console/products/a/restock", url.Values{"quantity": {"5"}, "key": {key}})
	s.wantStock(t, "a", 11)
	s.get(t, 200, "/console/products/a?notice=again", "was not done twice", "11 in stock")

	r := s.post(t, http.StatusUnprocessableEntity, "/console/products/a/restock", url.Values{"quantity": {"6"}, "key": {key}}, "The stock was not changed", "key was used")
	if r.value(t, "key") == key {
		t.Error("the key that was used with another quantity is offered again")
	}
	if got := r.value(t, "quantity"); got != "6" {
		t.Errorf("the quantity is %q, want it as it was typed", got)
	}
	s.post(t, http.StatusBadRequest, "/console/products/a/restock", url.Values{"quantity": {"0"}}, "Units to add : Must be at least 1.")
	s.post(t, http.StatusBadRequest, "/console/products/a/restock", url.Values{}, "Units to add : Not a valid integer.")
	s.post(t, http.StatusNotFound, "/console/products/missing/restock", url.Values{"quantity": {"1"}}, "Product ID missing does not exist")
	s.wantStock(t, "a", 11)
}

// busyProducts cannot be changed at the moment.
type busyProducts struct{ hangar.ProductService }

func (busyProducts) Restock(context.Context, hangar.Restock) (hangar.Restocked, error) {
	return hangar.Restocked{}, hangar.Errorf(hangar.Unavailable, "No answer came.")
}

func (busyProducts) CreateProduct(context.Context, hangar.Product) error {
	return &hangar.Error{Code: hangar.Unexpected, Message: "secret", Err: errors.New("disk full")}
}

func TestRestockWhoseOutcomeIsOpenKeepsItsKey(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	s.products = busyProducts{s.products}
	s.serve(t)
	r := s.post(t, http.StatusServiceUnavailable, "/console/products/a/restock", url.Values{"quantity": {"5"}, "key": {"the-key"}},
		"Not available at the moment", "it takes effect once")
	if got := r.value(t, "key"); got != "the-key" {
		t.Errorf("the key is %q, want the one that was sent", got)
	}
	r = s.post(t, http.StatusInternalServerError, "/console/new-product", productForm("b", "B", "1", "1", "1"), "Something went wrong here", "X-Request-Id")
	r.wantNot(t, "secret", "disk full")
}

// lostProducts answers nothing any more.
type lostProducts struct{ busyProducts }

func (lostProducts) Product(context.Context, string) (hangar.Product, error) {
	return hangar.Product{}, hangar.Errorf(hangar.Unavailable, "Nobody answers.")
}

func (lostProducts) EditProduct(context.Context, hangar.ProductEdit) (hangar.Product, error) {
	return hangar.Product{}, hangar.Errorf(hangar.Unavailable, "No answer came.")
}

func TestFormsStayWhereTheServiceIsLost(t *testing.T) {
	s := newShop(t)
	s.products = lostProducts{busyProducts{s.products}}
	s.serve(t)
	r := s.post(t, http.StatusServiceUnavailable, "/console/products/a/restock", url.Values{"quantity": {"5"}, "key": {"the-key"}},
		"Not available at the moment", "it takes effect once", "not known at the moment")
	if key, quantity := r.value(t, "key"), r.value(t, "quantity"); key != "the-key" || quantity != "5" {
		t.Errorf("the form has the key %q and the quantity %q, want those that were sent: it may have taken effect", key, quantity)
	}
	r.wantNot(t, "Details", "Delete")
	r = s.post(t, http.StatusServiceUnavailable, "/console/products/a/edit",
		url.Values{"title": {"New"}, "passenger_capacity": {"7"}, "maximum_speed": {"8"}}, "Not available at the moment", "No answer came.")
	if got := r.value(t, "title"); got != "New" {
		t.Errorf("the title is %q, want it as it was typed", got)
	}
}

// The page of a form that was refused has the URL that the form was sent to.
func TestRefusedFormsLeadBack(t *testing.T) {
	s := newShop(t)
	s.put(t, "a b", 10)
	for _, form := range []string{"edit", "restock"} {
		path := "/console/products/a%20b/" + form
		s.post(t, http.StatusBadRequest, path, url.Values{}, "Correct what is marked")
		if r := s.do(t, "GET", path, nil); r.status != http.StatusSeeOther || r.header.Get("Location") != "/console/products/a%20b" {
			t.Errorf("GET %s answered %d and leads to %q, want 303 and the product", path, r.status, r.header.Get("Location"))
		}
	}
}

func TestDeleteProduct(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 1200)
	s.get(t, 200, "/console/products/a/delete", "Delete Title of a?", "its stock of 1,200")
	s.postTo(t, "/console/products?notice=deleted", "/console/products/a/delete", url.Values{})
	s.get(t, 200, "/console/products?notice=deleted", "The product was deleted.")
	for _, path := range []string{"/console/products/a", "/console/products/a/delete"} {
		s.get(t, http.StatusNotFound, path, "Not found", "Product ID a does not exist")
	}
	s.postTo(t, "/console/products?notice=again", "/console/products/a/delete", url.Values{})
}

func TestTextsStayTexts(t *testing.T) {
	s := newShop(t)
	id, title := `"><script>alert(1)</script>?#%&`, `<img src=x onerror=alert(1)>'"`
	id = strings.ReplaceAll(id, "/", "|")
	if err := s.products.PutProduct(t.Context(), hangar.Product{ID: id, Title: title, InStock: 3}); err != nil {
		t.Fatal(err)
	}
	order := s.order(t, id, 1)
	list := s.get(t, 200, "/console/products")
	href := "/console/products/" + url.PathEscape(id)
	if got := list.links()["&lt;img src=x onerror=alert(1)&gt;&#39;&#34;"]; got != href {
		t.Errorf("the link leads to %q, want %q:\n%s", got, href, list.body)
	}
	for _, path := range []string{"/console/products", href, href + "/delete", fmt.Sprint("/console/orders/", order), "/console/new-order?product=" + url.QueryEscape(id)} {
		r := s.get(t, 200, path)
		if strings.Contains(r.body, "<script>alert") || strings.Contains(r.body, "<img src=x") {
			t.Errorf("GET %s: a text has become an element:\n%s", path, r.body)
		}
	}
}

func TestSuggestions(t *testing.T) {
	s := newShop(t)
	for i := range 15 {
		s.put(t, fmt.Sprintf("p%02d", i), int64(i))
	}
	r := s.get(t, 200, "/console/suggestions?line=3&product=p", "Title of p00", "Title of p09")
	r.wantNot(t, "p10", "<html")
	s.get(t, 200, "/console/suggestions?line=3&product=p07", "Title of p07, 7 in stock")
	r = s.get(t, 200, "/console/suggestions?line=3&product=x", "No product’s id begins like this.")
	if !strings.Contains(r.body, `id="line-3-product-hint"`) {
		t.Errorf("the hint is not for the line that was asked for:\n%s", r.body)
	}
	s.get(t, http.StatusBadRequest, "/console/suggestions?line=x", "line: Not a valid integer.")
}
