package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestProbe(t *testing.T) {
	type answers map[string]string // "METHOD path": "status body"
	withoutLists := []leftOut{{"list-orders", "GET /orders answers 405 Method Not Allowed"}, {"product-delete", "DELETE of a product answers 405 Method Not Allowed"}}
	for _, test := range []struct {
		name    string
		answers answers
		lack    []leftOut
	}{
		{"a whole store", answers{"GET /orders": "200 []", "DELETE " + noProduct: `404 {"error": "PRODUCT_NOT_FOUND"}`}, nil},
		{"a fork that deletes what is not there", answers{"GET /orders": "200 []", "DELETE " + noProduct: "204 "}, nil},
		{"the Python gateway", answers{"GET /orders": "405 ", "DELETE " + noProduct: "405 "}, withoutLists},
		{"a gateway before a service that cannot list", answers{
			"GET /orders": `503 {"error": "UNAVAILABLE"}`, "DELETE " + noProduct: `404 {"error": "PRODUCT_NOT_FOUND"}`,
		}, []leftOut{{"list-orders", "GET /orders answers 503 Service Unavailable, UNAVAILABLE"}}},
		{"no such route", answers{"GET /orders": "200 []", "DELETE " + noProduct: "404 <html>"},
			[]leftOut{{"product-delete", "DELETE of a product answers 404 Not Found"}}},
		{"a redirect", answers{"GET /orders": "302 ", "DELETE " + noProduct: "204 "},
			[]leftOut{{"list-orders", "GET /orders answers 302 Found"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			target := serve(t, func(w http.ResponseWriter, r *http.Request) {
				status, body := 404, ""
				if a := test.answers[r.Method+" "+r.URL.Path]; a != "" {
					_, err := fmt.Sscanf(a, "%d", &status)
					wantNil(t, err)
					_, body, _ = strings.Cut(a, " ")
				}
				w.WriteHeader(status)
				_, _ = w.Write([]byte(body))
			})
			have, lack, err := probe(t.Context(), target)
			wantNil(t, err)
			if diff := cmp.Diff(test.lack, lack); diff != "" {
				t.Errorf("left out (-want +got):\n%s", diff)
			}
			if len(have)+len(lack) != len(journeySteps) {
				t.Errorf("has %v and lacks %v, want each of %v in one of them", have, lack, journeySteps)
			}
		})
	}
}

// k6 sends the user of the target's URL, too.
func TestProbeAsksAsTheUserOfTheURL(t *testing.T) {
	target := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch name, password, _ := r.BasicAuth(); {
		case name != "me" || password != "secret":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Method == "DELETE":
			w.WriteHeader(http.StatusNoContent)
		}
	})
	target.User = url.UserPassword("me", "secret")
	_, lack, err := probe(t.Context(), target)
	wantNil(t, err)
	if len(lack) > 0 {
		t.Errorf("left out: %v, want nothing", lack)
	}
}

func TestProbeSaysWhatToDoWhereNothingAnswers(t *testing.T) {
	target, err := url.Parse("http://me:secret@127.0.0.1:1")
	wantNil(t, err)
	_, _, err = probe(t.Context(), target)
	if err == nil || !strings.Contains(err.Error(), "nothing answers at http://me:xxxxx@") || strings.Contains(err.Error(), "secret") {
		t.Errorf("error %v, want one that names the URL without its password", err)
	}
	local, err := parseTarget("local")
	wantNil(t, err)
	if err := unreachable(local, err); !strings.Contains(err.Error(), "make run") {
		t.Errorf("%v: want how to start a store", err)
	}
}

func serve(t *testing.T, handler http.HandlerFunc) *url.URL {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	u, err := url.Parse(server.URL)
	wantNil(t, err)
	return u
}
