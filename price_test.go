package hangar_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"hangar"
)

const (
	notANumber = "Not a valid number."
	special    = "Special numeric values are not permitted."
	tooLow     = "Must be at least 0."
	tooHigh    = "Must be at most 9999999999999999.99."
)

func TestParsePrice(t *testing.T) {
	for _, test := range []struct{ literal, want, complaint string }{
		{"0", "0.00", ""},
		{"99.99", "99.99", ""},
		{"5", "5.00", ""},
		{"5.5", "5.50", ""},
		{"100000.99", "100000.99", ""},
		{"0.1", "0.10", ""},
		{"007", "7.00", ""},
		{".5", "0.50", ""},
		{"5.", "5.00", ""},
		{"+5", "5.00", ""},
		{"-0", "0.00", ""},
		{"-0.000", "0.00", ""},
		{"-0e5", "0.00", ""},

		// Half up, by all of the digits.
		{"99.999", "100.00", ""},
		{"1.004", "1.00", ""},
		{"1.005", "1.01", ""},
		{"1.0049999999999999999999999", "1.00", ""},
		{"1.015", "1.02", ""},
		{"1.025", "1.03", ""},
		{"0.005", "0.01", ""},
		{"0.0049", "0.00", ""},
		{"0.0005", "0.00", ""},
		{"0.995", "1.00", ""},
		{"2.675", "2.68", ""}, // as a float it lies below the half

		{"1e3", "1000.00", ""},
		{"1E3", "1000.00", ""},
		{"1e+3", "1000.00", ""},
		{"1.5e-1", "0.15", ""},
		{"5e-3", "0.01", ""},
		{"4e-3", "0.00", ""},
		{"12345e-2", "123.45", ""},
		{"0.00001e7", "100.00", ""},
		{"1e-999999999", "0.00", ""},
		{"1e-99999999999999999999", "0.00", ""},
		{"0e999999999", "0.00", ""},
		{"0e99999999999999999999", "0.00", ""},
		{"1" + strings.Repeat("0", 100) + "e-100", "1.00", ""},
		{"0." + strings.Repeat("0", 100) + "1e101", "1.00", ""},

		{" 5 ", "5.00", ""},
		{"\t5\n", "5.00", ""},

		{"9999999999999999.99", "9999999999999999.99", ""},
		{"9999999999999999.994", "9999999999999999.99", ""},
		{"9999999999999999.995", "", tooHigh},
		{"10000000000000000", "", tooHigh},
		{"1e16", "", tooHigh},
		{"1e15", "1000000000000000.00", ""},
		{"12345678901234567890.12", "", tooHigh},
		{"1e999999999", "", tooHigh},
		{"1e99999999999999999999", "", tooHigh},
		{strings.Repeat("9", 100_000), "", tooHigh},

		{"-1", "", tooLow},
		{"-0.001", "", tooLow},
		{"-1e-999999999", "", tooLow},
		{"-1e999999999", "", tooLow},

		{"NaN", "", special},
		{"nan", "", special},
		{"-NaN", "", special},
		{"sNaN", "", special},
		{"nan123", "", special},
		{"inf", "", special},
		{"Infinity", "", special},
		{"-Infinity", "", special},

		{"", "", notANumber},
		{" ", "", notANumber},
		{"x", "", notANumber},
		{".", "", notANumber},
		{"-", "", notANumber},
		{"+", "", notANumber},
		{"e5", "", notANumber},
		{"1e", "", notANumber},
		{"1e+", "", notANumber},
		{"1e+-5", "", notANumber},
		{"1e1.5", "", notANumber},
		{"1e5e5", "", notANumber},
		{"0e99999999999999999999x", "", notANumber},
		{"1e99999999999999999999+", "", notANumber},
		{"1e99999999999999999999.", "", notANumber},
		{"1.2.3", "", notANumber},
		{"--1", "", notANumber},
		{"1 2", "", notANumber},
		{"1,5", "", notANumber},
		{"1_000", "", notANumber},
		{"0x10", "", notANumber},
		{"٣", "", notANumber},
		{"1\x00", "", notANumber},
		{"infinite", "", notANumber},
		{"nanx", "", notANumber},
	} {
		p, err := hangar.ParsePrice(test.literal)
		switch {
		case test.complaint != "":
			if err == nil || err.Error() != test.complaint {
				t.Errorf("ParsePrice(%.40q) = %v, %v, want the error %q", test.literal, p, err, test.complaint)
			}
		case err != nil || p.String() != test.want:
			t.Errorf("ParsePrice(%.40q) = %v, %v, want %s", test.literal, p, err, test.want)
		}
	}
}

func TestPriceString(t *testing.T) {
	for p, want := range map[hangar.Price]string{
		0:               "0.00",
		1:               "0.01",
		-1:              "-0.01",
		100:             "1.00",
		-12345:          "-123.45",
		hangar.MaxPrice: "9999999999999999.99",
		math.MaxInt64:   "92233720368547758.07",
		math.MinInt64:   "-92233720368547758.08",
	} {
		if got := p.String(); got != want {
			t.Errorf("Price(%d).String() = %q, want %q", int64(p), got, want)
		}
		if b, err := json.Marshal(p); err != nil || string(b) != `"`+want+`"` {
			t.Errorf("Price(%d) as JSON: %s, %v, want %q", int64(p), b, err, want)
		}
	}
}

func TestPriceFromJSON(t *testing.T) {
	for body, want := range map[string]string{
		`"99.99"`:  "99.99",
		`99.999`:   "100.00",
		`0.285e1`:  "2.85",
		`" 1e3 "`:  "1000.00",
		`"x"`:      notANumber,
		`""`:       notANumber,
		`true`:     notANumber,
		`[1]`:      notANumber,
		`"NaN"`:    special,
		`-1`:       "-1.00",
		`"-0.01"`:  "-0.01",
		`" -1e3 "`: "-1000.00",
		`-0.005`:   "-0.01",
		`-0.004`:   "0.00",
		`"-0"`:     "0.00",
		`"--1"`:    notANumber,
		`"-NaN"`:   special,
		`1e999999`: tooHigh,

		`-9999999999999999.99`:    "-9999999999999999.99",
		`"-10000000000000000.00"`: tooHigh,
	} {
		var p hangar.Price
		got := ""
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			got = err.Error()
		} else {
			got = p.String()
		}
		if got != want {
			t.Errorf("price of %s: %q, want %q", body, got, want)
		}
	}
}
