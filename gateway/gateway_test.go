package gateway_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"hangar"
)

const odyssey = `{"id": "the_odyssey", "title": "The Odyssey", "passenger_capacity": 101, "maximum_speed": 5, "in_stock": 10}`

func orderOf(id string, quantity int) string {
	return fmt.Sprintf(`{"order_details": [{"product_id": %q, "price": "100.50", "quantity": %d}]}`, id, quantity)
}

func (s *store) inStock(t *testing.T, id string) int64 {
	t.Helper()
	var p hangar.Product
	s.want(t, 200, "GET", "/products/"+id, "").decode(t, &p)
	return p.InStock
}

func TestOrderFromCreationToDeletion(t *testing.T) {
	s := newStore(t)
	s.want(t, 200, "POST", "/products", odyssey)
	var created struct{ ID int64 }
	s.want(t, 200, "POST", "/orders", orderOf("the_odyssey", 3)).decode(t, &created)
	path := fmt.Sprintf("/orders/%d", created.ID)
	type body struct {
		Status    hangar.OrderStatus `json:"status"`
		Total     string             `json:"total"`
		CreatedAt string             `json:"created_at"`
		Details   []struct {
			ID      int64           `json:"id"`
			Image   string          `json:"image"`
			Product *hangar.Product `json:"product"`
		} `json:"order_details"`
	}
	var o body
	s.want(t, 200, "GET", path, "").decode(t, &o)
	if o.Status != hangar.Confirmed || o.Total != "301.50" || !strings.HasSuffix(o.CreatedAt, "Z") {
		t.Errorf("order: %+v, want confirmed, 301.50 and a time in UTC", o)
	}
	if n := s.inStock(t, "the_odyssey"); n != 7 {
		t.Errorf("in stock after an order of 3 of 10: %d, want 7", n)
	}

	update := fmt.Sprintf(`{"order_details": [{"id": %d, "price": "1", "quantity": 5}]}`, o.Details[0].ID)
	s.want(t, 200, "PUT", path, update).decode(t, &o)
	if o.Total != "5.00" || o.Details[0].Product.InStock != 5 {
		t.Errorf("after the update: %+v, want a total of 5.00 and 5 in stock", o)
	}
	r := s.want(t, 409, "PUT", path, strings.Replace(update, `"quantity": 5`, `"quantity": 11`, 1))
	if code := r.code(t); code != hangar.OutOfStock {
		t.Errorf("an update beyond the stock: %s, want OUT_OF_STOCK", r.body)
	}

	for range 2 {
		s.want(t, 200, "POST", path+"/cancel", "").decode(t, &o)
		if n := s.inStock(t, "the_odyssey"); n != 10 || o.Status != hangar.Cancelled {
			t.Errorf("after cancelling: %d in stock, order %s, want 10 and cancelled", n, o.Status)
		}
	}
	r = s.want(t, 409, "PUT", path, update)
	if code := r.code(t); code != hangar.OrderNotConfirmed {
		t.Errorf("an update of a cancelled order: %s, want ORDER_NOT_CONFIRMED", r.body)
	}

	s.want(t, 204, "DELETE", "/products/the_odyssey", "")
	s.want(t, 200, "GET", path, "").decode(t, &o)
	if o.Details[0].Product != nil {
		t.Errorf("line of a deleted product: %+v, want product null", o.Details[0])
	}
	if r := s.want(t, 204, "DELETE", path, ""); r.body != "" {
		t.Errorf("204 with the body %q, want none", r.body)
	}
	for _, method := range []string{"GET", "DELETE"} {
		if code := s.want(t, 404, method, path, "").code(t); code != hangar.OrderNotFound {
			t.Errorf("%s of a deleted order: %s, want ORDER_NOT_FOUND", method, code)
		}
	}
}

