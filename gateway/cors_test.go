package gateway_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"hangar"
	"hangar/gateway"
)

const shop = "https://shop.example"

func newStoreForOrigins(t *testing.T, origins ...string) *store {
	t.Helper()
	s := newStore(t)
	s.serveWith(t, gateway.Config{Orders: s.orders, Products: s.products, CORSOrigins: origins})
	s.client = http.DefaultClient // the document does not describe what browsers ask by themselves
	return s
}

func TestCORSIsOffByDefault(t *testing.T) {
	s := newStore(t)
	r := s.want(t, 200, "GET", "/products", "", "Origin: "+shop)
	for name := range r.header {
		if strings.HasPrefix(name, "Access-Control-") {
			t.Errorf("answered with %s: %s, want no word of other origins", name, r.header.Get(name))
		}
	}
	s.want(t, 405, "OPTIONS", "/products", "", "Origin: "+shop, "Access-Control-Request-Method: POST")
}

func TestCORS(t *testing.T) {
	for _, test := range []struct {
		allowed []string
		origin  string
		want    string
	}{
		{[]string{shop}, shop, shop},
		{[]string{"http://localhost:3000", shop}, shop, shop},
		{[]string{shop}, "https://shop.example.evil", ""},
		{[]string{shop}, "http://shop.example", ""},
		{[]string{shop}, "https://shop.example:8443", ""},
		{[]string{shop}, "null", ""},
		{[]string{gateway.AllOrigins}, shop, "*"},
	} {
		s := newStoreForOrigins(t, test.allowed...)
		for path, status := range map[string]int{"/products": 200, "/products/x": 404, "/nope": 404, "/livez": 200, "/readyz": 200, "/openapi.json": 200} {
			r := s.want(t, status, "GET", path, "", "Origin: "+test.origin)
			if got := r.header.Get("Access-Control-Allow-Origin"); got != test.want {
				t.Errorf("GET %s from %s where %v are allowed: allows %q, want %q", path, test.origin, test.allowed, got, test.want)
			}
			if vary := strings.Join(r.header.Values("Vary"), ", "); !strings.Contains(vary, "Origin") {
				t.Errorf("GET %s: Vary is %q, want Origin in it", path, vary)
			}
			if r.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("GET %s: credentials are allowed, want none", path)
			}
			exposed := r.header.Get("Access-Control-Expose-Headers")
			for _, name := range []string{"Idempotent-Replayed", "Link", "Retry-After", "X-Request-Id"} {
				if strings.Contains(exposed, name) != (test.want != "") {
					t.Errorf("GET %s from %s: exposes %q, want %s in it: %v", path, test.origin, exposed, name, test.want != "")
				}
			}
		}
	}
}

// The API is for pages of these origins; what is for people and for monitoring is not.
func TestCORSLeavesOut(t *testing.T) {
	s := newStore(t)
	something := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "something") })
	s.serveWith(t, gateway.Config{Orders: s.orders, Products: s.products, CORSOrigins: []string{gateway.AllOrigins}, Console: something, Metrics: something})
	s.client = http.DefaultClient // the document does not describe the console
	for _, path := range []string{"/console/", "/console/products", "/metrics"} {
		r := s.want(t, 200, "GET", path, "", "Origin: "+shop)
		if got := r.header.Get("Access-Control-Allow-Origin"); got != "" || r.body != "something" {
			t.Errorf("GET %s from %s: %q, and allows %q, want no origin allowed", path, shop, r.body, got)
		}
	}
}

func TestPreflight(t *testing.T) {
	s := newStoreForOrigins(t, shop)
	for _, test := range []struct {
		origin, method, headers string
		allowed                 bool
	}{
		{shop, "POST", "content-type,idempotency-key,if-none-match,x-request-id", true},
		{shop, "PUT", "", true},
		{shop, "DELETE", "", true},
		{shop, "PATCH", "", false},
		{shop, "POST", "authorization", false},
		{"https://other.example", "POST", "", false},
	} {
		headers := []string{"Origin: " + test.origin, "Access-Control-Request-Method: " + test.method}
		if test.headers != "" {
			headers = append(headers, "Access-Control-Request-Headers: "+test.headers)
		}
		r := s.want(t, 204, "OPTIONS", "/orders/1", "", headers...)
		allowed := r.header.Get("Access-Control-Allow-Origin") == test.origin && r.header.Get("Access-Control-Allow-Methods") == test.method &&
			r.header.Get("Access-Control-Allow-Headers") == test.headers
		if allowed != test.allowed {
			t.Errorf("%s with %q from %s: %v, want it allowed: %v", test.method, test.headers, test.origin, r.header, test.allowed)
		}
		if age := r.header.Get("Access-Control-Max-Age"); (age != "") != test.allowed {
			t.Errorf("%s from %s may be remembered for %q", test.method, test.origin, age)
		}
	}
	s.want(t, 405, "OPTIONS", "/products", "", "Origin: "+shop) // no preflight: it asks for no method
}

