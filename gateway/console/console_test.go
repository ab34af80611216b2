package console_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
)

func TestFormsOfOtherSitesAreRefused(t *testing.T) {
	s := newShop(t)
	s.put(t, "a", 10)
	for name, test := range map[string]struct {
		headers []string
		status  int
	}{
		"own":              {[]string{"Sec-Fetch-Site: same-origin"}, http.StatusSeeOther},
		"own, old browser": {[]string{"Origin: " + s.url}, http.StatusSeeOther},
		"other site":       {[]string{"Sec-Fetch-Site: cross-site"}, http.StatusForbidden},
		"other subdomain":  {[]string{"Sec-Fetch-Site: same-site"}, http.StatusForbidden},
		"other origin":     {[]string{"Origin: http://evil.example"}, http.StatusForbidden},
		"no origin":        {[]string{"Origin: null"}, http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := s.products.Product(t.Context(), "a")
			if err != nil {
				t.Fatal(err)
			}
			r := s.do(t, "POST", "/console/products/a/restock", url.Values{"quantity": {"1"}, "key": {name}}, test.headers...)
			want := before.InStock
			if test.status == http.StatusSeeOther {
				r.want(t, name, test.status)
				want++
			} else {
				r.want(t, name, test.status, "This was not sent from the console", "nothing was done")
			}
			s.wantStock(t, "a", want)
		})
	}
}

func TestHeadersOfPages(t *testing.T) {
	s := newFullShop(t)
	for _, path := range []string{"/console/products", "/console/orders/1", "/console/live", "/console/missing", "/console/live/data", "/console/static/console.css"} {
		r := s.do(t, "GET", path, nil)
		policy := r.header.Get("Content-Security-Policy")
		for _, directive := range []string{"default-src 'none'", "script-src 'self'", "style-src 'self'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
			if !strings.Contains(policy+";", directive+";") {
				t.Errorf("GET %s: the policy is %q, want %s in it", path, policy, directive)
			}
		}
		if strings.Contains(policy, "unsafe") || !strings.Contains(policy, s.url) {
			t.Errorf("GET %s: the policy is %q, want nothing unsafe and images of %s", path, policy, s.url)
		}
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "Referrer-Policy": "same-origin", "Cross-Origin-Opener-Policy": "same-origin"} {
			if got := r.header.Get(name); got != want {
				t.Errorf("GET %s: header %s is %q, want %q", path, name, got, want)
			}
		}
	}
}

func TestNothingIsThere(t *testing.T) {
	s := newShop(t)
	s.get(t, http.StatusNotFound, "/console/nowhere", "Not found", "There is no page at /console/nowhere")
	s.get(t, http.StatusNotFound, "/console/static/nothing.js")
	r := s.do(t, "GET", "/console/", nil)
	if r.status != http.StatusSeeOther || r.header.Get("Location") != "/console/products" {
		t.Errorf("GET /console/ answered %d to %q, want 303 to the products", r.status, r.header.Get("Location"))
	}
	s.get(t, 200, "/console/products?notice=Call+0900-555").wantNot(t, "0900")
}

func TestFilesOfPagesMayBeKept(t *testing.T) {
	s := newShop(t)
	page := s.get(t, 200, "/console/live")
	files := regexp.MustCompile(`(?:src|href)="(/console/static/[^"]+)"`).FindAllStringSubmatch(page.body, -1)
	if len(files) < 6 {
		t.Fatalf("the page names %d files, want all its own:\n%s", len(files), page.body)
	}
	for _, file := range files {
		r := s.do(t, "GET", file[1], nil)
		if r.status != 200 || len(r.body) == 0 || r.header.Get("Content-Type") == "" {
			t.Errorf("GET %s answered %d with %d bytes of %q", file[1], r.status, len(r.body), r.header.Get("Content-Type"))
		}
		if got := r.header.Get("Cache-Control"); !strings.Contains(got, "immutable") {
			t.Errorf("GET %s: Cache-Control %q, want it to be kept", file[1], got)
		}
		old, _, _ := strings.Cut(file[1], "?")
		if got := s.do(t, "GET", old+"?v=old", nil).header.Get("Cache-Control"); got != "no-cache" {
			t.Errorf("GET %s of another version: Cache-Control %q, want no-cache", old, got)
		}
	}
}

func TestFormsHaveBounds(t *testing.T) {
	s := newShop(t)
	s.post(t, http.StatusRequestEntityTooLarge, "/console/new-product", url.Values{"title": {strings.Repeat("x", 1<<20)}}, "The form is larger than 1048576 bytes.")
	r := s.do(t, "POST", "/console/new-order", nil, "Content-Type: application/x-www-form-urlencoded")
	r.want(t, "an empty form", http.StatusBadRequest, "order_details: Shorter than minimum length 1.")
	s.put(t, "a", 1)
	body := s.do(t, "PATCH", "/console/products/a/restock", url.Values{"quantity": {"1"}})
	body.want(t, "PATCH", http.StatusNotFound)
	s.wantStock(t, "a", 1)
}
