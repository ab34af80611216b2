package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const hostile = `</script><script>alert(1)</script><img src=x onerror="alert(2)">`

// hostileRun is a summary whose every text is hostile.
func hostileRun() summary {
	s := newSeries([]string{hostile}, time.Second)
	x := step(hostile, 0, 1)
	x.Data.Tags.Outcome = "failed"
	x.Data.Metadata.Check, x.Data.Metadata.Status, x.Data.Metadata.Answer = hostile, hostile, hostile
	s.add(x)
	s.end()
	sum := summary{
		Format: format, Ended: hostile, Bounds: []threshold{{hostile, hostile, false}},
		Settings: ranWith{Target: hostile, Steps: []string{hostile}, LeftOut: []leftOut{{hostile, hostile}}},
		Machine:  machine{hostile, hostile, 2, hostile, hostile},
	}
	s.fill(&sum)
	return sum
}

func TestPagesEscape(t *testing.T) {
	run := hostileRun()
	for name, p := range map[string]page{
		"report": reportPage(hostile, run), "live": livePageOf(hostile), "comparison": comparePage(hostile, run, run),
	} {
		html := render(t, p)
		if strings.Contains(html, "<script>alert") || strings.Contains(html, "<img") {
			t.Errorf("the %s contains an element of the target's", name)
		}
		if p.Live {
			continue
		}
		data := regexp.MustCompile(`(?s)<script type="application/json" id="data">(.*?)</script>`).FindStringSubmatch(html)
		if data == nil {
			t.Fatalf("the %s has no data", name)
		}
		if !json.Valid([]byte(data[1])) {
			t.Errorf("the %s has no JSON as its data: %.200s", name, data[1])
		}
	}
}

// TestPagesStandAlone looks for anything that a browser would load, and for scripts
// and styles that the page's policy would keep from running.
func TestPagesStandAlone(t *testing.T) {
	run := hostileRun()
	for name, p := range map[string]page{
		"report": reportPage("Report", run), "live": livePageOf("Live"), "comparison": comparePage("Comparison", run, run),
	} {
		html := render(t, p)
		// Nothing but the icon, which is empty.
		for _, link := range regexp.MustCompile(`<[a-z]+ [^>]*(src|href|srcset)=[^>]*>`).FindAllString(html, -1) {
			if link != `<link rel="icon" href="data:,">` {
				t.Errorf("the %s loads %s", name, link)
			}
		}
		inline := regexp.MustCompile(`(?s)<(script|style)>(.*?)</(?:script|style)>`).FindAllStringSubmatch(html, -1)
		if len(inline) != 5 {
			t.Errorf("the %s has %d scripts and styles, want 5", name, len(inline))
		}
		for _, element := range inline {
			if !strings.Contains(p.policy(), hash(element[2])) {
				t.Errorf("the policy of the %s does not allow its own %s: %.80s…", name, element[1], element[2])
			}
		}
		if connects := strings.Contains(p.policy(), "connect-src 'self'"); connects != p.Live {
			t.Errorf("the %s may connect: %v, want %v", name, connects, p.Live)
		}
	}
}