// A page can read why it was refused, and ask how the store is.
func TestCORSWhileTheGatewayIsFull(t *testing.T) {
	s := newStore(t)
	slow := stuck{s.orders, make(chan struct{}), make(chan struct{})}
	s.serveWith(t, gateway.Config{Orders: slow, Products: s.products, MaxRequests: 1, CORSOrigins: []string{shop}})
	s.client = http.DefaultClient
	done := make(chan struct{})
	go func() {
		defer close(done)
		if resp, err := http.Get(s.url + "/orders/1"); err == nil {
			resp.Body.Close()
		}
	}()
	<-slow.begun
	defer func() { close(slow.finish); <-done }()
	for path, status := range map[string]int{"/products": 503, "/livez": 200} {
		r := s.want(t, status, "GET", path, "", "Origin: "+shop)
		if r.header.Get("Access-Control-Allow-Origin") != shop || !strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "Retry-After") {
			t.Errorf("%s while the gateway is full: %v, want it to be readable", path, r.header)
		}
	}
	s.want(t, 204, "OPTIONS", "/products", "", "Origin: "+shop, "Access-Control-Request-Method: POST")
}

func TestParseOrigins(t *testing.T) {
	for text, want := range map[string][]string{
		"":                                nil,
		"*":                               {"*"},
		shop:                              {shop},
		" https://a.b , http://[::1]:80/": nil,
		"https://a.b, http://[::1]:8000":  {"https://a.b", "http://[::1]:8000"},
		"http://localhost:443":            {"http://localhost:443"},
	} {
		got, err := gateway.ParseOrigins(text)
		if (err != nil) != (want == nil && text != "") || !slices.Equal(got, want) {
			t.Errorf("ParseOrigins(%q) = %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		shop + ",":                  `"" is empty`,
		"shop.example":              `"shop.example" does not begin with http:// or https://`,
		"null":                      `"null" does not begin with http`,
		"ftp://shop.example":        "does not begin with http",
		"https://":                  "has no host",
		"https://:8000":             "has no host",
		"https://shop.example/":     "has more than scheme, host and port",
		"https://shop.example/x":    "has more than scheme, host and port",
		"https://shop.example?x":    "has more than scheme, host and port",
		"https://u:p@shop.example":  "has more than scheme, host and port",
		"https://*.shop.example":    "has a * in it",
		"https://Shop.example":      "has capital letters",
		"https://shop.example:443":  "names the port that it has anyway",
		"http://shop.example:80":    "names the port that it has anyway",
		"https://shop.example:port": "is no URL",
		"https://a b":               "is no URL",
		"*," + shop:                 "stands alone",
		shop + " http://x":          "is no URL",
	} {
		if _, err := gateway.ParseOrigins(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("ParseOrigins(%q): %v, want an error with %q", text, err, want)
		}
	}
}

// Without being allowed to read the answer, a page may still ask for a change: with
// a body that browsers send to everybody, and no question before.
func TestChangesOfOtherOriginsAreRefused(t *testing.T) {
	const own = "http://{host}"
	for _, test := range []struct {
		allowed []string
		header  string
		status  int
	}{
		{nil, "Sec-Fetch-Site: cross-site", 403},
		{nil, "Sec-Fetch-Site: same-site", 403},
		{nil, "Origin: " + shop, 403},
		{nil, "Origin: null", 403},
		{nil, "Sec-Fetch-Site: same-origin", 200},
		{nil, "Origin: " + own, 200},
		{nil, "Accept: */*", 200}, // no browser
		{[]string{shop}, "Origin: " + shop, 200},
		{[]string{shop}, "Origin: https://other.example", 403},
		{[]string{gateway.AllOrigins}, "Origin: " + shop, 200},
	} {
		s := newStoreForOrigins(t, test.allowed...)
		header := strings.Replace(test.header, "{host}", strings.TrimPrefix(s.url, "http://"), 1)
		r := s.want(t, test.status, "POST", "/products", odyssey, header, "Content-Type: text/plain")
		if test.status == 403 && r.code(t) != hangar.Forbidden {
			t.Errorf("with %s: %s, want %s", header, r.body, hangar.Forbidden)
		}
		s.want(t, 200, "GET", "/products", "", header)
		stored := 200
		if test.status == 403 {
			stored = 404
		}
		s.want(t, stored, "GET", "/products/the_odyssey", "")
	}
}
