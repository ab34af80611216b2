package browser_test

import (
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"hangar/hangartest/browser"
)

// recorder is a test whose failures are kept, not counted.
type recorder struct {
	testing.TB
	cleanups []func()
	failures []string
}

func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recorder) Failed() bool     { return len(r.failures) > 0 }
func (r *recorder) Errorf(format string, args ...any) {
	r.failures = append(r.failures, fmt.Sprintf(format, args...))
}

func (r *recorder) end() {
	for _, cleanup := range slices.Backward(r.cleanups) {
		cleanup()
	}
}

func serve(t *testing.T, body string) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Content-Security-Policy", "img-src http://shop.example data:")
		fmt.Fprintf(w, `<!DOCTYPE html><title>Page</title><link rel="icon" href="data:,">%s<p id="end">`, body)
	}))
	t.Cleanup(server.Close)
	return server
}

func TestWhatPagesAreFailedFor(t *testing.T) {
	for name, test := range map[string]struct{ body, want string }{
		"nothing":      {`<script>console.warn("of no concern")</script>`, ""},
		"console":      {`<script>console.error("told", "so")</script>`, `"told" "so"`},
		"exception":    {`<script>throw new Error("thrown")</script>`, "thrown"},
		"rejection":    {`<script>Promise.reject(new Error("rejected"))</script>`, "rejected"},
		"missing":      {`<script src="/missing.js"></script>`, "404"},
		"policy":       {`<img src="http://other.example/x.png">`, "Content Security Policy"},
		"stranger":     {`<img src="http://shop.example/x.png">`, "asks for http://shop.example/x.png"},
		"another port": {`<script>fetch("http://127.0.0.1:1/x").catch(() => {})</script>`, "asks for http://127.0.0.1:1/x"},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, test.body)
			r := &recorder{TB: t}
			p := browser.Open(r, server.URL)
			p.Do(chromedp.Navigate(server.URL), chromedp.WaitReady("#end"))
			r.end()
			failures := strings.Join(r.failures, "\n")
			if (failures == "") != (test.want == "") || !strings.Contains(failures, test.want) {
				t.Errorf("a page with %s fails with %q, want %q", test.body, failures, test.want)
			}
		})
	}
}

func TestComplaintsThatAreTaken(t *testing.T) {
	server := serve(t, `<script>console.error("expected")</script>`)
	p := browser.Open(t, server.URL)
	p.Do(chromedp.Navigate(server.URL))
	if got := p.Complaints(); len(got) != 1 || got[0] != `"expected"` {
		t.Errorf("complaints: %q, want the one of the page", got)
	}
}

func TestScreenshot(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	t.Setenv(browser.Screenshots, dir)
	server := serve(t, "<h1>Hangar</h1>")
	p := browser.Open(t, server.URL)
	p.Do(chromedp.Navigate(server.URL))
	p.Screenshot("heading")
	file, err := os.Open(filepath.Join(dir, "TestScreenshot-heading.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	picture, err := png.Decode(file)
	if err != nil {
		t.Fatal(err)
	}
	if size := picture.Bounds().Size(); size.X != 1280 {
		t.Errorf("the screenshot is %v, want a width of 1280", size)
	}
}

// One that does not start the first time is started once more.
func TestChromiumStartsLater(t *testing.T) {
	chromium := ""
	for _, name := range []string{"google-chrome", "chromium-browser", "chromium"} {
		if path, err := exec.LookPath(name); err == nil {
			chromium = path
		}
	}
	dir := t.TempDir()
	script := "#!/bin/sh\nif mkdir '" + dir + "/tried' 2>/dev/null; then echo 'not yet' >&2; exit 1; fi\nexec '" + chromium + "' \"$@\"\n"
	if chromium != "" { // else Open says so
		if err := os.WriteFile(filepath.Join(dir, "chromium"), []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	server := serve(t, "<h1>Hangar</h1>")
	p := browser.Open(t, server.URL)
	p.Do(chromedp.Navigate(server.URL), chromedp.WaitReady("#end"))
	if _, err := os.Stat(filepath.Join(dir, "tried")); err != nil {
		t.Errorf("the first start was of another program: %v", err)
	}
}
