package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
)

// getText returns what is at a URL, and the status.
func getText(t *testing.T, url string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func TestConsole(t *testing.T) {
	s := serveStore(t, t.TempDir())
	defer s.stop()
	if status, body := getText(t, s.url+"/console/"); status != 200 || !strings.Contains(body, "There are no products yet") {
		t.Errorf("/console/ answered %d %s, want the products", status, body)
	}
	// Its charts show the process's own metrics: the requests that follow.
	waitFor(t, "a route, requests a second, and all that is known", func() bool {
		getText(t, s.url+"/products/missing")
		_, body := getText(t, s.url+"/console/live/data")
		var live struct {
			Series  map[string][]*float64
			Routes  []struct{ Route string }
			Unknown map[string]string
		}
		if err := json.Unmarshal([]byte(body), &live); err != nil {
			t.Fatalf("the live data is %s: %v", body, err)
		}
		if len(live.Routes) > 1 || len(live.Routes) == 1 && live.Routes[0].Route != "GET /products/{id}" {
			t.Fatalf("routes %v, want GET /products/{id} alone", live.Routes)
		}
		requests := live.Series["requests"]
		asked := len(requests) > 0 && requests[len(requests)-1] != nil && *requests[len(requests)-1] > 0
		return len(live.Routes) == 1 && asked && len(live.Unknown) == 0
	})
}

func TestNoConsole(t *testing.T) {
	s := serveStore(t, t.TempDir(), "--console", "off")
	defer s.stop()
	if status, body := getText(t, s.url+"/console/products"); status != http.StatusNotFound {
		t.Errorf("without a console, /console/products answered %d %s, want 404", status, body)
	}
}
