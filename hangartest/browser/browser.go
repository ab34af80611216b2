// Package browser shows pages in a headless Chromium, for tests.
//
// Each Page has a browser of its own, with a new profile, which ends with the
// test. It resolves no names but localhost, so that nothing it does leaves the
// machine; a test whose page asks anybody but the server under test fails, and so
// does one whose page complains and whose complaints the test has not taken.
package browser

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// Screenshots names the environment variable with the folder for screenshots.
// Without it they are artefacts of the test; see testing.T.ArtifactDir.
const Screenshots = "HANGAR_SCREENSHOTS"

// patience bounds each call of Do and Run. It is for pages that hang: busy machines
// are slow.
const patience = 2 * time.Minute

// Page is a tab of a browser. It is the test's that opened it.
type Page struct {
	// Context is for what package chromedp does by itself. It has no deadline.
	Context context.Context

	t      testing.TB
	origin string

	mu         sync.Mutex
	complaints []string
	strangers  []string // URLs of others than origin that were asked for
}

// Open opens an empty page of 1280 by 800 pixels. It may ask for what is at the
// origin, such as http://127.0.0.1:8000, and for nothing else; file:// is the
// origin of files. Where Chromium is missing the test is skipped; in CI it fails.
func Open(t testing.TB, origin string) *Page {
	t.Helper()
	p := &Page{t: t, origin: origin}
	t.Cleanup(p.report)
	chromium := find(t)
	const tries = 3
	for n := 1; ; n++ {
		err := p.start(chromium)
		if err == nil {
			break
		}
		if n == tries {
			t.Fatal("start Chromium: ", err)
		}
		t.Logf("start Chromium once more, as busy machines may keep it from starting: %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			p.Screenshot("failed")
		}
	})
	return p
}

// start starts a browser, which ends with the test.
func (p *Page) start(chromium string) error {
	browser, stop := chromedp.NewExecAllocator(context.WithoutCancel(p.t.Context()), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium),
		chromedp.WindowSize(1280, 800),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
	)...)
	tab, cancel := chromedp.NewContext(browser, chromedp.WithListener(p.note))
	end := func() {
		cancel()
		stop()
	}
	late := time.AfterFunc(patience, cancel) // a deadline of the context would be the browser's
	err := chromedp.Do(tab)
	late.Stop()
	if err != nil {
		end()
		return err
	}
	p.Context = tab
	p.t.Cleanup(end)
	return nil
}

// find returns the path of Chromium.
func find(t testing.TB) string {
	t.Helper()
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const missing = "chromium is missing, which make deps installs"
	if os.Getenv("CI") != "" {
		t.Fatal(missing)
	}
	t.Skip(missing)
	return ""
}

// Do takes the steps, and ends the test if one fails or they take more than two
// minutes, because what one waits for does not come.
func (p *Page) Do(steps ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	Run(p, chromedp.Steps(steps...))
}

// Run is Do for an action that returns something.
func Run[T any](p *Page, action chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.Context, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	if err != nil {
		p.t.Fatalf("the browser, at %s: %v; it complains: %q", p.location(), err, p.Complaints())
	}
	return result
}

func (p *Page) location() string {
	ctx, cancel := context.WithTimeout(p.Context, patience)
	defer cancel()
	location, err := chromedp.Run(ctx, chromedp.Location())
	if err != nil {
		return "a page that does not answer"
	}
	return location
}

// Screenshot writes what is visible as a PNG file. The name begins with that of the
// test.
func (p *Page) Screenshot(name string) {
	p.t.Helper()
	dir := os.Getenv(Screenshots)
	if dir == "" {
		dir = p.t.ArtifactDir()
	}
	ctx, cancel := context.WithTimeout(p.Context, patience)
	defer cancel()
	picture, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Errorf("screenshot %s: %v", name, err)
		return
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		p.t.Error(err)
		return
	}
	file := filepath.Join(dir, strings.ReplaceAll(p.t.Name(), "/", "-")+"-"+name+".png")
	if err := os.WriteFile(file, picture, 0o644); err != nil {
		p.t.Error(err)
	}
}

// Complaints returns what the page has complained of since it was asked last:
// errors in the console, among them what its policy forbids and each answer of 400
// or more, and exceptions that nothing caught. What is left of them when the test
// ends fails it.
func (p *Page) Complaints() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	complaints := p.complaints
	p.complaints = nil
	return complaints
}

// note is called with each event of the tab, one after the other.
func (p *Page) note(event any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	complain := func(format string, args ...any) { p.complaints = append(p.complaints, fmt.Sprintf(format, args...)) }
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !p.isOwn(e.Request.URL) {
			p.strangers = append(p.strangers, e.Request.URL)
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == log.EntryLevelError {
			complain("%s %s", e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		text := e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			text += " " + e.ExceptionDetails.Exception.Description
		}
		complain("%s", text)
	case *runtime.EventConsoleAPICalled:
		if e.Type != runtime.ConsoleAPICalledTypeError && e.Type != runtime.ConsoleAPICalledTypeAssert {
			return
		}
		var text []string
		for _, arg := range e.Args {
			text = append(text, string(arg.Value)+arg.Description)
		}
		complain("%s", strings.Join(text, " "))
	}
}

func (p *Page) isOwn(address string) bool {
	u, err := url.Parse(address)
	if err != nil {
		return false
	}
	switch u.Scheme {
	case "about", "blob", "data": // what the page has by itself
		return true
	}
	return u.Scheme+"://"+u.Host == p.origin
}

func (p *Page) report() {
	p.t.Helper()
	for _, complaint := range p.Complaints() {
		p.t.Errorf("the page complains: %s", complaint)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, stranger := range p.strangers {
		p.t.Errorf("the page asks for %s, which is not of %s", stranger, p.origin)
	}
}