func TestLiveHandler(t *testing.T) {
	run := hostileRun()
	address := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 5666}
	handler, err := liveHandler(func() summary { return run }, address)
	wantNil(t, err)
	for _, test := range []struct {
		method, host, path string
		status             int
	}{
		{"GET", "127.0.0.1:5666", "/", http.StatusOK},
		{"GET", "127.0.0.1:5666", "/summary.json", http.StatusOK},
		{"GET", "127.0.0.1:5666", "/other", http.StatusNotFound},
		{"POST", "127.0.0.1:5666", "/", http.StatusMethodNotAllowed},
		{"GET", "stranger.example:5666", "/summary.json", http.StatusMisdirectedRequest},
	} {
		r := httptest.NewRequest(test.method, test.path, nil)
		r.Host = test.host
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if w.Code != test.status {
			t.Errorf("%s %s of %s: %d, want %d", test.method, test.path, test.host, w.Code, test.status)
		}
		if policy := w.Header().Get("Content-Security-Policy"); test.status == http.StatusOK && !strings.Contains(policy, "default-src 'none'") {
			t.Errorf("%s has the policy %q, want a strict one", test.path, policy)
		}
		if test.path == "/summary.json" && w.Code == http.StatusOK {
			var got summary
			wantNil(t, json.Unmarshal(w.Body.Bytes(), &got))
			if diff := cmp.Diff(run, got); diff != "" {
				t.Errorf("summary.json (-want +got):\n%s", diff)
			}
		}
	}
}

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	run := hostileRun()
	for _, name := range []string{"a", "b"} {
		wantNil(t, os.Mkdir(filepath.Join(dir, name), 0o755))
		wantNil(t, writeSummary(filepath.Join(dir, name, "summary.json"), run))
	}
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		wantNil(t, os.WriteFile(path, []byte(content), 0o600))
		return path
	}
	a, page := filepath.Join(dir, "a"), filepath.Join(dir, "new", "page.html")
	var out, errs strings.Builder
	args := []string{"compare", "-a", a, "-b", filepath.Join(dir, "b", "summary.json"), "-out", page}
	if exit := command(args, dir, nil, &out, &errs); exit != 0 {
		t.Fatalf("compare ended with %d: %s", exit, &errs)
	}
	if _, err := os.Stat(page); err != nil {
		t.Error(err)
	}
	for _, test := range []struct {
		args string
		exit int
		want string
	}{
		{"", 2, "name two runs"},
		{"-a " + a, 2, "name two runs"},
		{"-a " + a + " -b " + filepath.Join(dir, "missing"), 1, "run B: there is no "},
		{"-b " + a + " -a " + dir, 1, "run A: there is no "},
		{"-a " + a + " -b " + file("foreign.json", `{"metrics": {}}`), 1, "is no summary.json of a load test"},
		{"-a " + a + " -b " + file("list.json", `[]`), 1, "is no summary.json of a load test"},
		{"-a " + a + " -b " + file("binary.json", "\x00"), 1, "is no summary.json of a load test"},
		{"-a " + a + " -b " + file("damaged.json", `{"format": "hangar-load/1"}`), 1, "is damaged: interval_seconds is 0"},
		{"-a " + a + " -b " + file("short.json", `{"format": "hangar-load/1", "interval_seconds": 1, "users": [1]}`), 1, "has not as many points as users"},
	} {
		errs.Reset()
		exit := command(append([]string{"compare"}, strings.Fields(test.args)...), dir, nil, &out, &errs)
		if exit != test.exit || !strings.Contains(errs.String(), test.want) {
			t.Errorf("compare %s ended with %d and said %q, want %d and %q", test.args, exit, &errs, test.exit, test.want)
		}
	}
}

func TestReadSummaryRefusesMissingPoints(t *testing.T) {
	for name, shorten := range map[string]func(*points){
		"count":  func(p *points) { p.Count = nil },
		"errors": func(p *points) { p.Errors = nil },
		"median": func(p *points) { p.Median = nil },
		"p95":    func(p *points) { p.P95 = nil },
		"p99":    func(p *points) { p.P99 = nil },
	} {
		run := hostileRun()
		shorten(&run.Labels[0].Points)
		if err := run.validate(); err == nil {
			t.Errorf("a run without the points' %s is taken for whole", name)
		}
	}
}

func TestRunKeepsAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	wantNil(t, writeSummary(filepath.Join(dir, "summary.json"), hostileRun()))
	if err := newFolder(dir); err == nil || !strings.Contains(err.Error(), "holds a run already") {
		t.Errorf("a folder with a run in it: error %v, want a refusal", err)
	}
	wantNil(t, newFolder(filepath.Join(dir, "new")))
}

func TestRunsOfTheSameSecondHaveFoldersOfTheirOwn(t *testing.T) {
	parent := filepath.Join(t.TempDir(), "results")
	started := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	for _, want := range []string{"2026-07-01T12-00-00", "2026-07-01T12-00-00-2", "2026-07-01T12-00-00-3"} {
		dir, err := timedFolder(parent, started)
		if err != nil || dir != filepath.Join(parent, want) {
			t.Errorf("the folder is %s, %v, want %s", dir, err, want)
		}
	}
}

func TestTableIsPrintedWhereNoFileCanBe(t *testing.T) {
	var text strings.Builder
	err := leave(filepath.Join(t.TempDir(), "gone"), hostileRun(), &text)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(text.String(), "median ms") {
		t.Errorf("error %v and the text %q, want that there is no folder, and the table", err, &text)
	}
}

func render(t *testing.T, p page) string {
	t.Helper()
	html, err := p.render()
	wantNil(t, err)
	return string(html)
}