func TestOutOfStockSaysWhatThereIs(t *testing.T) {
	s := newStore(t)
	s.want(t, 200, "POST", "/products", odyssey)
	two := `{"order_details": [{"product_id": "the_odyssey", "price": 1, "quantity": 6}, {"product_id": "the_odyssey", "price": 1, "quantity": 5}]}`
	var e struct {
		Error   hangar.Code
		Details map[string]hangar.Shortage
	}
	s.want(t, 409, "POST", "/orders", two).decode(t, &e)
	want := hangar.Shortage{Requested: 11, InStock: 10}
	if e.Error != hangar.OutOfStock || e.Details["the_odyssey"] != want {
		t.Errorf("two lines of 6 and 5 of 10: %+v, want OUT_OF_STOCK with %+v", e, want)
	}
	var list []struct{ Status hangar.OrderStatus }
	s.want(t, 200, "GET", "/orders", "").decode(t, &list)
	if len(list) != 1 || list[0].Status != hangar.Rejected {
		t.Errorf("orders: %+v, want the rejected one", list)
	}
}

func TestIfNoneMatch(t *testing.T) {
	s := newStore(t)
	s.want(t, 200, "POST", "/products", odyssey, "If-None-Match: *")
	r := s.want(t, 412, "POST", "/products", strings.Replace(odyssey, "10", "99", 1), "If-None-Match: *")
	if code := r.code(t); code != hangar.ProductExists {
		t.Errorf("a second creation: %s, want PRODUCT_EXISTS", r.body)
	}
	if n := s.inStock(t, "the_odyssey"); n != 10 {
		t.Errorf("in stock after the refusal: %d, want 10", n)
	}
}

func TestIdempotencyKey(t *testing.T) {
	s := newStore(t)
	s.want(t, 200, "POST", "/products", odyssey)
	first := s.want(t, 200, "POST", "/orders", orderOf("the_odyssey", 2), "Idempotency-Key: k1")
	again := s.want(t, 200, "POST", "/orders", orderOf("the_odyssey", 2), "Idempotency-Key: k1")
	if first.body != again.body || again.header.Get("Idempotent-Replayed") != "true" || first.header.Get("Idempotent-Replayed") != "" {
		t.Errorf("first %s, again %s with %v; want the same, the second one marked as replayed", first.body, again.body, again.header)
	}
	r := s.want(t, 422, "POST", "/orders", orderOf("the_odyssey", 3), "Idempotency-Key: k1")
	if code := r.code(t); code != hangar.IdempotencyKeyReused {
		t.Errorf("the key with another body: %s, want IDEMPOTENCY_KEY_REUSED", r.body)
	}
	refused := s.want(t, 409, "POST", "/orders", orderOf("the_odyssey", 9), "Idempotency-Key: k2")
	again = s.want(t, 409, "POST", "/orders", orderOf("the_odyssey", 9), "Idempotency-Key: k2")
	if refused.body != again.body || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("refused with %s, again with %s; want the same, replayed", refused.body, again.body)
	}
	if n := s.inStock(t, "the_odyssey"); n != 8 {
		t.Errorf("in stock: %d, want 8", n)
	}
}

func TestIdempotencyKeysThatAreNotValid(t *testing.T) {
	s := newStore(t)
	s.want(t, 200, "POST", "/products", odyssey)
	for complaint, headers := range map[string][]string{
		"Longer than maximum length 255.": {"Idempotency-Key: " + strings.Repeat("k", 256)},
		"Shorter than minimum length 1.":  {"Idempotency-Key: "},
		"Given more than once.":           {"Idempotency-Key: a", "Idempotency-Key: b"},
	} {
		r := s.want(t, 400, "POST", "/orders", orderOf("the_odyssey", 1), headers...)
		if r.code(t) != hangar.ValidationError || !strings.Contains(r.body, `{"Idempotency-Key":["`+complaint+`"]}`) {
			t.Errorf("headers %.60q: %s, want VALIDATION_ERROR and %q", headers, r.body, complaint)
		}
	}
	s.want(t, 400, "POST", "/orders", orderOf("the_odyssey", 1), "Idempotency-Key: a", "Idempotency-Key: a")
	longest := "Idempotency-Key: " + strings.Repeat("k", 255)
	s.want(t, 400, "POST", "/orders", orderOf("the_odyssey", 0), longest)
	s.want(t, 400, "POST", "/orders", "{", longest)
	// Nothing was stored with the key: the corrected body is a new order.
	first := s.want(t, 200, "POST", "/orders", orderOf("the_odyssey", 1), longest)
	again := s.want(t, 200, "POST", "/orders", orderOf("the_odyssey", 1), longest)
	if first.header.Get("Idempotent-Replayed") != "" || again.header.Get("Idempotent-Replayed") != "true" {
		t.Errorf("a corrected order is replayed: %v, then again: %v; want only the second time", first.header, again.header)
	}
	if n := s.inStock(t, "the_odyssey"); n != 9 {
		t.Errorf("in stock: %d, want 9", n)
	}
}

