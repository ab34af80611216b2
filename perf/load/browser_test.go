package main

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"hangar/hangartest/browser"
)

// TestPagesInABrowser draws each page, of texts that try to be HTML, in Chromium.
func TestPagesInABrowser(t *testing.T) {
	run := hostileRun()
	running := run
	running.Ended = ""
	live, err := serveLive(func() summary { return running })
	wantNil(t, err)
	defer live.close()
	dir := t.TempDir()
	file := func(name string, p page) string {
		path := filepath.Join(dir, name)
		wantNil(t, writePage(path, p))
		return path
	}
	for _, test := range []struct {
		name, origin, path string
		charts             int
		want               string
	}{
		{"report", "file://", file("report.html", reportPage(hostile, run)), 3, ": missed"},
		{"live", "http://" + live.address, "/", 3, "Running: "},
		{"comparison", "file://", file("compare.html", comparePage(hostile, run, run)), 3, "× 1.00"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := browser.Open(t, test.origin)
			p.Do(chromedp.Navigate(test.origin+test.path), chromedp.WaitReady("main canvas", chromedp.AtLeast(test.charts)))
			body := browser.Run(p, chromedp.OuterHTML("main"))
			if n := strings.Count(body, "<canvas"); n != test.charts {
				t.Errorf("%d charts, want %d", n, test.charts)
			}
			if strings.Contains(body, "<img") || strings.Contains(body, "<script") {
				t.Error("a text has become an element")
			}
			for _, want := range []string{test.want, "&lt;img src=x"} {
				if !strings.Contains(body, want) {
					t.Errorf("the page does not show %q:\n%s", want, body)
				}
			}
			p.Screenshot("drawn")
		})
	}
}

// What was never answered took no time, and is not better for that.
func TestComparisonWithARunThatWasNotAnswered(t *testing.T) {
	run := hostileRun()
	silent := newSeries([]string{hostile}, time.Second)
	lost := step(hostile, 0, 0)
	lost.Data.Tags.Outcome = "unanswered"
	silent.add(lost)
	silent.end()
	after := run
	silent.fill(&after)
	for _, l := range append(after.Labels, after.Total) {
		if l.Median != 0 {
			t.Fatalf("the median of %d requests without an answer is %v, want 0", l.Count, l.Median)
		}
	}
	page := filepath.Join(t.TempDir(), "compare.html")
	wantNil(t, writePage(page, comparePage("unanswered", run, after)))
	p := browser.Open(t, "file://")
	p.Do(chromedp.Navigate("file://"+page), chromedp.WaitReady("main canvas", chromedp.AtLeast(3)))
	if body := browser.Run(p, chromedp.OuterHTML("main")); strings.Contains(body, "× 0.00") {
		t.Errorf("times that there are none of are compared:\n%s", body)
	}
}
