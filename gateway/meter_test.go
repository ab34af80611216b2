package gateway_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/gateway"
)

// tally is a meter that counts.
type tally struct {
	mu      sync.Mutex
	began   int
	ended   map[string]int
	refused int
}

func (c *tally) RequestBegan() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.began++
}

func (c *tally) RequestEnded(route, method string, status int, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if took <= 0 {
		route += " in no time"
	}
	c.ended[fmt.Sprintf("%s by %s: %d", route, method, status)]++
}

func (c *tally) RequestRefused() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refused++
}

// failingOrders fails in every way.
type failingOrders struct{ hangar.OrderService }

func (failingOrders) DeleteOrder(context.Context, int64) error { panic("oh") }

func (failingOrders) CancelOrder(context.Context, int64) (hangar.Order, error) {
	panic(http.ErrAbortHandler)
}

func TestMeterIsToldOfEachRequest(t *testing.T) {
	meter := &tally{ended: make(map[string]int)}
	services := strictServices{t: t}
	handler := gateway.New(gateway.Config{Orders: failingOrders{services}, Products: services, Meter: meter, Log: slog.New(slog.DiscardHandler)})
	do := func(method, path string) {
		defer func() { _ = recover() }() // as a server does
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(method, path, strings.NewReader("")))
	}
	for _, path := range []string{"/products/the_odyssey", "/products/nope", "/products", "/products/", "/nowhere", "/orders/1/", "/readyz", "/"} {
		do("GET", path)
	}
	do("HEAD", "/products/the_odyssey")
	do("DELETE", "/orders/1")
	do("POST", "/orders/1/cancel")
	do("BREW", "/orders/1")
	do("OPTIONS", "*")
	want := map[string]int{
		"/products/{id} by GET: 200":     1,
		"/products/{id} by GET: 404":     1,
		"/products by GET: 200":          2, // with a slash at the end and without
		"/ by GET: 200":                  1,
		"other by GET: 404":              2,
		"/readyz by GET: 200":            1,
		"/products/{id} by HEAD: 200":    1,
		"/orders/{id} by DELETE: 500":    1,
		"/orders/{id}/cancel by POST: 0": 1,
		"/orders/{id} by BREW: 405":      1,
		"other by OPTIONS: 404":          1,
	}
	if diff := cmp.Diff(want, meter.ended); diff != "" {
		t.Errorf("the meter was told (-want +got):\n%s", diff)
	}
	if meter.began != 13 || meter.refused != 0 {
		t.Errorf("the meter was told of %d requests that began and %d that were refused, want 13 and 0", meter.began, meter.refused)
	}
}

// blockedProducts answer when they are told to.
type blockedProducts struct {
	hangar.ProductService
	asked, goOn chan struct{}
}

func (b blockedProducts) Product(context.Context, string) (hangar.Product, error) {
	b.asked <- struct{}{}
	<-b.goOn
	return hangar.Product{}, nil
}

func TestMeterIsToldOfRefusals(t *testing.T) {
	meter := &tally{ended: make(map[string]int)}
	products := blockedProducts{asked: make(chan struct{}), goOn: make(chan struct{})}
	handler := gateway.New(gateway.Config{Products: products, MaxRequests: 1, Meter: meter, Log: slog.New(slog.DiscardHandler)})
	get := func() {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/products/x", nil))
	}
	var first sync.WaitGroup
	first.Go(get)
	<-products.asked
	get()
	close(products.goOn)
	first.Wait()
	if meter.refused != 1 || meter.began != 1 || len(meter.ended) != 1 {
		t.Errorf("the meter was told of %d refusals, %d requests that began, %v, want one each", meter.refused, meter.began, meter.ended)
	}
}

func TestReadyzTellsWhatItStandsOn(t *testing.T) {
	for _, test := range []struct {
		ready   bool
		refuses bool
		status  int
		body    string
	}{
		{true, false, 200, `{"ready":true,"checks":{"broker":"is so","gateway":"serving"}}`},
		{false, false, 503, `{"ready":false,"checks":{"broker":"is so","gateway":"serving"}}`},
		{true, true, 503, `{"ready":false,"checks":{"broker":"is so","gateway":"draining"}}`},
	} {
		health := func() (bool, map[string]string) { return test.ready, map[string]string{"broker": "is so"} }
		readiness := new(gateway.Readiness)
		if test.refuses {
			readiness.Refuse()
		}
		for name, handler := range map[string]http.Handler{
			"gateway": gateway.New(gateway.Config{Health: health, Readiness: readiness, Log: slog.New(slog.DiscardHandler)}),
			"probes":  gateway.NewProbes(readiness, health),
		} {
			w := httptest.NewRecorder()
			handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
			if w.Code != test.status || w.Body.String() != test.body+"\n" {
				t.Errorf("%s: GET /readyz: %d %s, want %d %s", name, w.Code, w.Body, test.status, test.body)
			}
		}
	}
	readiness := &gateway.Readiness{Name: "orders"}
	w := httptest.NewRecorder()
	gateway.NewProbes(readiness, nil).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/readyz", nil))
	if want := `{"ready":true,"checks":{"orders":"serving"}}` + "\n"; w.Body.String() != want {
		t.Errorf("GET /readyz of a service: %s, want %s", w.Body, want)
	}
}
