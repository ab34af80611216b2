package openapi_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hangar/hangartest/openapi"
)

func TestDocumentIsValid(t *testing.T) {
	for _, complaint := range openapi.CheckDocument() {
		t.Error(complaint)
	}
}

// recorder is a test whose failures are kept, not counted.
type recorder struct {
	testing.TB
	failures []string
}

func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

const (
	odyssey  = `{"id":"the_odyssey","title":"The Odyssey","passenger_capacity":101,"maximum_speed":5,"in_stock":10}`
	notThere = `{"error":"PRODUCT_NOT_FOUND","message":"no"}`
	invalid  = `{"error":"VALIDATION_ERROR","message":"no","details":{"title":["no"]}}`
)

func TestWhatIsNotDescribedFails(t *testing.T) {
	for name, test := range map[string]struct {
		request, sent string // method and path
		status        int
		header, body  string
		want          string // in the failure; "" is none
	}{
		"a product":             {"GET /products/x", "", 200, "", odyssey, ""},
		"a head":                {"HEAD /products/x", "", 200, "", "", ""},
		"a slash":               {"GET /products/", "", 200, "", "[" + odyssey + "]", ""},
		"a refusal":             {"GET /products/x", "", 404, "", notThere, ""},
		"nothing there":         {"GET /nope", "", 404, "", `{"error":"NOT_FOUND","message":"no"}`, ""},
		"no method":             {"PATCH /products", "", 405, "Allow: GET", `{"error":"METHOD_NOT_ALLOWED","message":"no"}`, ""},
		"deleted":               {"DELETE /products/x", "", 204, "", "", ""},
		"stored":                {"POST /products", odyssey, 200, "", `{"id":"x"}`, ""},
		"refused as invalid":    {"POST /products", "{}", 400, "", invalid, ""},
		"another path":          {"GET /nope", "", 200, "", "{}", "the status is not named"},
		"another method":        {"PATCH /products/x", "", 200, "", odyssey, "the status is not named"},
		"another status":        {"GET /products/x", "", 201, "", odyssey, "the status is not named"},
		"another header":        {"GET /products/x", "", 200, "X-New: 1", odyssey, "X-New"},
		"another head":          {"HEAD /products/x", "", 200, "X-New: 1", "", "X-New"},
		"a header's value":      {"GET /products", "", 200, "Link: /products", "[]", "pattern"},
		"no request id":         {"GET /products/x", "", 200, "X-Request-Id: ", odyssey, "X-Request-Id"},
		"no Allow":              {"PATCH /products", "", 405, "", `{"error":"METHOD_NOT_ALLOWED","message":"no"}`, "Allow"},
		"another member":        {"GET /products/x", "", 200, "", strings.Replace(odyssey, "{", `{"colour":"red",`, 1), "colour"},
		"a member in a list":    {"GET /products", "", 200, "", "[" + strings.Replace(odyssey, "{", `{"colour":"red",`, 1) + "]", "colour"},
		"a member of an error":  {"GET /products/x", "", 404, "", `{"error":"PRODUCT_NOT_FOUND","message":"no","hint":"x"}`, "hint"},
		"a missing member":      {"GET /products/x", "", 200, "", strings.Replace(odyssey, `"in_stock":10`, `"x":1`, 1), "in_stock"},
		"another type":          {"GET /products/x", "", 200, "", strings.Replace(odyssey, "101", `"101"`, 1), "passenger_capacity"},
		"another code":          {"GET /products/x", "", 404, "", `{"error":"ORDER_NOT_FOUND","message":"no"}`, "PRODUCT_NOT_FOUND"},
		"another content type":  {"GET /products/x", "", 200, "Content-Type: text/plain", odyssey, "text/plain"},
		"a body of nothing":     {"DELETE /products/x", "", 200, "", "", "the status is not named"},
		"an invalid request":    {"POST /products", `{"id":"x"}`, 200, "", `{"id":"x"}`, "was not refused"},
		"an invalid parameter":  {"GET /products?limit=0", "", 200, "", "[]", "was not refused"},
		"another parameter":     {"GET /products?colour=red", "", 200, "", "[]", "colour"},
		"a valid request":       {"POST /products", odyssey, 400, "", invalid, "was refused"},
		"a complaint of no one": {"POST /products", "{}", 400, "", `{"error":"VALIDATION_ERROR","message":"no","details":{"title":"no"}}`, "details"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("X-Request-Id", "id")
				if name, value, ok := strings.Cut(test.header, ": "); ok {
					w.Header().Set(name, value)
				}
				if w.Header().Get("X-Request-Id") == "" {
					w.Header().Del("X-Request-Id")
				}
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}))
			defer server.Close()
			r := &recorder{TB: t}
			method, path, _ := strings.Cut(test.request, " ")
			req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(test.sent))
			if err != nil {
				t.Fatal(err)
			}
			if test.sent != "" {
				req.Header.Set("Content-Type", "application/json")
			}
			resp, err := openapi.Client(r).Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			if got, _ := io.ReadAll(resp.Body); method != "HEAD" && string(got) != test.body {
				t.Errorf("the client got %q, want %q", got, test.body)
			}
			failures := strings.Join(r.failures, "\n")
			if (failures == "") != (test.want == "") || !strings.Contains(failures, test.want) {
				t.Errorf("failures %q, want %q", failures, test.want)
			}
		})
	}
}
