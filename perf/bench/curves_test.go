package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAmountsArePowersOfTen(t *testing.T) {
	if diff := cmp.Diff([]int{10, 100, 1000}, amounts(9999)); diff != "" {
		t.Errorf("amounts up to 9999 (-want +got):\n%s", diff)
	}
}

// TestVisitTakesEachStepAndLeavesNothing goes through the steps at something that
// notes what is created and deleted.
func TestVisitTakesEachStepAndLeavesNothing(t *testing.T) {
	var (
		mu       sync.Mutex
		requests []string
		orders   int
	)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		requests = append(requests, r.Method+" "+r.URL.RequestURI())
		switch {
		case r.Method == http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case r.Method == http.MethodPost && r.URL.Path == "/orders":
			orders++
			fmt.Fprintf(w, `{"id": %d}`, 100+orders)
		}
	})
	s := &visited{client: newClient(), url: url, amount: amount{products: 1, orders: 1}, took: make(map[string][]time.Duration)}
	if err := s.visit(t.Context()); err != nil {
		t.Fatal(err)
	}
	var want []string
	for i := 1; i <= visit; i++ {
		want = append(want, "POST /products", "GET /products/product-0000000", "POST /orders", "GET /orders/1",
			fmt.Sprint("DELETE /products/created-", i), "GET /orders?limit=100", fmt.Sprint("DELETE /orders/", 100+i))
	}
	if diff := cmp.Diff(want, requests); diff != "" {
		t.Errorf("the requests of a visit (-want +got):\n%s", diff)
	}
	for _, label := range labels {
		if n := len(s.took[label]); n != visit {
			t.Errorf("%s has %d samples, want %d", label, n, visit)
		}
	}
}

func TestWarmUpLeavesNoSamples(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.Method {
		case http.MethodDelete:
			w.WriteHeader(http.StatusNoContent)
		case http.MethodPost:
			fmt.Fprint(w, `{"id": 1}`)
		}
	})
	s := &visited{client: newClient(), url: url, amount: amount{products: 9, orders: 9}, took: make(map[string][]time.Duration)}
	if err := s.warmUp(t.Context()); err != nil {
		t.Fatal(err)
	}
	if s.last != visit || len(s.took) != 0 {
		t.Errorf("after %d rounds of the steps there are samples of %d labels, want %d and none", s.last, len(s.took), visit)
	}
}

func TestVisitSaysWhichStepFailed(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && r.URL.Path == "/orders" {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	s := &visited{client: newClient(), url: url, amount: amount{products: 1, orders: 1}, took: make(map[string][]time.Duration)}
	if err := s.visit(t.Context()); err == nil || !strings.HasPrefix(err.Error(), "orders-create: ") {
		t.Errorf("an order that fails ended the visit with %v, want orders-create and why", err)
	}
}

// someFigures are of one mode, with 10 and 100 stored.
func someFigures() []figure {
	var figures []figure
	for _, against := range []string{"products", "orders"} {
		for i, n := range []int{10, 100} {
			for k, label := range labels {
				d := time.Duration(1+k+10*i) * time.Millisecond
				figures = append(figures, figure{"process", against, n, label, 50, d, 2 * d})
			}
		}
	}
	return figures
}

func TestFiguresAsCSV(t *testing.T) {
	var out bytes.Buffer
	if err := writeFigures(&out, someFigures()[5:7]); err != nil {
		t.Fatal(err)
	}
	want := `mode,against,stored,label,samples,median_ms,p99_ms
process,products,10,list-orders,50,6.000,12.000
process,products,100,products-create,50,11.000,22.000
`
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("the figures (-want +got):\n%s", diff)
	}
}

func TestDrawnTakesTheFiguresOfOneCurve(t *testing.T) {
	figures := someFigures()
	for i := range figures {
		if figures[i].against == "products" {
			figures[i].median += time.Second
		}
	}
	p := drawn(figures, "process", "orders")
	if diff := cmp.Diff([]int{10, 100}, p.amounts); diff != "" {
		t.Errorf("amounts (-want +got):\n%s", diff)
	}
	want := []panel{
		{"median, ms", [][]float64{{1, 11}, {2, 12}, {3, 13}, {4, 14}, {5, 15}, {6, 16}}},
		{"p99, ms", [][]float64{{2, 22}, {4, 24}, {6, 26}, {8, 28}, {10, 30}, {12, 32}}},
	}
	if diff := cmp.Diff(want, p.panels, cmp.AllowUnexported(panel{})); diff != "" {
		t.Errorf("panels (-want +got):\n%s", diff)
	}
}

func TestKeepFiguresWritesATableAndAPictureOfEachCurve(t *testing.T) {
	docs := t.TempDir()
	if err := keepFigures(docs, someFigures()); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(docs, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for i, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(content), "product-delete") {
			t.Errorf("%s does not name the label product-delete", file)
		}
		files[i], _ = filepath.Rel(docs, file)
	}
	slices.Sort(files)
	want := []string{"figures/response-times.csv", "images/response-time-process-orders.svg", "images/response-time-process-products.svg"}
	if diff := cmp.Diff(want, files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
}
