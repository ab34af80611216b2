package hangar_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar"
)

// decode reads a body as the gateway does.
func decode(t testing.TB, body string) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(body))
	decoder.UseNumber()
	var v any
	if err := decoder.Decode(&v); err != nil {
		t.Fatalf("decode %s: %v", body, err)
	}
	return v
}

// wantComplaints compares the details of a validation error.
func wantComplaints(t *testing.T, what string, err error, want any) {
	t.Helper()
	e, ok := errors.AsType[*hangar.Error](err)
	if !ok || e.Code != hangar.ValidationError || e.Message == "" {
		t.Errorf("%s: %#v, want a VALIDATION_ERROR with a message", what, err)
		return
	}
	b, err := json.Marshal(e.Details)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, decode(t, string(b))); diff != "" {
		t.Errorf("%s: details (-want +got):\n%s", what, diff)
	}
}

func TestCodeOf(t *testing.T) {
	conflict := hangar.Errorf(hangar.Conflict, "no")
	for _, test := range []struct {
		err  error
		want hangar.Code
	}{
		{nil, ""},
		{conflict, hangar.Conflict},
		{fmt.Errorf("begin: %w", conflict), hangar.Conflict},
		{errors.Join(errors.New("x"), conflict), hangar.Conflict},
		{&hangar.Error{Code: hangar.Unavailable, Err: conflict}, hangar.Unavailable},
		{&hangar.Error{Code: hangar.BadRequest, Err: context.Canceled}, hangar.BadRequest},
		{context.DeadlineExceeded, hangar.Unavailable},
		{fmt.Errorf("get: %w", context.Canceled), hangar.Unavailable},
		{errors.New("disk"), hangar.Unexpected},
	} {
		if got := hangar.CodeOf(test.err); got != test.want {
			t.Errorf("CodeOf(%v) = %q, want %q", test.err, got, test.want)
		}
	}
}

func TestErrorKeepsItsCauseInside(t *testing.T) {
	cause := errors.New("disk says no")
	err := &hangar.Error{Code: hangar.Unavailable, Message: "Try again.", Err: cause}
	if got := err.Error(); got != "Try again.: disk says no" {
		t.Errorf("Error() = %q, want the message and the cause", got)
	}
	if !errors.Is(err, cause) {
		t.Error("the error does not wrap its cause")
	}
	b, marshalErr := json.Marshal(err)
	if want := `{"error":"UNAVAILABLE","message":"Try again."}`; marshalErr != nil || string(b) != want {
		t.Errorf("as JSON: %s, %v, want %s", b, marshalErr, want)
	}
}

func TestErrorIsTheSameAfterJSON(t *testing.T) {
	for _, want := range []*hangar.Error{
		hangar.NewOrderNotFound("1"),
		hangar.NewOutOfStock(map[string]hangar.Shortage{"ü": {Requested: 1 << 60, InStock: hangar.MaxInteger}}),
		hangar.NewValidationError(map[string]any{"a": []string{"x"}, "b": map[string]any{"0": []string{"y"}}}),
	} {
		before, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		var read hangar.Error
		if err := json.Unmarshal(before, &read); err != nil {
			t.Fatal(err)
		}
		after, err := json.Marshal(&read)
		if err != nil || string(after) != string(before) {
			t.Errorf("%s came back as %s, %v", before, after, err)
		}
	}
}

func TestNewOutOfStock(t *testing.T) {
	err := hangar.NewOutOfStock(map[string]hangar.Shortage{"b": {Requested: 2, InStock: 1}, "a": {Requested: 3, InStock: -1}})
	want := `{"error":"OUT_OF_STOCK","message":"Not enough in stock: a: 3 requested, -1 in stock; b: 2 requested, 1 in stock",` +
		`"details":{"a":{"requested":3,"in_stock":-1},"b":{"requested":2,"in_stock":1}}}`
	if b, marshalErr := json.Marshal(err); marshalErr != nil || string(b) != want {
		t.Errorf("as JSON: %s, %v, want %s", b, marshalErr, want)
	}
}

func TestValidationMessageIsBounded(t *testing.T) {
	fields := map[string]any{}
	for i := range 1000 {
		fields[fmt.Sprintf("f%04d", i)] = []string{"Not a valid string."}
	}
	err := hangar.NewValidationError(fields)
	if len(err.Message) > 1000 || !strings.HasPrefix(err.Message, "f0000: Not a valid string.; f0001: ") {
		t.Errorf("message of 1000 complaints has %d bytes: %.100s…, want the first few", len(err.Message), err.Message)
	}
	if n := len(err.Details.(map[string]any)); n != 1000 {
		t.Errorf("details of 1000 complaints have %d", n)
	}
}

func TestPages(t *testing.T) {
	for _, test := range []struct {
		rows, limit, items int
		more               bool
	}{{0, 1, 0, false}, {1, 1, 1, false}, {2, 1, 1, true}, {3, 3, 3, false}, {4, 3, 3, true}} {
		page := hangar.NewPage(make([]int, test.rows), test.limit)
		if len(page.Items) != test.items || page.More != test.more {
			t.Errorf("NewPage of %d rows with the limit %d: %d items, more %v, want %d and %v",
				test.rows, test.limit, len(page.Items), page.More, test.items, test.more)
		}
	}
	for limit, want := range map[int]hangar.Code{
		-1: hangar.ValidationError, 0: hangar.ValidationError, 1: "", hangar.MaxPageSize: "", hangar.MaxPageSize + 1: hangar.ValidationError,
	} {
		for _, q := range []interface{ Validate() error }{hangar.ProductQuery{Limit: limit}, hangar.OrderQuery{Limit: limit}} {
			if code := hangar.CodeOf(q.Validate()); code != want {
				t.Errorf("%+v.Validate(): %q, want %q", q, code, want)
			}
		}
	}
	tooLow := decode(t, `{"limit": ["Must be at least 1."]}`)
	wantComplaints(t, "Validate", hangar.ProductQuery{}.Validate(), tooLow)
	wantComplaints(t, "Validate", hangar.OrderQuery{}.Validate(), tooLow)
}
