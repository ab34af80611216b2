package hangar_test

import (
	"fmt"
	"strings"
	"testing"

	"hangar"
)

func TestParseRestock(t *testing.T) {
	for _, test := range []struct {
		body string
		want int64
	}{
		{`{"quantity": 1}`, 1},
		{`{"quantity": "12", "id": "other", "colour": "red"}`, 12},
		{`{"quantity": 7e0}`, 7},
		{`{"quantity": 9007199254740991}`, hangar.MaxInteger},
	} {
		r, err := hangar.ParseRestock("a", decode(t, test.body))
		if want := (hangar.Restock{ID: "a", Quantity: test.want}); err != nil || r != want || r.Validate() != nil {
			t.Errorf("ParseRestock(%s) = %+v, %v, want %+v", test.body, r, err, want)
		}
	}
	for body, complaints := range map[string]string{
		`[]`:                             `{"_schema": ["Invalid input type."]}`,
		`null`:                           `{"_schema": ["Invalid input type."]}`,
		`{}`:                             `{"quantity": ["Missing data for required field."]}`,
		`{"quantity": null}`:             `{"quantity": ["Field may not be null."]}`,
		`{"quantity": true}`:             `{"quantity": ["Not a valid integer."]}`,
		`{"quantity": 1.5}`:              `{"quantity": ["Not a valid integer."]}`,
		`{"quantity": 0}`:                `{"quantity": ["Must be at least 1."]}`,
		`{"quantity": -3}`:               `{"quantity": ["Must be at least 1."]}`,
		`{"quantity": 9007199254740992}`: `{"quantity": ["Must be at most 9007199254740991."]}`,
		`{"quantity": 1e999999999}`:      `{"quantity": ["Must be at most 9007199254740991."]}`,
	} {
		_, err := hangar.ParseRestock("a", decode(t, body))
		wantComplaints(t, "ParseRestock("+body+")", err, decode(t, complaints))
	}
}

func TestValidateRestock(t *testing.T) {
	valid := hangar.Restock{Quantity: hangar.MaxInteger, IdempotencyKey: strings.Repeat("☃", hangar.MaxIdempotencyKey)}
	if err := valid.Validate(); err != nil {
		t.Errorf("%.60v: %v, want no error", valid, err)
	}
	for _, test := range []struct {
		restock hangar.Restock
		want    string
	}{
		{hangar.Restock{}, `{"quantity": ["Must be at least 1."]}`},
		{hangar.Restock{Quantity: hangar.MaxInteger + 1}, `{"quantity": ["Must be at most 9007199254740991."]}`},
		{hangar.Restock{Quantity: 1, IdempotencyKey: valid.IdempotencyKey + "x"}, `{"Idempotency-Key": ["Longer than maximum length 255."]}`},
		{hangar.Restock{Quantity: 1, IdempotencyKey: "\xff"}, `{"Idempotency-Key": ["Not a valid string."]}`},
	} {
		wantComplaints(t, fmt.Sprintf("%.60v", test.restock), test.restock.Validate(), decode(t, test.want))
	}
}

func TestValidateQueries(t *testing.T) {
	for _, q := range []interface{ Validate() error }{
		hangar.ProductQuery{Limit: 1, Prefix: strings.Repeat("☃", hangar.MaxProductID)},
		hangar.OrderQuery{Limit: 1, Status: hangar.Pending},
		hangar.OrderQuery{Limit: 1, Status: hangar.Confirmed},
		hangar.OrderQuery{Limit: 1, Status: hangar.Rejected},
		hangar.OrderQuery{Limit: 1, Status: hangar.Cancelled},
	} {
		if err := q.Validate(); err != nil {
			t.Errorf("%+v: %v, want no error", q, err)
		}
	}
	wantComplaints(t, "Validate", hangar.ProductQuery{Prefix: "\xff"}.Validate(),
		decode(t, `{"limit": ["Must be at least 1."], "prefix": ["Not a valid string."]}`))
	wantComplaints(t, "Validate", hangar.OrderQuery{Status: "CONFIRMED"}.Validate(),
		decode(t, `{"limit": ["Must be at least 1."], "status": ["Must be one of: pending, confirmed, rejected, cancelled."]}`))
}

// FuzzPrefix wants a prefix and its end to enclose just the ids with the prefix.
func FuzzPrefix(f *testing.F) {
	for _, seed := range [][2]string{{"th", "the_odyssey"}, {"th", "ti"}, {"é", "\u00ea"}, {"\U0010ffff", "\U0010ffff\U0010ffff"}, {"", "x"}, {"\u00bf", "\u00c0"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, prefix, id string) {
		q := hangar.ProductQuery{Prefix: prefix, Limit: 1}
		if q.Validate() != nil || (hangar.Product{ID: id, Title: "T"}).Validate() != nil {
			return
		}
		end := q.End()
		within := id >= prefix && (end == "" || id < end)
		if within != strings.HasPrefix(id, prefix) {
			t.Fatalf("%q lies between %q and %q: %t, want %t", id, prefix, end, within, !within)
		}
	})
}
