package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
)

// proxyStore puts a proxy before a store that changes its answers.
func proxyStore(t *testing.T, s *store, change func(*http.Response) error) string {
	t.Helper()
	target, err := url.Parse(s.url)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(r *httputil.ProxyRequest) { r.SetURL(target) },
		Transport:      transport,
		ModifyResponse: change,
	}
	server := httptest.NewServer(proxy)
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return server.URL
}

// replaceBody changes one answer.
func replaceBody(r *http.Response, from, to string) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	body = bytes.ReplaceAll(body, []byte(from), []byte(to))
	r.Body = io.NopCloser(bytes.NewReader(body))
	r.ContentLength = int64(len(body))
	r.Header.Del("Content-Length")
	return nil
}

func TestSmokeNoticesAndCleansUp(t *testing.T) {
	s := serveStore(t, t.TempDir())
	for _, test := range []struct {
		name     string
		request  string // the answer to it is changed: status, or text in the body
		nth      int    // time that it is asked
		status   int
		from, to string
		want     string
	}{
		{"creation refused", "POST /products", 1, 500, "", "", "/products answered 500"},
		{"another id", "POST /products", 1, 0, "the_odyssey", "the_iliad", "want the id the_odyssey"},
		{"product missing", "GET /products/the_odyssey", 1, 404, "", "", "answered 404"},
		{"another title", "GET /products/the_odyssey", 1, 0, "The Odyssey", "The Iliad", "want the product as it was created, with 10 in stock"},
		{"a float", "GET /products/the_odyssey", 1, 0, ":101", ":10.1", "want JSON of another shape"},
		{"no JSON", "GET /products/the_odyssey", 1, 0, "{", "<", "want JSON of another shape"},
		{"order without id", "POST /orders", 1, 0, `"id"`, `"number"`, "want the id of an order"},
		{"another order", "GET /orders/", 1, 0, `"status":`, `"id":0,"status":`, "want the id "},
		{"order not confirmed", "GET /orders/", 1, 0, "confirmed", "pending", "want a confirmed order of one the_odyssey"},
		{"another price", "GET /orders/", 1, 0, `"price":"100000.99"`, `"price":"100000.98"`, "for 100000.99"},
		{"another quantity", "GET /orders/", 1, 0, `"quantity":1`, `"quantity":2`, "want a confirmed order of one"},
		{"no lines", "GET /orders/", 1, 0, "order_details", "lines", "want one line"},
		{"no image", "GET /orders/", 1, 0, `"image"`, `"picture"`, "want the URL of an image"},
		{"no product in the line", "GET /orders/", 1, 0, `"product":`, `"thing":`, "want the product the_odyssey in its line"},
		{"stock did not fall", "GET /products/the_odyssey", 2, 0, `"in_stock":9`, `"in_stock":10`, "with 9 in stock"},
		{"stock fell by two", "GET /products/the_odyssey", 2, 0, `"in_stock":9`, `"in_stock":8`, "with 9 in stock"},
		{"not in the list", "GET /orders?sort=-id&limit=100", 1, 0, `"id":`, `"number":`, " among them"},
		{"listed with another total", "GET /orders?sort=-id&limit=100", 1, 0, `"total":"1`, `"total":"2`, "want a confirmed order"},
		{"deletion answered 200", "DELETE /products/the_odyssey", 1, 200, "", "", "want 204"},
		{"product not gone", "GET /products/the_odyssey", 3, 200, "", "", "want 404"},
		{"another error", "GET /products/the_odyssey", 3, 0, "PRODUCT_NOT_FOUND", "NOT_FOUND", "want the error PRODUCT_NOT_FOUND"},
		{"order gone", "GET /orders/", 2, 404, "", "", "want 200"},
		{"product still in the line", "GET /orders/", 2, 0, `"product":null`, `"product":{"id": "the_odyssey"}`, "want null"},
		{"order not deleted", "DELETE /orders/", 1, 503, "", "", "want 204"},
		{"moved", "GET /products/the_odyssey", 1, 301, "", "", "answered 301"},
	} {
		t.Run(test.name, func(t *testing.T) {
			asked := 0
			url := proxyStore(t, s, func(r *http.Response) error {
				id := r.Request.Method + " " + r.Request.URL.RequestURI()
				isOrder := strings.HasSuffix(test.request, "/") && strings.HasPrefix(id, test.request)
				if id != test.request && !isOrder {
					return nil
				}
				if asked++; asked != test.nth {
					return nil
				}
				if test.status != 0 {
					r.StatusCode = test.status
				}
				return replaceBody(r, test.from, test.to)
			})
			got := hangarCommand(t, environment{}, "smoke", url)
			if got.code != 1 || !strings.HasPrefix(got.stderr, "hangar: smoke: ") || !strings.Contains(got.stderr, test.want) {
				t.Errorf("smoke exited with %d, stderr %swant 1 and: %s", got.code, got.stderr, test.want)
			}
			if test.name == "creation refused" { // then the product is none of the test's
				request(t, "DELETE", s.url+"/products/the_odyssey", "")
			}
			if test.name == "order without id" { // then nothing tells which order to remove
				_, list := request(t, "GET", s.url+"/orders", "")
				id, _, _ := strings.Cut(strings.TrimPrefix(list, `[{"id":`), ",")
				request(t, "DELETE", s.url+"/orders/"+id, "")
			}
			checkEmpty(t, s.url)
		})
	}
}

func TestSmokeLeavesARealProductAlone(t *testing.T) {
	s := serveStore(t, t.TempDir())
	product := `{"id":"the_odyssey","title":"Real","passenger_capacity":1,"maximum_speed":1,"in_stock":3}`
	if status, answer := request(t, "POST", s.url+"/products", product); status != 200 {
		t.Fatalf("POST /products: %d %s", status, answer)
	}
	got := hangarCommand(t, environment{}, "smoke", s.url)
	if want := "curl -X DELETE " + s.url + "/products/the_odyssey"; got.code != 1 || !strings.Contains(got.stderr, want) {
		t.Errorf("smoke exited with %d, stderr %swant 1 and: %s", got.code, got.stderr, want)
	}
	if _, answer := request(t, "GET", s.url+"/products/the_odyssey", ""); answer != product {
		t.Errorf("the product is now %s, want %s", answer, product)
	}
}

func TestSmokeCleansUpAfterAnInterrupt(t *testing.T) {
	s := serveStore(t, t.TempDir())
	for _, at := range []string{"POST /products", "POST /orders", "GET /orders?sort=-id&limit=100"} {
		t.Run(at, func(t *testing.T) {
			ctx, interrupt := context.WithCancel(t.Context())
			defer interrupt()
			url := proxyStore(t, s, func(r *http.Response) error {
				if r.Request.Method+" "+r.Request.URL.RequestURI() == at {
					interrupt()
				}
				return nil
			})
			var stdout, stderr bytes.Buffer
			code := run(ctx, []string{"smoke", url}, &stdout, &stderr, environment{}.get)
			if code != 1 || !strings.HasPrefix(stderr.String(), "hangar: smoke: ") {
				t.Errorf("smoke exited with %d, stderr %swant 1", code, stderr.String())
			}
			checkEmpty(t, s.url)
		})
	}
}
