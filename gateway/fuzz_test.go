package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hangar"
	"hangar/gateway"
)

// known is a product and an order that the strict services have.
const (
	knownProduct = "the_odyssey"
	knownOrder   = 1
)

// strictServices have one product and one order, and fail the test when they are
// asked for what no service should be.
type strictServices struct {
	hangar.ProductService
	hangar.OrderService
	t *testing.T
}

func (s strictServices) valid(what any, err error) {
	if err != nil {
		s.t.Errorf("a service was asked to take %+v, which is not valid: %v", what, err)
	}
}

func (s strictServices) PutProduct(_ context.Context, p hangar.Product) error {
	s.valid(p, p.Validate())
	return nil
}

func (s strictServices) CreateProduct(_ context.Context, p hangar.Product) error {
	s.valid(p, p.Validate())
	return hangar.NewProductExists(p.ID)
}

func (s strictServices) Product(_ context.Context, id string) (hangar.Product, error) {
	if id != knownProduct {
		return hangar.Product{}, hangar.NewProductNotFound(id)
	}
	return hangar.Product{ID: id, Title: "T"}, nil
}

func (s strictServices) Products(context.Context, []string) ([]hangar.Product, error) {
	return []hangar.Product{{ID: knownProduct}}, nil
}

func (s strictServices) ListProducts(_ context.Context, q hangar.ProductQuery) (hangar.Page[hangar.Product], error) {
	s.valid(q, q.Validate())
	return hangar.Page[hangar.Product]{Items: []hangar.Product{{ID: q.After + "&;\"\x7f\xff"}}, More: true}, nil
}

func (s strictServices) DeleteProduct(ctx context.Context, id string) error {
	_, err := s.Product(ctx, id)
	return err
}

func (s strictServices) Restock(ctx context.Context, r hangar.Restock) (hangar.Restocked, error) {
	err := r.Validate()
	r.IdempotencyKey = "" // only the service checks it
	s.valid(r, r.Validate())
	if err != nil {
		return hangar.Restocked{}, err
	}
	p, err := s.Product(ctx, r.ID)
	return hangar.Restocked{Product: p}, err
}

func (s strictServices) CreateOrder(_ context.Context, n hangar.NewOrder) (hangar.OrderCreation, error) {
	err := n.Validate()
	n.IdempotencyKey = "" // only the service checks it
	s.valid(n, n.Validate())
	return hangar.OrderCreation{Order: hangar.Order{ID: knownOrder}}, err
}

func (s strictServices) Order(_ context.Context, id int64) (hangar.Order, error) {
	if id != knownOrder {
		return hangar.Order{}, hangar.NewOrderNotFound(strconv.FormatInt(id, 10))
	}
	lines := []hangar.OrderDetail{{ID: 1, ProductID: knownProduct, Price: 1, Quantity: 1}}
	return hangar.Order{ID: id, Status: hangar.Confirmed, Details: lines, CreatedAt: time.Unix(0, 0).UTC()}, nil
}

func (s strictServices) UpdateOrder(ctx context.Context, u hangar.OrderUpdate) (hangar.Order, error) {
	o, err := s.Order(ctx, u.ID)
	if err == nil {
		o.Details, err = u.Apply(o.Details)
	}
	return o, err
}

func (s strictServices) CancelOrder(ctx context.Context, id int64) (hangar.Order, error) {
	return s.Order(ctx, id)
}

func (s strictServices) DeleteOrder(ctx context.Context, id int64) error {
	_, err := s.Order(ctx, id)
	return err
}

func (s strictServices) ListOrders(_ context.Context, q hangar.OrderQuery) (hangar.Page[hangar.Order], error) {
	s.valid(q, q.Validate())
	if q.After < 0 {
		s.t.Errorf("a service was asked for the orders after %d", q.After)
	}
	return hangar.Page[hangar.Order]{Items: []hangar.Order{{ID: q.After}}, More: true}, nil
}

// codes are the codes that go with a status. Nothing a client sends is answered
// with another one, such as 500.
var codes = map[int][]hangar.Code{
	http.StatusBadRequest:            {hangar.BadRequest, hangar.ValidationError},
	http.StatusForbidden:             {hangar.Forbidden},
	http.StatusNotFound:              {hangar.NotFound, hangar.ProductNotFound, hangar.OrderNotFound},
	http.StatusMethodNotAllowed:      {hangar.MethodNotAllowed},
	http.StatusPreconditionFailed:    {hangar.ProductExists},
	http.StatusRequestEntityTooLarge: {hangar.BodyTooLarge},
}

