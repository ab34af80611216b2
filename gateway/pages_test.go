package gateway_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"hangar/gateway"
)

func TestIndex(t *testing.T) {
	s := newStore(t)
	const browser = "text/html,application/xhtml+xml,*/*;q=0.8"
	if r := s.want(t, 302, "GET", "/", "", "Accept: "+browser); r.header.Get("Location") != "/docs" {
		t.Errorf("a browser is sent to %q, want /docs", r.header.Get("Location"))
	}
	for _, accept := range []string{"application/json", "*/*"} {
		var links map[string]string
		s.want(t, 200, "GET", "/", "", "Accept: "+accept).decode(t, &links)
		if links["products"] != "/products" || links["console"] != "" {
			t.Errorf("the index for %s: %v, want products, and no console", accept, links)
		}
		for _, path := range links {
			s.want(t, 200, "GET", path, "")
		}
	}
	if r := s.want(t, 405, "POST", "/", ""); r.header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST / is answered with Allow %q, want GET, HEAD", r.header.Get("Allow"))
	}
	s.want(t, 404, "GET", "/console/", "")
}

func TestConsoleIsMounted(t *testing.T) {
	s := newStore(t)
	console := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, r.Method+" "+r.URL.Path)
	})
	s.serveWith(t, gateway.Config{Orders: s.orders, Products: s.products, Console: console, CORSOrigins: []string{"*"}})
	s.client = http.DefaultClient // the console is no part of the API
	for _, path := range []string{"/console/", "/console/orders/1"} {
		for _, method := range []string{"GET", "POST"} {
			r := s.want(t, 200, method, path, "", "Origin: https://shop.example")
			if r.body != method+" "+path || r.header.Get("X-Request-Id") == "" {
				t.Errorf("%s %s: %q with %v, want the console's answer with a request id", method, path, r.body, r.header)
			}
			if r.header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: pages of others may read it", method, path)
			}
		}
	}
	if log := s.log.String(); strings.Count(log, `"path":"/console/`) != 4 {
		t.Errorf("the log lacks requests to the console:\n%s", log)
	}
	if r := s.want(t, 200, "GET", "/", "", "Accept: text/html"); r.body != "GET /console/" {
		t.Errorf("a browser is led to %q, want the console", r.body)
	}
	var links map[string]string
	s.want(t, 200, "GET", "/", "").decode(t, &links)
	if links["console"] != "/console/" {
		t.Errorf("index: %v, want the console in it", links)
	}
}

func TestDocuments(t *testing.T) {
	s := newStore(t)
	r := s.want(t, 200, "GET", "/openapi.yaml", "")
	if r.body != string(gateway.OpenAPI()) || r.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("/openapi.yaml is %q and no %s", r.header.Get("Content-Type"), "application/yaml, or not the document")
	}
	r = s.want(t, 200, "GET", "/openapi.json", "")
	var document struct{ OpenAPI string }
	r.decode(t, &document)
	if !strings.HasPrefix(document.OpenAPI, "3.1.") || r.header.Get("Content-Type") != "application/json" {
		t.Errorf("/openapi.json is of version %q and type %q", document.OpenAPI, r.header.Get("Content-Type"))
	}
	// Swagger UI shows paths and members in the order in which they are written.
	if get, post := strings.Index(r.body, `"listProducts"`), strings.Index(r.body, `"putProduct"`); get < 0 || post < get {
		t.Error("/openapi.json is not in the order of the document")
	}
	for _, path := range []string{"/openapi.yaml", "/openapi.json", "/docs", "/redoc/", "/docs/swagger-ui-bundle.js"} {
		tag := s.want(t, 200, "GET", path, "").header.Get("ETag")
		s.want(t, 304, "GET", path, "", "If-None-Match: "+tag)
		s.want(t, 200, "GET", path, "", `If-None-Match: W/"other"`)
		s.want(t, 200, "HEAD", path, "")
		s.want(t, 405, "DELETE", path, "")
	}
	s.want(t, 404, "GET", "/docs/openapi.yaml", "")
	s.want(t, 404, "GET", "/redoc/swagger-ui.css", "")
}

// Every page keeps to itself, with and without a slash at its end, and so does what
// it is made of.
func TestPagesAreStrict(t *testing.T) {
	s := newStore(t)
	for _, path := range []string{
		"/docs", "/docs/", "/docs/docs.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/docs/index.html",
		"/redoc", "/redoc/", "/redoc/redoc.js", "/redoc/redoc.standalone.js",
	} {
		r := s.want(t, 200, "GET", path, "")
		policy := r.header.Get("Content-Security-Policy")
		if strings.Contains(policy, "unsafe") || !strings.Contains(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s has the policy %q, want a strict one", path, policy)
		}
		if r.header.Get("X-Content-Type-Options") != "nosniff" || r.header.Get("Referrer-Policy") == "" {
			t.Errorf("%s: %v, want the headers of a page", path, r.header)
		}
	}
	for _, path := range []string{"/products", "/nope", "/livez", "/openapi.yaml"} {
		if got := s.do(t, "GET", path, "").header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("%s: X-Content-Type-Options %q, want nosniff", path, got)
		}
	}
}

func TestOpenAPIIsACopy(t *testing.T) {
	gateway.OpenAPI()[0] = 'X'
	if document := gateway.OpenAPI(); document[0] == 'X' || json.Valid(document) {
		t.Error("who gets the document can change it for others")
	}
}