func TestPages(t *testing.T) {
	s := newStore(t)
	for i := range 5 {
		s.want(t, 200, "POST", "/products", strings.Replace(odyssey, "the_odyssey", fmt.Sprintf("p &%d", i), 1))
		s.want(t, 200, "POST", "/orders", orderOf(fmt.Sprintf("p &%d", i), 1))
	}
	for _, start := range []string{"/products?limit=2", "/products/?limit=2", "/orders?limit=2", "/orders?limit=2&sort=-id", "/orders?limit=5"} {
		var ids []string
		for path, pages := start, 0; path != ""; pages++ {
			if pages > 5 {
				t.Fatalf("%s: the pages do not end", start)
			}
			r := s.want(t, 200, "GET", path, "")
			var items []struct{ ID any }
			r.decode(t, &items)
			for _, item := range items {
				ids = append(ids, fmt.Sprint(item.ID))
			}
			link, _, _ := strings.Cut(strings.TrimPrefix(r.header.Get("Link"), "<"), ">")
			path = link
		}
		want := "1 2 3 4 5"
		switch {
		case strings.HasPrefix(start, "/products"):
			want = "p &0 p &1 p &2 p &3 p &4"
		case strings.HasSuffix(start, "-id"):
			want = "5 4 3 2 1"
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("all pages from %s: %s, want %s", start, got, want)
		}
	}
	for _, path := range []string{"/products?limit=0", "/products?limit=1001", "/orders?limit=x", "/orders?after=x", "/orders?after=-1", "/orders?sort=price"} {
		if code := s.want(t, 400, "GET", path, "").code(t); code != hangar.ValidationError {
			t.Errorf("GET %s: %s, want VALIDATION_ERROR", path, code)
		}
	}
	s.want(t, 200, "GET", "/products?limit=1000", "")
}