// FuzzRequests sends requests as they arrive, byte by byte, to the whole API.
func FuzzRequests(f *testing.F) {
	for _, c := range contractRequests(f) {
		f.Add(c.Method, c.Path, "", c.Body)
	}
	for _, seed := range []struct{ method, target, header, body string }{
		{"GET", "/orders?limit=2&after=1&sort=-id", "", ""},
		{"GET", "/products?limit=1000&after=%ff", "X-Request-Id: a b", ""},
		{"GET", "/orders?status=cancelled&sort=-id", "", ""},
		{"GET", "/products?prefix=%c3&after=%c3%a9", "", ""},
		{"POST", "/products/the_odyssey/restock", "Idempotency-Key: k", `{"quantity": 9007199254740991}`},
		{"GET", "/orders/00000000000000000001", "", ""},
		{"GET", "/orders/9223372036854775808", "", ""},
		{"HEAD", "/products/the_odyssey", "", ""},
		{"POST", "/products//x", "", "{}"},
		{"POST", "/products", "Origin: http://other", "{}"},
		{"OPTIONS", "*", "", ""},
		{"GET", "http://other/readyz?x", "", ""},
		{"POST", "/orders", "Idempotency-Key: \xff", `{"order_details": [{"product_id": "x", "price": 1e-2, "quantity": "1"}]}`},
		{"POST", "/products", "If-None-Match: *", odyssey},
		{"PUT", "/orders/1", "Content-Type: text/xml", `{"order_details": [{"id": 1, "price": "5.", "quantity": 1.0}]}`},
		{"PUT", "/orders/1/", "", ``},
		{"DELETE", "/products/%2e%2e", "", ""},
		{"GET", "/openapi.yaml", "Range: bytes=5-9", ""},
		{"GET", "/docs", "Range: bytes=99999999-", ""},
		{"GET", "/redoc", `If-Match: "x"`, ""},
		{"POST", "/orders", "Transfer-Encoding: chunked", "5\r\n{\"a\":\r\n0\r\n\r\n"},
	} {
		f.Add(seed.method, seed.target, seed.header, seed.body)
	}
	f.Fuzz(func(t *testing.T, method, target, header, body string) {
		raw := method + " " + target + " HTTP/1.1\r\nHost: x\r\n"
		if header != "" {
			raw += header + "\r\n"
		}
		if !strings.Contains(strings.ToLower(header), "transfer-encoding") {
			raw += fmt.Sprintf("Content-Length: %d\r\n", len(body))
		}
		r, err := http.ReadRequest(bufio.NewReader(strings.NewReader(raw + "\r\n" + body)))
		if err != nil {
			return // the server answers it itself
		}
		s := strictServices{t: t}
		handler := gateway.New(gateway.Config{Orders: s, Products: s, ImageRoot: "http://images", Log: slog.New(slog.DiscardHandler)})
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		checkAnswer(t, r, w)
	})
}

func checkAnswer(t *testing.T, r *http.Request, w *httptest.ResponseRecorder) {
	t.Helper()
	body := w.Body.String()
	if w.Header().Get("X-Request-Id") == "" {
		t.Errorf("%s %q: the answer has no X-Request-Id", r.Method, r.RequestURI)
	}
	if length := w.Header().Get("Content-Length"); length != "" && length != strconv.Itoa(len(body)) {
		t.Errorf("%s %q: Content-Length %s of %d bytes", r.Method, r.RequestURI, length, len(body))
	}
	switch {
	case w.Code == http.StatusTemporaryRedirect || w.Code == http.StatusMovedPermanently || w.Code == http.StatusFound:
		if w.Header().Get("Location") == "" {
			t.Errorf("%s %q is sent elsewhere, to nowhere", r.Method, r.RequestURI)
		}
	case w.Code == http.StatusNoContent:
		if body != "" {
			t.Errorf("%s %q: 204 with the body %q", r.Method, r.RequestURI, body)
		}
	case w.Code == http.StatusNotModified, w.Code == http.StatusPartialContent, w.Code == http.StatusRequestedRangeNotSatisfiable,
		(w.Code == http.StatusOK || w.Code == http.StatusPreconditionFailed) && w.Header().Get("ETag") != "":
		// a page, or a part of it, or of one that is as asked for
	case w.Code == http.StatusOK:
		if !json.Valid([]byte(body)) || w.Header().Get("Content-Type") != "application/json" {
			t.Errorf("%s %q: 200 with %q, which is no JSON", r.Method, r.RequestURI, body)
		}
	default:
		var e hangar.Error
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("%s %q: %d with %q, which is no error: %v", r.Method, r.RequestURI, w.Code, body, err)
		}
		if !slices.Contains(codes[w.Code], e.Code) || e.Message == "" {
			t.Errorf("%s %q: %d with %s", r.Method, r.RequestURI, w.Code, body)
		}
	}
}

type contractRequest struct{ Method, Path, Body string }

// contractRequests are the requests of the recorded contract.
func contractRequests(f *testing.F) (requests []contractRequest) {
	recorded, err := os.ReadFile("../hangartest/testdata/http.json")
	if err != nil {
		f.Fatal(err)
	}
	var contract struct {
		Cases []struct{ Request contractRequest }
	}
	if err := json.Unmarshal(recorded, &contract); err != nil {
		f.Fatal(err)
	}
	for _, c := range contract.Cases {
		c.Request.Path = strings.ReplaceAll(c.Request.Path, "{last}", strconv.Itoa(knownOrder))
		requests = append(requests, c.Request)
	}
	return requests
}
