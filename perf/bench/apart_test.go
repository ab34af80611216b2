package main

import (
	"strings"
	"testing"
)

func TestParseProcessors(t *testing.T) {
	for list, want := range map[string]string{"0": "0", "0-1": "0 1", "2,4-6,9": "2 4 5 6 9", "10-11": "10 11"} {
		if got, err := parseProcessors(list); err != nil || strings.Join(got, " ") != want {
			t.Errorf("the processors %s are %v, %v, want %s", list, got, err, want)
		}
	}
	for _, list := range []string{"", "0-", "a", "0 1"} {
		if got, err := parseProcessors(list); err == nil {
			t.Errorf("%q is read as %v, want an error", list, got)
		}
	}
}