func TestBadBodiesStoreNothing(t *testing.T) {
	s := newStore(t)
	lines := func(n int) string {
		line := `{"product_id": "the_odyssey", "price": 1, "quantity": 1}`
		return `{"order_details": [` + line + strings.Repeat(", "+line, n-1) + `]}`
	}
	for name, test := range map[string]struct {
		path, body string
		status     int
		code       hangar.Code
	}{
		"broken UTF-8":        {"/products", strings.Replace(odyssey, "The", "T\xff", 1), 400, hangar.BadRequest},
		"lone surrogate":      {"/products", strings.Replace(odyssey, "The", `T\ud800`, 1), 400, hangar.BadRequest},
		"NUL":                 {"/products", strings.Replace(odyssey, "The", `T\u0000`, 1), 400, hangar.ValidationError},
		"duplicate name":      {"/products", strings.Replace(odyssey, `"title"`, `"id": "x", "title"`, 1), 400, hangar.BadRequest},
		"trailing garbage":    {"/products", odyssey + "x", 400, hangar.BadRequest},
		"two values":          {"/products", odyssey + odyssey, 400, hangar.BadRequest},
		"cut off":             {"/products", odyssey[:40], 400, hangar.BadRequest},
		"deep nesting":        {"/orders", strings.Repeat("[", 100_000), 400, hangar.BadRequest},
		"deep nesting closed": {"/orders", strings.Repeat("[", 18) + strings.Repeat("]", 18), 400, hangar.BadRequest},
		"NaN":                 {"/products", strings.Replace(odyssey, "101", "NaN", 1), 400, hangar.BadRequest},
		"huge exponent":       {"/products", strings.Replace(odyssey, "101", "1e999999999", 1), 400, hangar.ValidationError},
		"many digits":         {"/products", strings.Replace(odyssey, "101", strings.Repeat("9", 100_000), 1), 400, hangar.ValidationError},
		"fraction":            {"/products", strings.Replace(odyssey, "101", "1.5", 1), 400, hangar.ValidationError},
		"boolean":             {"/products", strings.Replace(odyssey, "101", "true", 1), 400, hangar.ValidationError},
		"dot id":              {"/products", strings.Replace(odyssey, "the_odyssey", "..", 1), 400, hangar.ValidationError},
		"long id":             {"/products", strings.Replace(odyssey, "the_odyssey", strings.Repeat("x", 256), 1), 400, hangar.ValidationError},
		"control character":   {"/products", strings.Replace(odyssey, "the_odyssey", `a\n`, 1), 400, hangar.ValidationError},
		"too large":           {"/products", strings.Replace(odyssey, "The", strings.Repeat("x", 1<<20), 1), 413, hangar.BodyTooLarge},
		"huge price":          {"/orders", strings.Replace(orderOf("the_odyssey", 1), `"100.50"`, "1e999999999", 1), 400, hangar.ValidationError},
		"1001 lines":          {"/orders", lines(1001), 400, hangar.ValidationError},
		"line is no object":   {"/orders", `{"order_details": [1]}`, 400, hangar.ValidationError},
		"lines are null":      {"/orders", `{"order_details": null}`, 400, hangar.ValidationError},
	} {
		t.Run(name, func(t *testing.T) {
			r := s.want(t, test.status, "POST", test.path, test.body)
			if code := r.code(t); code != test.code {
				t.Errorf("answered %s, want %s", r.body, test.code)
			}
		})
	}
	for _, path := range []string{"/products", "/orders"} {
		if r := s.want(t, 200, "GET", path, ""); strings.TrimSpace(r.body) != "[]" {
			t.Errorf("GET %s after nothing but bad requests: %s, want []", path, r.body)
		}
	}
	s.want(t, 200, "POST", "/products", strings.Replace(odyssey, "10}", "1000}", 1))
	s.want(t, 200, "POST", "/orders", lines(1000))
	if n := s.inStock(t, "the_odyssey"); n != 0 {
		t.Errorf("in stock after an order of 1000 lines of 1: %d, want 0", n)
	}
}

func TestMethodNotAllowedNamesTheAllowed(t *testing.T) {
	s := newStore(t)
	for path, allow := range map[string]string{
		"/products":           "GET, HEAD, POST",
		"/products/x":         "DELETE, GET, HEAD",
		"/orders/1":           "DELETE, GET, HEAD, PUT",
		"/orders/1/cancel":    "POST",
		"/products/x/restock": "POST",
	} {
		r := s.want(t, 405, "PATCH", path, "")
		if got := r.header.Get("Allow"); got != allow || r.code(t) != hangar.MethodNotAllowed {
			t.Errorf("PATCH %s: Allow %q and %s, want %q", path, got, r.body, allow)
		}
	}
}

// failing is an order service that fails as it is told.
type failing struct {
	hangar.OrderService
	fail func() error
}

func (f failing) Order(context.Context, int64) (hangar.Order, error) { return hangar.Order{}, f.fail() }

