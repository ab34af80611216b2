package hangar

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxInteger is the largest integer that is taken in, 2^53-1: the largest that
// every JSON client reads exactly.
const MaxInteger = 1<<53 - 1

// The words of a complaint are a contract: clients of the Python services match
// them.
const (
	complaintMissing   = "Missing data for required field."
	complaintNull      = "Field may not be null."
	complaintString    = "Not a valid string."
	complaintInteger   = "Not a valid integer."
	complaintType      = "Invalid type."
	complaintInputType = "Invalid input type."
	complaintEmpty     = "Shorter than minimum length 1."
)

// complaints maps a field to what is wrong with it: a list of sentences, or
// complaints of a deeper level.
type complaints map[string]any

// add notes a complaint, unless the field has one: the first is the cause.
func (c complaints) add(field, complaint string) {
	if _, ok := c[field]; !ok {
		c[field] = []string{complaint}
	}
}

func (c complaints) addAll(field string, deeper complaints) {
	if len(deeper) > 0 {
		c[field] = map[string]any(deeper)
	}
}

// err returns nil for no complaints, and else a ValidationError.
func (c complaints) err() error {
	if len(c) == 0 {
		return nil
	}
	return NewValidationError(c)
}

// NewValidationError returns an error of code ValidationError. Fields map a name
// to a list of sentences, or to such a map of its own.
func NewValidationError(fields map[string]any) *Error {
	var b strings.Builder
	describe(&b, "", fields)
	return &Error{Code: ValidationError, Message: b.String(), Details: fields}
}

// maxDescribed bounds the fields that a message spells out; Details has all.
const maxDescribed = 10

func describe(b *strings.Builder, prefix string, fields map[string]any) {
	for i, name := range slices.Sorted(maps.Keys(fields)) {
		if i == maxDescribed {
			b.WriteString("; …")
			return
		}
		switch complaint := fields[name].(type) {
		case map[string]any:
			describe(b, prefix+name+".", complaint)
		case []string:
			if b.Len() > 0 {
				b.WriteString("; ")
			}
			fmt.Fprintf(b, "%s%s: %s", prefix, name, strings.Join(complaint, " "))
		}
	}
}

// object reads the members of a decoded JSON object. What it cannot use it
// complains of, and returns a zero value for.
type object struct {
	members    map[string]any
	complaints complaints
}

// asObject takes a decoded JSON value: nil, bool, string, json.Number, []any or
// map[string]any.
func asObject(v any) object {
	o := object{complaints: complaints{}}
	members, ok := v.(map[string]any)
	if !ok {
		o.complaints.add("_schema", complaintInputType)
		return o
	}
	o.members = members
	return o
}

func (o object) valid() bool { return o.members != nil }

// member returns a required member that is not null.
func (o object) member(name string) (any, bool) {
	v, ok := o.members[name]
	switch {
	case !ok:
		o.complaints.add(name, complaintMissing)
	case v == nil:
		o.complaints.add(name, complaintNull)
	default:
		return v, true
	}
	return nil, false
}

func (o object) text(name string) string {
	v, ok := o.member(name)
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok {
		o.complaints.add(name, complaintString)
	}
	return s
}

// integer reads a whole number, or a string that spells one. A number outside
// int64 becomes the nearest there is, which no range that follows lets pass.
func (o object) integer(name string) int64 {
	v, ok := o.member(name)
	if !ok {
		return 0
	}
	var n int64
	switch v := v.(type) {
	case string:
		n, ok = parseInteger(strings.TrimSpace(v))
	case json.Number:
		n, ok = WholeNumber(string(v))
	default:
		ok = false
	}
	if !ok {
		o.complaints.add(name, complaintInteger)
	}
	return n
}

// price reads a JSON number or a string by ParsePrice.
func (o object) price(name string) Price {
	v, ok := o.member(name)
	if !ok {
		return 0
	}
	literal := ""
	switch v := v.(type) {
	case string:
		literal = v
	case json.Number:
		literal = string(v)
	}
	p, err := ParsePrice(literal)
	if err != nil {
		o.complaints.add(name, err.Error())
	}
	return p
}

func parseInteger(s string) (int64, bool) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		d, ok := parseDecimal(s)
		if !ok || strings.ContainsAny(s, ".eE") {
			return 0, false
		}
		return d.saturated(), true
	}
	return n, true
}

// WholeNumber reads a decimal literal without a fraction: 5, 5.0 and 5e0 alike.
// One outside int64 becomes the nearest there is.
func WholeNumber(literal string) (n int64, ok bool) {
	if n, err := strconv.ParseInt(literal, 10, 64); err == nil {
		return n, true
	}
	d, ok := parseDecimal(literal)
	if !ok || !d.isWhole() {
		return 0, false
	}
	return d.saturated(), true
}

// saturated returns the integer part, or the nearest that int64 has.
func (d decimal) saturated() int64 {
	const enough = 20 // digits, for more than int64
	places := max(0, min(d.point, enough))
	digits := (d.digits + strings.Repeat("0", enough))[:places]
	if d.negative {
		digits = "-" + digits
	}
	n, _ := strconv.ParseInt(digits, 10, 64) // which is 0 without digits, and saturates
	return n
}

// checkRange complains of a number outside least to most.
func (c complaints) checkRange(field string, n, least, most int64) {
	switch {
	case n < least:
		c.add(field, fmt.Sprintf("Must be at least %d.", least))
	case n > most:
		c.add(field, fmt.Sprintf("Must be at most %d.", most))
	}
}

// checkKey complains of an idempotency key that is too long, or no text.
func (c complaints) checkKey(key string) {
	if key != "" {
		c.checkText("Idempotency-Key", key, MaxIdempotencyKey)
	}
}

// checkText complains of text that is empty, longer than most characters, not
// UTF-8, or has a NUL, which PostgreSQL cannot store.
func (c complaints) checkText(field, s string, most int) {
	switch {
	case s == "":
		c.add(field, complaintEmpty)
	case utf8.RuneCountInString(s) > most:
		c.add(field, fmt.Sprintf("Longer than maximum length %d.", most))
	case !utf8.ValidString(s) || strings.ContainsRune(s, 0):
		c.add(field, complaintString)
	}
}
