package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"hangar/hangartest"
	"hangar/redis"
)

func TestCacheThatCannotBeHad(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--cache", "ttl", "--orders-db", "postgres://localhost:1/orders"}, "--cache ttl with --orders-db needs --amqp"},
		{[]string{"--cache", "redis"}, "name it with --cache-redis"},
		{[]string{"--cache", "redis", "--cache-redis", "redis://:secret@h:x"}, `cache-redis is "redis://:***@h:x" (flag --cache-redis)`},
		{[]string{"--cache", "redis", "--cache-redis", "redis://localhost:1/2", "--products-db", "redis://localhost:1?db=2"},
			"names the products' own database"},
	} {
		got := hangarCommand(t, environment{}, append([]string{"serve", "--addr", "127.0.0.1:0", "--data", t.TempDir()}, test.args...)...)
		if got.code != 2 || !strings.Contains(got.stderr, test.want) || strings.Contains(got.stderr, "secret") {
			t.Errorf("serve %q exited with %d: %swant 2 and %s", test.args, got.code, got.stderr, test.want)
		}
	}
}

// The API is the same with a cache.
func TestHTTPContractWithCache(t *testing.T) {
	s := serveStore(t, t.TempDir(), "--cache", "ttl", "--cache-ttl", "24h")
	hangartest.TestHTTPContract(t, s.url)
	s.stop()
	if log := s.stderr.String(); !strings.Contains(log, "the cache was used") {
		t.Errorf("the log does not say what the cache was good for:\n%s", log)
	}
}

func TestFleetHTTPContractWithCache(t *testing.T) {
	for _, mode := range []string{"ttl", "redis"} {
		t.Run(mode, func(t *testing.T) {
			f := newFleet(t)
			f.cache = []string{"--cache", mode, "--cache-ttl", "1h", "--cache-redis", hangartest.Redis(t)}
			for _, service := range []string{"gateway", "orders", "products"} {
				f.serve(t, service)
			}
			f.waitUntilServed(t)
			hangartest.TestHTTPContract(t, f.services["gateway"].url)
		})
	}
}

const oneProduct = `{"id": "p", "title": "P", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": %d}`

// Stock may be shown as it was; what is put is shown at once.
func TestCachedStock(t *testing.T) {
	s := serveStore(t, t.TempDir(), "--cache", "ttl", "--cache-ttl", "24h", "--cache-stock-age", "24h")
	inStock := func() (n int) {
		t.Helper()
		status, answer := request(t, "GET", s.url+"/products/p", "")
		var product struct {
			InStock int `json:"in_stock"`
		}
		if err := json.Unmarshal([]byte(answer), &product); err != nil || status != 200 {
			t.Fatalf("GET /products/p: %d %s", status, answer)
		}
		return product.InStock
	}
	request(t, "POST", s.url+"/products", fmt.Sprintf(oneProduct, 5))
	if n := inStock(); n != 5 {
		t.Errorf("%d in stock, want 5", n)
	}
	request(t, "POST", s.url+"/orders", `{"order_details": [{"product_id": "p", "price": 1, "quantity": 1}]}`)
	if n := inStock(); n != 5 {
		t.Errorf("%d in stock after an order, want 5 from the cache", n)
	}
	request(t, "POST", s.url+"/products", fmt.Sprintf(oneProduct, 9))
	if n := inStock(); n != 9 {
		t.Errorf("%d in stock after the product was put anew, want 9", n)
	}
	request(t, "DELETE", s.url+"/products/p", "")
	if status, answer := request(t, "GET", s.url+"/products/p", ""); status != 404 {
		t.Errorf("GET /products/p after its deletion: %d %s, want 404", status, answer)
	}
}

// Two gateways on one broker: what is changed or put through one is seen through
// the other.
func TestCachesOfTwoGateways(t *testing.T) {
	f := newFleet(t)
	f.cache = []string{"--cache", "ttl", "--cache-ttl", "24h", "--cache-stock-age", "24h"}
	a := f.serve(t, "gateway")
	b := f.serve(t, "gateway")
	f.serve(t, "orders")
	f.serve(t, "products")
	f.waitUntilServed(t)
	waitFor(t, "the first gateway", func() bool {
		status, _ := request(t, "POST", a.url+"/products", fmt.Sprintf(oneProduct, 5))
		return status == 200
	})
	request(t, "POST", a.url+"/orders", `{"order_details": [{"product_id": "p", "price": 1, "quantity": 1}]}`)
	for _, url := range []string{a.url, b.url} {
		for range 2 {
			if status, answer := request(t, "GET", url+"/orders/1", ""); status != 200 || !strings.Contains(answer, `"status":"confirmed"`) {
				t.Fatalf("GET /orders/1: %d %s", status, answer)
			}
		}
	}
	if status, answer := request(t, "POST", a.url+"/orders/1/cancel", ""); status != 200 {
		t.Fatalf("cancel: %d %s", status, answer)
	}
	if _, answer := request(t, "GET", a.url+"/orders/1", ""); !strings.Contains(answer, `"status":"cancelled"`) {
		t.Errorf("the gateway that cancelled the order answers %s", answer)
	}
	waitFor(t, "the cancelled order through the other gateway", func() bool {
		_, answer := request(t, "GET", b.url+"/orders/1", "")
		return strings.Contains(answer, `"status":"cancelled"`)
	})
	request(t, "POST", b.url+"/products", fmt.Sprintf(oneProduct, 77))
	waitFor(t, "the product as it was put through the other gateway", func() bool {
		_, answer := request(t, "GET", a.url+"/products/p", "")
		return strings.Contains(answer, `"in_stock":77`)
	})
}

// The orders service drops what gateways have in Redis by itself, before a change
// is answered.
func TestOrdersServiceDropsFromRedis(t *testing.T) {
	f := newFleet(t)
	url := hangartest.Redis(t)
	f.cache = []string{"--cache", "redis", "--cache-redis", url}
	f.serve(t, "gateway")
	f.serve(t, "orders")
	f.serve(t, "products")
	f.waitUntilServed(t)
	shared, err := redis.NewCache(url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer shared.Close()
	cached := func() bool {
		values, err := shared.Get(t.Context(), []string{"order:1"})
		return err == nil && values[0] != nil
	}
	gateway := f.services["gateway"].url
	request(t, "POST", gateway+"/products", fmt.Sprintf(oneProduct, 5))
	request(t, "POST", gateway+"/orders", `{"order_details": [{"product_id": "p", "price": 1, "quantity": 1}]}`)
	waitFor(t, "the order to be kept in Redis", func() bool {
		request(t, "GET", gateway+"/orders/1", "")
		return cached()
	})
	f.services["gateway"].stop() // so that nobody else drops it
	got := hangarCommand(t, environment{"AMQP_URI": f.amqp}, "rpc", "orders.cancel_order", "1")
	if got.code != 0 {
		t.Fatalf("cancel_order exited with %d: %s", got.code, got.stderr)
	}
	if cached() {
		t.Error("the order is still in Redis after it was cancelled")
	}
}
