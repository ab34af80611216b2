// Package hangartest holds the conformance suites of hangar: what every store
// and every transport must do, so that one process and many behave as one
// product. A store's own tests call a suite with a function that opens it.
//
// Each subtest opens a store of its own, which must be empty.
package hangartest

import (
	"encoding/json"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
)

// subtest is one behaviour of what a suite opens.
type subtest[S any] struct {
	name string
	run  func(t *testing.T, s S)
}

func runAll[S any](t *testing.T, open func(t *testing.T) S, tests []subtest[S]) {
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

var (
	noLog = slog.New(slog.DiscardHandler)
	noon  = time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
)

func product(id string, inStock int64) hangar.Product {
	return hangar.Product{ID: id, Title: "Title of " + id, PassengerCapacity: 101, MaximumSpeed: 5, InStock: inStock}
}

func line(productID string, quantity int64) hangar.OrderDetail {
	return hangar.OrderDetail{ProductID: productID, Price: 10050, Quantity: quantity}
}

// tester is what a *testing.T and a *rapid.T have in common.
type tester interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// wantNil fails at once if what was done failed.
func wantNil(t tester, what string, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("%s: %v, want no error", what, err)
	}
}

func wantCode(t tester, what string, err error, want hangar.Code) {
	t.Helper()
	if got := hangar.CodeOf(err); got != want {
		t.Fatalf("%s: code %q of error %v, want %q", what, got, err, want)
	}
}

func wantEqual(t tester, what string, got, want any) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

// asSeen is an error as a user sees it: its code, message and details in JSON.
func asSeen(t tester, err error) string {
	t.Helper()
	e, ok := errors.AsType[*hangar.Error](err)
	if !ok {
		t.Fatalf("error %v has no code, want one that a user can see", err)
	}
	b, err := json.Marshal(e)
	wantNil(t, "encode an error", err)
	return string(b)
}
