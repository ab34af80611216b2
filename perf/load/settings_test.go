package main

import (
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseSettingsDefaults(t *testing.T) {
	s, err := parseSettings(nil, io.Discard)
	wantNil(t, err)
	if s.target.String() != "http://127.0.0.1:8000" || s.users != 3 || s.ramp != time.Minute || s.hold != 3*time.Minute || s.rate != 0 {
		t.Errorf("without arguments: %+v", s)
	}
	if len(s.products) != 10 {
		t.Errorf("%d products of its own, want 10", len(s.products))
	}
	if s.interval() != time.Second {
		t.Errorf("points of %v, want of 1s", s.interval())
	}
}

func TestParseSettings(t *testing.T) {
	s, err := parseSettings([]string{"-target", "https://store.example.com/shop/", "-hold", "24h", "-steps", "order-get,orders-create,products-create"}, io.Discard)
	wantNil(t, err)
	if got := s.target.String(); got != "https://store.example.com/shop" {
		t.Errorf("target %s, want it without the slash", got)
	}
	if diff := cmp.Diff([]string{"products-create", "orders-create", "order-get"}, s.steps); diff != "" {
		t.Errorf("steps are not in a journey's order (-want +got):\n%s", diff)
	}
	if points := s.planned() / s.interval(); points > 600 {
		t.Errorf("a day has %d points, want up to 600", points)
	}
}

func TestParseSettingsRefuses(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-target nowhere", "target must be"},
		{"-target http://a?b=c", "target must be"},
		{"-target ftp://a", "target must be"},
		{"-users 0", "users must be 1 to 2000"},
		{"-users x", "users"},
		{"-hold 0s", "hold must be"},
		{"-ramp -1s", "ramp must be"},
		{"-rate -1", "rate must be"},
		{"-p95 -1s", "p95 must"},
		{"-steps fly", "there is no step"},
		{"-steps order-get,products-create", "the step order-get needs orders-create"},
		{"-products /no/such.csv", "no such file"},
		{"more", `"more" is not an option`},
	} {
		_, err := parseSettings(strings.Fields(test.args), io.Discard)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.args, err, test.want)
		}
	}
}

func TestParseSettingsHelps(t *testing.T) {
	var help strings.Builder
	if _, err := parseSettings([]string{"-h"}, &help); !errors.Is(err, flag.ErrHelp) || !strings.Contains(help.String(), "-users") {
		t.Errorf("-h: error %v and the text %q, want %v and the options", err, &help, flag.ErrHelp)
	}
}

func TestParseProducts(t *testing.T) {
	const header = "id;title;passenger_capacity;maximum_speed;in_stock\n"
	got, err := parseProducts(strings.NewReader(header + "a;\"The; A\";1;2;3\nb;B;0;0;1\n"))
	wantNil(t, err)
	want := []product{{"a", "The; A", 1, 2, 3}, {"b", "B", 0, 0, 1}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("products (-want +got):\n%s", diff)
	}
	got, err = parseProducts(strings.NewReader("\ufeff" + header + "a;A;1;2;3\r\n")) // as spreadsheets write it
	if diff := cmp.Diff([]product{{"a", "A", 1, 2, 3}}, got); diff != "" || err != nil {
		t.Errorf("products after a byte order mark: %v (-want +got):\n%s", err, diff)
	}
	for _, test := range []struct{ text, want string }{
		{"", "the first line must be"},
		{"a;A;1;2;3\n", "the first line must be"},
		{header, "no product"},
		{header + "a;A;1;2\n", "line 2"},
		{header + "a;A;1;2;3\n\nb;B;1;x;3\n", "line 4: maximum_speed must be a whole number"},
		{header + "a;A;1;2;0\n", "in_stock must be at least 1"},
		{header + "a;A;1;2;-1\n", "in_stock must be a whole number"},
		{header + "a/b;A;1;2;3\n", "line 2: id"},
		{header + ";A;1;2;3\n", "line 2: id"},
	} {
		if _, err := parseProducts(strings.NewReader(test.text)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want one with %q", test.text, err, test.want)
		}
	}
}

func TestReadProductsNamesTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "mine.csv")
	wantNil(t, os.WriteFile(file, []byte("x\n"), 0o600))
	if _, err := readProducts(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v, want one that names %s", err, file)
	}
}
