package hangar_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar"
)

func TestParseProduct(t *testing.T) {
	p, err := hangar.ParseProduct(decode(t, `{"id": "ü ☃", "title": "T", "passenger_capacity": "12", "maximum_speed": " 5 ", "in_stock": 7e0, "colour": "red"}`))
	want := hangar.Product{ID: "ü ☃", Title: "T", PassengerCapacity: 12, MaximumSpeed: 5, InStock: 7}
	if diff := cmp.Diff(want, p); err != nil || diff != "" {
		t.Errorf("ParseProduct: error %v (-want +got):\n%s", err, diff)
	}
	body := `{"id": %q, "title": "T", "passenger_capacity": %s, "maximum_speed": 1, "in_stock": 1}`
	for _, test := range []struct{ id, capacity, complaint string }{
		{"a", "0", ""},
		{"a", "9007199254740991", ""},
		{"a", `"9007199254740991"`, ""},
		{"a", "9007199254740992", "passenger_capacity: Must be at most 9007199254740991."},
		{"a", "9223372036854775808", "passenger_capacity: Must be at most 9007199254740991."},
		{"a", `"99999999999999999999"`, "passenger_capacity: Must be at most 9007199254740991."},
		{"a", "1e999999999", "passenger_capacity: Must be at most 9007199254740991."},
		{"a", "-1e999999999", "passenger_capacity: Must be at least 0."},
		{"a", "-9223372036854775809", "passenger_capacity: Must be at least 0."},
		{"a", "1.0", ""},
		{"a", "10e-1", ""},
		{"a", "1e-1", "passenger_capacity: Not a valid integer."},
		{"a", `"1e3"`, "passenger_capacity: Not a valid integer."},
		{"a", `""`, "passenger_capacity: Not a valid integer."},
		{"a", `"+5"`, ""},
		{"a", `"0x10"`, "passenger_capacity: Not a valid integer."},
		{"a", "false", "passenger_capacity: Not a valid integer."},
		{"a/b", "1", "id: Must not contain '/'."},
		{".", "1", "id: Must not be '.' or '..'."},
		{"..", "1", "id: Must not be '.' or '..'."},
		{"...", "1", ""},
		{"a\tb", "1", "id: Must not contain control characters."},
		{strings.Repeat("☃", 255), "1", ""},
		{strings.Repeat("☃", 256), "1", "id: Longer than maximum length 255."},
	} {
		p, err := hangar.ParseProduct(decode(t, fmt.Sprintf(body, test.id, test.capacity)))
		if test.complaint == "" {
			if err != nil || p.ID != test.id || p.Validate() != nil {
				t.Errorf("ParseProduct of id %.20q and capacity %s = %+v, %v, want no error", test.id, test.capacity, p, err)
			}
			continue
		}
		if err == nil || err.Error() != test.complaint || hangar.CodeOf(err) != hangar.ValidationError {
			t.Errorf("ParseProduct of id %.20q and capacity %s: %v, want %q", test.id, test.capacity, err, test.complaint)
		}
	}
}

func TestContractOfProducts(t *testing.T) {
	for _, c := range contractCases(t, "products.json") {
		p, err := hangar.ParseProduct(decode(t, c.Body))
		if c.Details != nil {
			wantComplaints(t, "ParseProduct("+c.Body+")", err, c.Details)
			continue
		}
		if err != nil || p.Validate() != nil {
			t.Errorf("ParseProduct(%s): %v, validation %v, want no errors", c.Body, err, p.Validate())
		}
	}
}

func TestValidateProduct(t *testing.T) {
	valid := hangar.Product{ID: "a", Title: strings.Repeat("☃", hangar.MaxTitle), InStock: hangar.MaxInteger}
	if err := valid.Validate(); err != nil {
		t.Errorf("%+.60v: %v, want no error", valid, err)
	}
	for _, test := range []struct {
		product hangar.Product
		want    string
	}{
		{hangar.Product{}, `{"id": ["Shorter than minimum length 1."], "title": ["Shorter than minimum length 1."]}`},
		{hangar.Product{ID: "a\xff", Title: "t\x00"}, `{"id": ["Not a valid string."], "title": ["Not a valid string."]}`},
		{hangar.Product{ID: "a", Title: "t", PassengerCapacity: -1, MaximumSpeed: hangar.MaxInteger + 1, InStock: -1}, `{"passenger_capacity": ["Must be at least 0."],
			"maximum_speed": ["Must be at most 9007199254740991."], "in_stock": ["Must be at least 0."]}`},
		{hangar.Product{ID: "a", Title: valid.Title + "x"}, `{"title": ["Longer than maximum length 1000."]}`},
	} {
		wantComplaints(t, fmt.Sprintf("%.60v", test.product), test.product.Validate(), decode(t, test.want))
	}
}