func TestInnerErrorsStayInside(t *testing.T) {
	s := newStore(t)
	fail := errors.New("disk says no")
	s.serve(t, failing{s.orders, func() error { return fail }}, s.products)
	r := s.want(t, 500, "GET", "/orders/1", "", "X-Request-Id: my-id")
	if strings.Contains(r.body, "disk") || r.code(t) != hangar.Unexpected || r.header.Get("X-Request-Id") != "my-id" {
		t.Errorf("answered %s with %v, want UNEXPECTED_ERROR without the cause and the request's id", r.body, r.header)
	}
	if log := s.log.String(); !strings.Contains(log, "disk says no") || !strings.Contains(log, "my-id") {
		t.Errorf("log %s, want the cause under the request's id", log)
	}

	fail = context.DeadlineExceeded
	r = s.want(t, 503, "GET", "/orders/1", "")
	if r.code(t) != hangar.Unavailable || r.header.Get("Retry-After") == "" {
		t.Errorf("answered %s with %v, want UNAVAILABLE and Retry-After", r.body, r.header)
	}
}

func TestPanicIsAnswered(t *testing.T) {
	s := newStore(t)
	s.serve(t, failing{s.orders, func() error { panic("boom") }}, s.products)
	for range 2 {
		r := s.want(t, 500, "GET", "/orders/1", "")
		if strings.Contains(r.body, "boom") || r.code(t) != hangar.Unexpected || r.header.Get("X-Request-Id") == "" {
			t.Errorf("answered %s with %v, want UNEXPECTED_ERROR and an id", r.body, r.header)
		}
	}
	s.want(t, 404, "GET", "/products/x", "")
	if log := s.log.String(); !strings.Contains(log, "boom") || !strings.Contains(log, "gateway_test.go") {
		t.Errorf("log %s, want the panic with its stack", log)
	}
}

func TestHeaderLimit(t *testing.T) {
	s := newStore(t)
	conn, answers := s.connect(t)
	fmt.Fprintf(conn, "GET /products HTTP/1.1\r\nHost: x\r\nX-Large: %s\r\n\r\n", strings.Repeat("x", 64<<10))
	if resp := readAnswer(t, answers); resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("a header of 64 KiB was answered %d, want 431", resp.StatusCode)
	}
}

func TestLogHasOneLineARequest(t *testing.T) {
	s := newStore(t)
	s.want(t, 404, "GET", "/products/x", "")
	s.want(t, 200, "GET", "/products", "")
	s.want(t, 404, "GET", "/who/knows/what", "")
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	if len(lines) != 3 {
		t.Fatalf("log has %d lines, want 3:\n%s", len(lines), s.log.String())
	}
	for _, member := range []string{`"request_id":`, `"method":"GET"`, `"route":"/products/{id}"`, `"path":"/products/x"`, `"status":404`, `"took":`} {
		if !strings.Contains(lines[0], member) {
			t.Errorf("log line %s lacks %s", lines[0], member)
		}
	}
	if !strings.Contains(lines[2], `"route":"other"`) {
		t.Errorf("log line %s of no route, want other", lines[2])
	}
}

// A trace that a request brings is in its line, whether or not spans are sent; what
// is malformed is passed over.
func TestLogHasTheTrace(t *testing.T) {
	s := newStore(t)
	const id = "0af7651916cd43dd8448eb211c80319c"
	headers := []string{
		"Traceparent: 00-" + id + "-b7ad6b7169203331-01",
		"Traceparent: 00-" + id + "-0000000000000000-01",
		"Traceparent: 00-" + strings.ToUpper(id) + "-b7ad6b7169203331-01",
		"Traceparent: ff-" + id + "-b7ad6b7169203331-01",
		"Traceparent: " + id,
		"Traceparent: ",
	}
	for _, header := range headers {
		s.want(t, 200, "GET", "/products", "", header)
	}
	s.want(t, 200, "GET", "/products", "", headers[0], headers[0])
	lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
	for i, line := range lines {
		if has := strings.Contains(line, `"trace_id":"`+id+`"`); has != (i == 0) || strings.Contains(line, "trace_id") != has {
			t.Errorf("the line of request %d is %s, want the trace's id only in that of the first", i, line)
		}
	}
}
