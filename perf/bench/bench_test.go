package main

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"hangar"
	"hangar/gateway"
	"hangar/orders"
	"hangar/products"
	"hangar/sqlite"
)

// newAPI returns a store's handler, with one product in it.
func newAPI(b *testing.B) http.Handler {
	b.Helper()
	log := slog.New(slog.DiscardHandler)
	file, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "hangar.db"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := file.Close(); err != nil {
			b.Error(err)
		}
	})
	p := products.NewService(file.Products, log)
	err = p.PutProduct(b.Context(), hangar.Product{ID: "the_odyssey", Title: "The Odyssey", InStock: hangar.MaxInteger})
	if err != nil {
		b.Fatal(err)
	}
	o := orders.NewService(file.Orders, p, log)
	o.CreateWith(file.Orders)
	return gateway.New(gateway.Config{Orders: o, Products: p, Log: log})
}

func request(b *testing.B, api http.Handler, method, path, body string) {
	w := httptest.NewRecorder()
	api.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	if w.Code != http.StatusOK {
		b.Errorf("%s %s answered %d %s", method, path, w.Code, w.Body)
	}
}

const anOrder = `{"order_details":[{"product_id":"the_odyssey","price":"100000.99","quantity":1}]}`

func BenchmarkGetProduct(b *testing.B) {
	api := newAPI(b)
	b.ReportAllocs()
	for b.Loop() {
		request(b, api, "GET", "/products/the_odyssey", "")
	}
}

func BenchmarkGetOrder(b *testing.B) {
	api := newAPI(b)
	request(b, api, "POST", "/orders", anOrder)
	b.ReportAllocs()
	for b.Loop() {
		request(b, api, "GET", "/orders/1", "")
	}
}

// BenchmarkPostOrder places orders one after the other: each waits for an
// fsync of its own.
func BenchmarkPostOrder(b *testing.B) {
	api := newAPI(b)
	b.ReportAllocs()
	for b.Loop() {
		request(b, api, "POST", "/orders", anOrder)
	}
}

// BenchmarkCreateOrder places orders from 64 callers at a time, which share
// fsyncs.
func BenchmarkCreateOrder(b *testing.B) {
	s, err := openService(b.Context(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.close()
	var n atomic.Int64
	b.SetParallelism(callers / 2)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			id := fmt.Sprint("p", n.Add(1)%durableProducts)
			_, err := s.orders.CreateOrder(b.Context(), hangar.NewOrder{Details: []hangar.OrderDetail{{ProductID: id, Price: 100, Quantity: 1}}})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}
