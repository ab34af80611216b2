package gateway_test

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"hangar/gateway"
)

// What a page asks for again and again leaves a line only when it fails.
func TestRepeatedRequestsAreQuiet(t *testing.T) {
	var log bytes.Buffer
	console := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		gateway.NoteRepeated(w)
		if r.URL.Path == "/console/broken" {
			w.WriteHeader(500)
		}
	})
	handler := gateway.New(gateway.Config{Console: console, Log: slog.New(slog.NewTextHandler(&log, nil))})
	for _, path := range []string{"/console/figures", "/console/broken", "/console/figures"} {
		handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path, nil))
	}
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.Contains(got, "path=/console/broken") {
		t.Errorf("the log is %q, want one line, of what failed", got)
	}
}
