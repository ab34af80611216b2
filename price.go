package hangar

import (
	"errors"
	"strconv"
	"strings"
)

// Price is an exact amount of money in hundredths: 9999 is "99.99".
type Price int64

// MaxPrice is the largest price, 9999999999999999.99: what the column type
// numeric(18,2) holds.
const MaxPrice Price = 999_999_999_999_999_999

// priceError is what is wrong with a price: the sentence that a client reads.
type priceError string

// Error returns the sentence.
func (e priceError) Error() string { return string(e) }

const (
	errNotANumber    priceError = "Not a valid number."
	errSpecialNumber priceError = "Special numeric values are not permitted."
	errPriceTooLow   priceError = "Must be at least 0."
	errPriceTooHigh  priceError = "Must be at most 9999999999999999.99."
)

// ParsePrice reads a decimal literal such as "99.99", "5" or "1e3" exactly, and
// rounds it half up to two decimals. The error's text says what is wrong with
// it: not a number, a special value such as NaN, below 0, or above MaxPrice.
func ParsePrice(literal string) (Price, error) {
	d, err := parsePriceDecimal(literal)
	if err != nil {
		return 0, err
	}
	if d.negative && d.digits != "" {
		return 0, errPriceTooLow
	}
	return d.price()
}

func parsePriceDecimal(literal string) (decimal, error) {
	literal = strings.TrimSpace(literal)
	d, ok := parseDecimal(literal)
	switch {
	case ok:
		return d, nil
	case isSpecialNumber(literal):
		return d, errSpecialNumber
	}
	return d, errNotANumber
}

// price rounds the absolute value half up.
func (d decimal) price() (Price, error) {
	units, next, ok := d.scaled(2)
	if ok && next >= '5' {
		units++
	}
	if !ok || units > int64(MaxPrice) {
		return 0, errPriceTooHigh
	}
	if d.negative {
		units = -units
	}
	return Price(units), nil
}

// String returns the amount with two decimals, such as "99.99".
func (p Price) String() string {
	return string(p.append(nil))
}

// MarshalJSON writes the amount as a string, such as "99.99".
func (p Price) MarshalJSON() ([]byte, error) {
	b := append(make([]byte, 0, 24), '"')
	return append(p.append(b), '"'), nil
}

// UnmarshalJSON reads a JSON string or number like ParsePrice, and takes amounts
// below 0 too: rows and events of the Python services have them.
func (p *Price) UnmarshalJSON(data []byte) error {
	literal := string(data)
	if len(literal) > 1 && literal[0] == '"' {
		literal = literal[1 : len(literal)-1]
	}
	d, err := parsePriceDecimal(literal)
	if err != nil {
		return err
	}
	parsed, err := d.price()
	if err != nil {
		return err
	}
	*p = parsed
	return nil
}

func (p Price) append(b []byte) []byte {
	units := uint64(p)
	if p < 0 {
		b = append(b, '-')
		units = -units
	}
	b = strconv.AppendUint(b, units/100, 10)
	cents := units % 100
	return append(b, '.', byte('0'+cents/10), byte('0'+cents%10))
}

// decimal is a number as it was written: 0.digits × 10^point.
type decimal struct {
	negative bool
	digits   string // no leading zeros; "" is zero
	point    int
}

// maxExponent bounds a written exponent; beyond it a number is as good as
// infinite, or as nothing.
const maxExponent = 1_000_000_000

// parseDecimal reads [+-]digits[.digits][e[+-]digits], with digits on at least
// one side of the point.
func parseDecimal(s string) (decimal, bool) {
	var d decimal
	if s != "" && (s[0] == '-' || s[0] == '+') {
		d.negative = s[0] == '-'
		s = s[1:]
	}
	mantissa, exponent := s, 0
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		var ok bool
		if exponent, ok = parseExponent(s[i+1:]); !ok {
			return d, false
		}
		mantissa = s[:i]
	}
	whole, fraction, _ := strings.Cut(mantissa, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return d, false
	}
	d.digits = strings.TrimLeft(digits, "0")
	d.point = len(whole) - (len(digits) - len(d.digits)) + exponent
	return d, true
}

func parseExponent(s string) (int, bool) {
	if strings.TrimLeft(strings.TrimLeft(s, "+-"), "0123456789") != "" { // ParseInt does not look beyond what is out of range
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0, false
	}
	return int(max(-maxExponent, min(n, maxExponent))), true
}

// scaled returns the integer part of |d| × 10^places and the first digit after
// it. It is not ok when that has more than 18 digits.
func (d decimal) scaled(places int) (units int64, next byte, ok bool) {
	n := d.point + places
	switch {
	case d.digits == "" || n < 0:
		return 0, '0', true
	case n > 18:
		return 0, '0', false
	}
	for i := range n {
		units *= 10
		if i < len(d.digits) {
			units += int64(d.digits[i] - '0')
		}
	}
	next = '0'
	if n < len(d.digits) {
		next = d.digits[n]
	}
	return units, next, true
}

// isWhole reports whether d is an integer.
func (d decimal) isWhole() bool {
	return len(strings.TrimRight(d.digits, "0")) <= max(d.point, 0)
}

// isSpecialNumber reports whether s is one of the values that decimal literals
// have besides numbers: infinities, and (signalling) NaNs, which may carry digits.
func isSpecialNumber(s string) bool {
	s = strings.ToLower(strings.TrimLeft(s, "+-"))
	if s == "inf" || s == "infinity" {
		return true
	}
	payload, ok := strings.CutPrefix(strings.TrimPrefix(s, "s"), "nan")
	return ok && strings.Trim(payload, "0123456789") == ""
}
