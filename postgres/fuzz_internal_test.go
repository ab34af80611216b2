package postgres

import (
	"log/slog"
	"math/big"
	"regexp"
	"testing"

	"hangar"
)

var numeric = regexp.MustCompile(`^-?[0-9]{1,30}(\.[0-9]{1,30})?$`)

// FuzzPrice reads numbers as PostgreSQL writes them, rounded half away from zero
// to cents, and compares with rational numbers. What is none is 0.
func FuzzPrice(f *testing.F) {
	for _, seed := range []string{
		"0", "0.00", "12.50", "-12.50", "-0.05", "100000.99", "9999999999999999.99", "10000000000000000.00", "5", "5.1", "1.005", "1.994999", "-1.995",
		"NaN", "Infinity", "-Infinity", "", ".", "1.é", "1.-5", "+1.5", "1e5", "1.2x", "1_0.00",
	} {
		f.Add(seed)
	}
	s := &OrderStore{log: slog.New(slog.DiscardHandler)}
	f.Fuzz(func(t *testing.T, number string) {
		got := s.price(1, 1, number)
		if got < -hangar.MaxPrice || got > hangar.MaxPrice {
			t.Fatalf("the price %q is %d, out of range", number, got)
		}
		if !numeric.MatchString(number) {
			return
		}
		exact, _ := new(big.Rat).SetString(number)
		cents := new(big.Rat).Mul(exact.Abs(exact), big.NewRat(100, 1))
		cents.Add(cents, big.NewRat(1, 2))
		want := new(big.Int).Quo(cents.Num(), cents.Denom())
		if number[0] == '-' {
			want.Neg(want)
		}
		switch {
		case want.CmpAbs(big.NewInt(int64(hangar.MaxPrice))) > 0:
			if got != 0 {
				t.Fatalf("the price %q is %v, want 0 for what is out of range", number, got)
			}
		case want.Cmp(big.NewInt(int64(got))) != 0:
			t.Fatalf("the price %q is %v, want %v hundredths", number, got, want)
		}
	})
}
