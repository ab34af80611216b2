package web_test

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"hangar/web"
)

func TestPolicy(t *testing.T) {
	plain := web.Policy()
	for _, directive := range []string{"default-src 'none'", "script-src 'self'", "frame-ancestors 'none'", "base-uri 'none'"} {
		if !strings.Contains(plain, directive) {
			t.Errorf("policy %q lacks %q", plain, directive)
		}
	}
	if strings.Contains(plain, "unsafe") {
		t.Errorf("policy %q allows what is written into the page", plain)
	}
	more := web.Policy("img-src https://images.example", "worker-src 'self'")
	if strings.Count(more, "img-src") != 1 || !strings.Contains(more, "img-src https://images.example;") || !strings.HasSuffix(more, "; worker-src 'self'") {
		t.Errorf("policy %q, want the new img-src instead of the other, and worker-src besides", more)
	}
	if again := web.Policy(); again != plain {
		t.Errorf("policy %q after another was made, want %q", again, plain)
	}
}

func TestPageHeaders(t *testing.T) {
	page := web.Page("default-src 'none'", http.NotFoundHandler())
	w := httptest.NewRecorder()
	page.ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
	for name, want := range map[string]string{
		"Content-Security-Policy":      "default-src 'none'",
		"X-Content-Type-Options":       "nosniff",
		"Referrer-Policy":              "same-origin",
		"Cross-Origin-Opener-Policy":   "same-origin",
		"Cross-Origin-Resource-Policy": "same-origin",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if got := w.Header().Get("Permissions-Policy"); !strings.Contains(got, "camera=()") {
		t.Errorf("Permissions-Policy: %q, want no camera", got)
	}
}

const script = "alert(1)"

func TestFiles(t *testing.T) {
	var compressed bytes.Buffer
	zip := gzip.NewWriter(&compressed)
	zip.Write([]byte(script))
	zip.Close()
	files, err := web.ReadFiles(fstest.MapFS{
		"plain.js": {Data: []byte(script)}, "small.js.gz": {Data: compressed.Bytes()},
		"a.css": {}, "a.html": {}, "a.json": {}, "a.yaml": {}, "a.svg": {},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, accepts, wantEncoding string
	}{
		{"plain.js", "gzip", ""},
		{"small.js", "", ""},
		{"small.js", "gzip", "gzip"},
		{"small.js", "br, GZIP;q=0.5", "gzip"},
		{"small.js", "gzip;q=0", ""},
		{"small.js", "gzip; q=0.00, br", ""},
		{"small.js", "x-gzip, br", ""},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Header.Set("Accept-Encoding", test.accepts)
		w := httptest.NewRecorder()
		files[test.name].ServeHTTP(w, r)
		want := script
		if test.wantEncoding != "" {
			want = compressed.String()
		}
		if w.Code != 200 || w.Body.String() != want || w.Header().Get("Content-Encoding") != test.wantEncoding {
			t.Errorf("%s for %q: %d %q with encoding %q, want %q with %q",
				test.name, test.accepts, w.Code, w.Body, w.Header().Get("Content-Encoding"), want, test.wantEncoding)
		}
		if varies := w.Header().Get("Vary") == "Accept-Encoding"; varies != (test.name == "small.js") {
			t.Errorf("%s: Vary is %q", test.name, w.Header().Get("Vary"))
		}
		again := httptest.NewRequest("GET", "/", nil)
		again.Header.Set("If-None-Match", w.Header().Get("ETag"))
		w = httptest.NewRecorder()
		files[test.name].ServeHTTP(w, again)
		if w.Code != http.StatusNotModified || w.Body.Len() > 0 {
			t.Errorf("%s asked for again: %d %q, want 304", test.name, w.Code, w.Body)
		}
	}
	for name, want := range map[string]string{
		"plain.js": "text/javascript; charset=utf-8", "small.js": "text/javascript; charset=utf-8", "a.css": "text/css; charset=utf-8",
		"a.html": "text/html; charset=utf-8", "a.json": "application/json", "a.yaml": "application/yaml", "a.svg": "image/svg+xml",
	} {
		w := httptest.NewRecorder()
		files[name].ServeHTTP(w, httptest.NewRequest("GET", "/", nil))
		if got := w.Header().Get("Content-Type"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if len(files) != 7 {
		t.Errorf("%d files, want 7", len(files))
	}
}
