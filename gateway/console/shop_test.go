package console_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"hangar"
	"hangar/gateway/console"
	"hangar/orders"
	"hangar/products"
	"hangar/sqlite"
)

// shop is a whole store behind a console that serves on loopback.
type shop struct {
	url      string
	orders   hangar.OrderService
	products hangar.ProductService
	metrics  *metrics
	close    func() // ends the console's server
}

// metrics are those that a gateway has.
type metrics struct {
	*prometheus.Registry
	requests  *prometheus.CounterVec
	durations *prometheus.HistogramVec
	refused   *prometheus.CounterVec
}

func newMetrics() *metrics {
	m := &metrics{
		Registry:  prometheus.NewRegistry(),
		requests:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hangar_http_requests_total"}, []string{"route", "method", "code"}),
		durations: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "hangar_http_request_duration_seconds"}, []string{"route", "method"}),
		refused:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "hangar_http_requests_refused_total"}, []string{"reason"}),
	}
	m.MustRegister(m.requests, m.durations, m.refused)
	return m
}

// newShop opens an empty shop.
func newShop(t *testing.T) *shop {
	t.Helper()
	file, err := sqlite.Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := file.Close(); err != nil {
			t.Error(err)
		}
	})
	log := slog.New(slog.DiscardHandler)
	stock := products.NewService(file.Products, log)
	s := &shop{products: stock, orders: orders.NewService(file.Orders, stock, log)}
	s.serve(t)
	return s
}

// serve serves the console on what the shop has now.
func (s *shop) serve(t *testing.T) {
	t.Helper()
	s.metrics = newMetrics()
	mux := http.NewServeMux()
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url, s.close = server.URL, func() { server.CloseClientConnections(); server.Close() }
	mux.Handle("/console/", console.New(console.Config{
		Orders: s.orders, Products: s.products, ImageRoot: s.url + "/images", Metrics: s.metrics,
	}))
	mux.HandleFunc("/images/", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/svg+xml")
		_, _ = io.WriteString(w, picture)
	})
}

// holdUp serves the shop with services that hold answers back until release is called
// or the test ends.
func (s *shop) holdUp(t *testing.T, wrap func(goOn <-chan struct{})) (release func()) {
	t.Helper()
	goOn := make(chan struct{})
	release = sync.OnceFunc(func() { close(goOn) })
	wrap(goOn)
	s.serve(t)
	t.Cleanup(release) // before the server is closed, which waits for its answers
	return release
}

const picture = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 48 48"><rect width="48" height="48" fill="#7aa0d8"/>` +
	`<ellipse cx="24" cy="22" rx="17" ry="8" fill="#f3f6fb"/><path d="M20 29h8v4h-8z" fill="#44577a"/></svg>`

func (s *shop) put(t *testing.T, id string, stock int64) {
	t.Helper()
	err := s.products.PutProduct(t.Context(), hangar.Product{ID: id, Title: "Title of " + id, PassengerCapacity: 101, MaximumSpeed: 5, InStock: stock})
	if err != nil {
		t.Fatal(err)
	}
}

func (s *shop) order(t *testing.T, id string, quantity int64) int64 {
	t.Helper()
	created, err := s.orders.CreateOrder(t.Context(), hangar.NewOrder{Details: []hangar.OrderDetail{{ProductID: id, Price: 10050, Quantity: quantity}}})
	if err != nil && hangar.CodeOf(err) != hangar.OutOfStock {
		t.Fatal(err)
	}
	return created.Order.ID
}

func (s *shop) wantStock(t *testing.T, id string, want int64) {
	t.Helper()
	p, err := s.products.Product(t.Context(), id)
	if err != nil || p.InStock != want {
		t.Errorf("in stock of %s: %d, %v, want %d", id, p.InStock, err, want)
	}
}

// reply is what a request was answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// client follows no redirect: where one leads is part of the answer.
var client = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// do sends a request; headers are "Name: value".
func (s *shop) do(t *testing.T, method, path string, form url.Values, headers ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url+path, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// get asks for a page and fails unless it has that status and all of the texts.
func (s *shop) get(t *testing.T, status int, path string, texts ...string) reply {
	t.Helper()
	r := s.do(t, "GET", path, nil)
	r.want(t, "GET "+path, status, texts...)
	return r
}

// post sends a form, and fails unless the page that answers it has that status and
// all of the texts.
func (s *shop) post(t *testing.T, status int, path string, form url.Values, texts ...string) reply {
	t.Helper()
	r := s.do(t, "POST", path, form)
	r.want(t, "POST "+path, status, texts...)
	return r
}

// postTo sends a form, and fails unless the answer leads to that URL.
func (s *shop) postTo(t *testing.T, location, path string, form url.Values) {
	t.Helper()
	r := s.do(t, "POST", path, form)
	if r.status != http.StatusSeeOther || r.header.Get("Location") != location {
		t.Errorf("POST %s answered %d and leads to %q, want 303 and %q:\n%s", path, r.status, r.header.Get("Location"), location, r.text())
	}
}

func (r reply) want(t *testing.T, what string, status int, texts ...string) {
	t.Helper()
	if r.status != status {
		t.Errorf("%s answered %d, want %d:\n%s", what, r.status, status, r.text())
	}
	for _, text := range texts {
		if !strings.Contains(r.text(), text) {
			t.Errorf("%s does not say %q:\n%s", what, text, r.text())
		}
	}
}

func (r reply) wantNot(t *testing.T, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(r.text(), text) {
			t.Errorf("the page says %q:\n%s", text, r.text())
		}
	}
}

var (
	tags  = regexp.MustCompile(`<[^>]*>`)
	space = regexp.MustCompile(`\s+`)
)

// text is what a page says, without its elements.
func (r reply) text() string {
	_, main, found := strings.Cut(r.body, "<main")
	if !found {
		main = r.body
	}
	return strings.TrimSpace(space.ReplaceAllString(strings.NewReplacer("&#39;", "'", "&amp;", "&", "&#34;", `"`).Replace(tags.ReplaceAllString(main, " ")), " "))
}

// value returns what the input of that name has in the page.
func (r reply) value(t *testing.T, name string) string {
	t.Helper()
	found := regexp.MustCompile(`<input[^>]*name="` + name + `"[^>]*value="([^"]*)"`).FindStringSubmatch(r.body)
	if found == nil {
		t.Fatalf("the page has no input %s with a value:\n%s", name, r.body)
	}
	return found[1]
}

// placeOne orders something, for as long as ctx lasts.
func (s *shop) placeOne(ctx context.Context) {
	_, _ = s.orders.CreateOrder(ctx, hangar.NewOrder{Details: []hangar.OrderDetail{{ProductID: longID, Price: 1, Quantity: 1}}})
}
