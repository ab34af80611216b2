package hangar_test

import (
	"encoding/json"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"hangar"
)

// number is what a price is written like; the exponent stays small, as big.Rat
// writes all of its zeros.
var number = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$`)

func FuzzParsePrice(f *testing.F) {
	for _, literal := range []string{
		"99.99", "5", "1e3", "99.999", "1.005", "-1", "-0", "NaN", "Infinity", "x", "12345678901234567890.12",
		"9999999999999999.99", "9999999999999999.995", "1e-3", "5e-3", ".5", "5.", " 1 ", "+1", "1e999999999", "",
	} {
		f.Add(literal)
	}
	f.Fuzz(func(t *testing.T, literal string) {
		p, err := hangar.ParsePrice(literal)
		if err == nil && (p < 0 || p > hangar.MaxPrice) {
			t.Fatalf("ParsePrice(%q) = %d, want 0 to %d", literal, int64(p), int64(hangar.MaxPrice))
		}
		if err == nil {
			if again, err := hangar.ParsePrice(p.String()); err != nil || again != p {
				t.Fatalf("ParsePrice(%q) = %v, which is read as %v, %v", literal, p, again, err)
			}
		}
		trimmed := strings.TrimSpace(literal)
		if err == nil && strings.Trim(trimmed, "0123456789+-.eE") != "" {
			t.Fatalf("ParsePrice(%q) = %v, want that it is no number", literal, p)
		}
		if !number.MatchString(trimmed) {
			return
		}
		want, complaint := roundedHalfUp(t, trimmed)
		switch {
		case complaint != "":
			if err == nil || err.Error() != complaint {
				t.Fatalf("ParsePrice(%q) = %v, %v, want the error %q", literal, p, err, complaint)
			}
		case err != nil || int64(p) != want:
			t.Fatalf("ParsePrice(%q) = %v, %v, want %s", literal, p, err, hangar.Price(want))
		}
	})
}

// roundedHalfUp is ParsePrice in rational numbers.
func roundedHalfUp(t *testing.T, literal string) (units int64, complaint string) {
	exact, ok := new(big.Rat).SetString(literal)
	if !ok {
		t.Fatalf("big.Rat cannot read %q", literal)
	}
	if exact.Sign() < 0 {
		return 0, tooLow
	}
	exact.Mul(exact, big.NewRat(100, 1)).Add(exact, big.NewRat(1, 2))
	whole := new(big.Int).Quo(exact.Num(), exact.Denom())
	if whole.Cmp(big.NewInt(int64(hangar.MaxPrice))) > 0 {
		return 0, tooHigh
	}
	return whole.Int64(), ""
}

var integerLiteral = regexp.MustCompile(`^[+-]?[0-9]+(\.0*)?([eE][+-]?[0-9]{1,2})?$`)

// FuzzWholeNumber compares with exact arithmetic, where a literal is one that JSON or
// Python writes for a whole number.
func FuzzWholeNumber(f *testing.F) {
	for _, seed := range []string{
		"1", "-2", "+3", "5.0", "5.5", "1e3", "9223372036854775807", "9223372036854775808", "-9223372036854775809", "9007199254740993.0",
		"12345678901234567890123", "1e18", "1e19", "0x10", "0x1p4", "1_000", "Infinity", "NaN", "", ".", "-0", "-0.0", "1e-1", "10e-1", "5.", ".0",
		"0e19000000000000000000a",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, literal string) {
		n, ok := hangar.WholeNumber(literal)
		if strings.Trim(literal, "0123456789+-.eE") != "" && ok {
			t.Fatalf("%q was read as %d, want that it is no whole number", literal, n)
		}
		if !integerLiteral.MatchString(literal) {
			return
		}
		exact, valid := new(big.Rat).SetString(strings.TrimPrefix(literal, "+"))
		if !valid {
			t.Fatalf("big.Rat cannot read %q", literal)
		}
		switch {
		case !exact.IsInt():
			if ok {
				t.Fatalf("%q was read as %d, want that it is no whole number", literal, n)
			}
		case exact.Num().IsInt64():
			if !ok || n != exact.Num().Int64() {
				t.Fatalf("%q was read as %d, %v, want %v", literal, n, ok, exact.Num())
			}
		case !ok || n != math.MaxInt64 && exact.Sign() > 0 || n != math.MinInt64 && exact.Sign() < 0:
			t.Fatalf("%q was read as %d, %v, want the nearest there is", literal, n, ok)
		}
	})
}

// fuzzBodies calls check with every decoded body.
func fuzzBodies(f *testing.F, seeds string, check func(t *testing.T, v any)) {
	for _, c := range contractCases(f, seeds) {
		f.Add(c.Body)
	}
	f.Fuzz(func(t *testing.T, body string) {
		decoder := json.NewDecoder(strings.NewReader(body))
		decoder.UseNumber()
		var v any
		if decoder.Decode(&v) != nil {
			return
		}
		check(t, v)
	})
}

func wantValidation(t *testing.T, err error) {
	if code := hangar.CodeOf(err); code != hangar.ValidationError || err.Error() == "" {
		t.Fatalf("error %v with code %q, want a VALIDATION_ERROR that says something", err, code)
	}
	if _, err := json.Marshal(err); err != nil {
		t.Fatalf("the error cannot be answered: %v", err)
	}
}

func FuzzParseProduct(f *testing.F) {
	fuzzBodies(f, "products.json", func(t *testing.T, v any) {
		p, err := hangar.ParseProduct(v)
		if err != nil {
			wantValidation(t, err)
			return
		}
		if err := p.Validate(); err != nil {
			t.Fatalf("ParseProduct accepted %+v, which is not valid: %v", p, err)
		}
	})
}

func FuzzParseNewOrder(f *testing.F) {
	fuzzBodies(f, "orders.json", func(t *testing.T, v any) {
		if n, err := hangar.ParseNewOrder(v); err != nil {
			wantValidation(t, err)
		} else if err := n.Validate(); err != nil {
			t.Fatalf("ParseNewOrder accepted %+v, which is not valid: %v", n, err)
		}
		u, err := hangar.ParseOrderUpdate(1, v)
		if err != nil {
			wantValidation(t, err)
			return
		}
		checkApply(t, u)
	})
}

// checkApply applies an update to an order that has its lines.
func checkApply(t *testing.T, u hangar.OrderUpdate) {
	var details []hangar.OrderDetail
	named := map[int64]bool{}
	unique := true
	for i, line := range u.Lines {
		unique = unique && !named[line.ID]
		named[line.ID] = true
		id := line.ProductID
		if id == "" {
			id = strconv.Itoa(i)
		}
		details = append(details, hangar.OrderDetail{ID: line.ID, ProductID: id, Price: 1, Quantity: 1})
	}
	updated, err := u.Apply(details)
	if (err == nil) != unique {
		t.Fatalf("%+v, whose lines are unique: %v, was applied with %v", u, unique, err)
	}
	if err != nil {
		wantValidation(t, err)
		return
	}
	for i, d := range updated {
		if d.Price != u.Lines[i].Price || d.Quantity != u.Lines[i].Quantity || d.ProductID != details[i].ProductID {
			t.Fatalf("line %d after %+v: %+v", i, u, d)
		}
	}
}
