package hangar_test

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar"
)

func TestTotal(t *testing.T) {
	line := func(price hangar.Price, quantity int64) hangar.OrderDetail {
		return hangar.OrderDetail{Price: price, Quantity: quantity}
	}
	full := line(hangar.MaxPrice, hangar.MaxQuantity)
	for _, test := range []struct {
		lines []hangar.OrderDetail
		want  string
	}{
		{nil, "0.00"},
		{[]hangar.OrderDetail{line(9999, 2)}, "199.98"},
		{[]hangar.OrderDetail{line(1, 1), line(10, 1)}, "0.11"},
		{[]hangar.OrderDetail{line(0, math.MaxInt64), line(5, 1)}, "0.05"},
		{[]hangar.OrderDetail{line(1, math.MaxInt64)}, "92233720368547758.07"},
		{[]hangar.OrderDetail{line(1, math.MaxInt64), line(1, 1)}, "92233720368547758.08"},
		{[]hangar.OrderDetail{full, full}, "42949672939999999957050327.06"},
		{[]hangar.OrderDetail{line(100, -1)}, "-1.00"},
		{[]hangar.OrderDetail{line(-5, 1)}, "-0.05"},
		{[]hangar.OrderDetail{line(-5, -1)}, "0.05"},
		{[]hangar.OrderDetail{line(100, 3), line(100, -1)}, "2.00"},
		{[]hangar.OrderDetail{line(100, -1), line(100, 1)}, "0.00"},
		{[]hangar.OrderDetail{full, line(-hangar.MaxPrice, hangar.MaxQuantity)}, "0.00"},
	} {
		if got := (hangar.Order{Details: test.lines}).Total(); got != test.want {
			t.Errorf("total of %+v: %s, want %s", test.lines, got, test.want)
		}
	}
}

func TestQuantities(t *testing.T) {
	lines := []hangar.OrderDetail{{ProductID: "a", Quantity: 1}, {ProductID: "b", Quantity: 2}, {ProductID: "a", Quantity: 3}}
	want := map[string]int64{"a": 4, "b": 2}
	if diff := cmp.Diff(want, hangar.Quantities(lines)); diff != "" {
		t.Errorf("quantities of %+v (-want +got):\n%s", lines, diff)
	}
}

func TestHoldID(t *testing.T) {
	for _, test := range []struct {
		order hangar.Order
		want  string
	}{
		{hangar.Order{ID: 7, Hold: "uuid"}, "uuid"},
		{hangar.Order{ID: 7}, "order-7"},
	} {
		if got := test.order.HoldID(); got != test.want {
			t.Errorf("hold of %+v: %q, want %q", test.order, got, test.want)
		}
	}
}

func TestParseNewOrder(t *testing.T) {
	parsed, err := hangar.ParseNewOrder(decode(t, `{"order_details": [
		{"id": 9, "product_id": "ü ☃", "price": 99.999, "quantity": "2", "colour": "red"},
		{"product_id": "b", "price": " 1e3 ", "quantity": 3.0}], "more": true}`))
	want := hangar.NewOrder{Details: []hangar.OrderDetail{
		{ProductID: "ü ☃", Price: 10000, Quantity: 2},
		{ProductID: "b", Price: 100000, Quantity: 3},
	}}
	if diff := cmp.Diff(want, parsed); err != nil || diff != "" {
		t.Errorf("ParseNewOrder: error %v (-want +got):\n%s", err, diff)
	}
	lines := func(line string) string { return `{"order_details": [` + line + `]}` }
	product := `{"product_id": "a", "price": 1, "quantity": %s}`
	for body, want := range map[string]string{
		`{"order_details": null}`:              `{"order_details": ["Field may not be null."]}`,
		`{"order_details": {}}`:                `{"order_details": ["Invalid type."]}`,
		`true`:                                 `{"_schema": ["Invalid input type."]}`,
		lines(`1`):                             `{"order_details": {"0": {"_schema": ["Invalid input type."]}}}`,
		lines(`null`):                          `{"order_details": {"0": {"_schema": ["Invalid input type."]}}}`,
		lines(fmt.Sprintf(product, "1.5")):     `{"order_details": {"0": {"quantity": ["Not a valid integer."]}}}`,
		lines(fmt.Sprintf(product, `"1.0"`)):   `{"order_details": {"0": {"quantity": ["Not a valid integer."]}}}`,
		lines(fmt.Sprintf(product, "true")):    `{"order_details": {"0": {"quantity": ["Not a valid integer."]}}}`,
		lines(fmt.Sprintf(product, "1e99999")): `{"order_details": {"0": {"quantity": ["Must be at most 2147483647."]}}}`,
		lines(fmt.Sprintf(product, "-1e9999")): `{"order_details": {"0": {"quantity": ["Must be at least 1."]}}}`,
		lines(fmt.Sprintf(product, "1") + "," + fmt.Sprintf(product, "0")): `{"order_details": {"1": {"quantity": ["Must be at least 1."]}}}`,
		lines(`{"product_id": "", "price": null, "quantity": [1]}`): `{"order_details": {"0": {
			"product_id": ["Shorter than minimum length 1."], "price": ["Field may not be null."], "quantity": ["Not a valid integer."]}}}`,
		lines(`{"product_id": "a\u0000", "price": true, "quantity": 2147483648}`): `{"order_details": {"0": {
			"product_id": ["Not a valid string."], "price": ["Not a valid number."], "quantity": ["Must be at most 2147483647."]}}}`,
		lines(`{"product_id": 5, "price": {}, "quantity": "99999999999999999999"}`): `{"order_details": {"0": {
			"product_id": ["Not a valid string."], "price": ["Not a valid number."], "quantity": ["Must be at most 2147483647."]}}}`,
		lines(strings.Repeat(fmt.Sprintf(product, "1")+",", 1000) + "1"): `{"order_details": ["Longer than maximum length 1000."]}`,
	} {
		_, err := hangar.ParseNewOrder(decode(t, body))
		wantComplaints(t, fmt.Sprintf("ParseNewOrder(%.200s)", body), err, decode(t, want))
	}
}

func TestContractOfNewOrders(t *testing.T) {
	for _, c := range contractCases(t, "orders.json") {
		n, err := hangar.ParseNewOrder(decode(t, c.Body))
		if c.Details != nil {
			wantComplaints(t, "ParseNewOrder("+c.Body+")", err, c.Details)
			continue
		}
		if err != nil || n.Validate() != nil {
			t.Errorf("ParseNewOrder(%s): %v, validation %v, want no errors", c.Body, err, n.Validate())
		}
	}
}

func TestValidateNewOrder(t *testing.T) {
	valid := []hangar.OrderDetail{{ProductID: "a", Price: hangar.MaxPrice, Quantity: hangar.MaxQuantity}}
	for _, test := range []struct{ key, complaint string }{
		{"", ""},
		{"k", ""},
		{strings.Repeat("☃", hangar.MaxIdempotencyKey), ""},
		{strings.Repeat("k", hangar.MaxIdempotencyKey+1), "Longer than maximum length 255."},
		{"k\xff", "Not a valid string."},
		{"k\x00", "Not a valid string."},
	} {
		err := hangar.NewOrder{Details: valid, IdempotencyKey: test.key}.Validate()
		if test.complaint == "" {
			if err != nil {
				t.Errorf("an order with the key %.20q: %v, want no error", test.key, err)
			}
			continue
		}
		wantComplaints(t, fmt.Sprintf("an order with the key %.20q", test.key), err,
			map[string]any{"Idempotency-Key": []any{test.complaint}})
	}
	err := hangar.NewOrder{Details: []hangar.OrderDetail{{ProductID: "a\xff", Price: -1, Quantity: 0}}}.Validate()
	wantComplaints(t, "an order that is not valid", err, decode(t, `{"order_details": {"0": {
		"product_id": ["Not a valid string."], "price": ["Must be at least 0."], "quantity": ["Must be at least 1."]}}}`))
}

func TestParseOrderUpdate(t *testing.T) {
	u, err := hangar.ParseOrderUpdate(7, decode(t, `{"order_details": [
		{"id": "1", "price": "1.50", "quantity": 2}, {"id": 2, "product_id": "b", "price": 0, "quantity": 1}]}`))
	want := hangar.OrderUpdate{ID: 7, Lines: []hangar.LineUpdate{
		{ID: 1, Price: 150, Quantity: 2}, {ID: 2, ProductID: "b", Price: 0, Quantity: 1},
	}}
	if diff := cmp.Diff(want, u); err != nil || diff != "" {
		t.Errorf("ParseOrderUpdate: error %v (-want +got):\n%s", err, diff)
	}
	for body, want := range map[string]string{
		`[]`:                      `{"_schema": ["Invalid input type."]}`,
		`{}`:                      `{"order_details": ["Missing data for required field."]}`,
		`{"order_details": []}`:   `{"order_details": ["Shorter than minimum length 1."]}`,
		`{"order_details": [{}]}`: `{"order_details": {"0": {"id": ["Missing data for required field."], "price": ["Missing data for required field."], "quantity": ["Missing data for required field."]}}}`,
		`{"order_details": [{"id": "x", "product_id": null, "price": "-1", "quantity": 0}]}`: `{"order_details": {"0": {"id": ["Not a valid integer."],
			"product_id": ["Field may not be null."], "price": ["Must be at least 0."], "quantity": ["Must be at least 1."]}}}`,
	} {
		_, err := hangar.ParseOrderUpdate(7, decode(t, body))
		wantComplaints(t, "ParseOrderUpdate("+body+")", err, decode(t, want))
	}
}

func TestApply(t *testing.T) {
	details := []hangar.OrderDetail{{ID: 1, ProductID: "a", Price: 100, Quantity: 1}, {ID: 2, ProductID: "b", Price: 200, Quantity: 2}}
	apply := func(lines ...hangar.LineUpdate) ([]hangar.OrderDetail, error) {
		return hangar.OrderUpdate{ID: 7, Lines: lines}.Apply(details)
	}
	got, err := apply(hangar.LineUpdate{ID: 2, ProductID: "b", Price: 5, Quantity: 9})
	want := []hangar.OrderDetail{details[0], {ID: 2, ProductID: "b", Price: 5, Quantity: 9}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Errorf("Apply to the second line: error %v (-want +got):\n%s", err, diff)
	}
	if details[1].Quantity != 2 {
		t.Errorf("Apply changed the lines that it was given: %+v", details)
	}
	for _, test := range []struct {
		lines []hangar.LineUpdate
		want  string
	}{
		{nil, `{"order_details": ["Shorter than minimum length 1."]}`},
		{[]hangar.LineUpdate{{ID: 3, Price: 1, Quantity: 1}}, `{"order_details": {"0": {"id": ["Not a line of this order."]}}}`},
		{[]hangar.LineUpdate{{ID: 1, Price: 1, Quantity: 1}, {ID: 1, Price: 1, Quantity: 1}}, `{"order_details": {"1": {"id": ["Named more than once."]}}}`},
		{[]hangar.LineUpdate{{ID: 1, ProductID: "b", Price: 1, Quantity: 1}}, `{"order_details": {"0": {"product_id": ["Cannot be changed."]}}}`},
		{[]hangar.LineUpdate{{ID: 1, Price: -1, Quantity: 1 << 31}}, `{"order_details": {"0": {"price": ["Must be at least 0."], "quantity": ["Must be at most 2147483647."]}}}`},
	} {
		_, err := apply(test.lines...)
		wantComplaints(t, fmt.Sprintf("Apply of %+v", test.lines), err, decode(t, test.want))
	}
}

func TestNotFoundErrors(t *testing.T) {
	for err, want := range map[*hangar.Error]string{
		hangar.NewOrderNotFound("99999999"):      "ORDER_NOT_FOUND Order with id 99999999 not found",
		hangar.NewProductNotFound("missing"):     "PRODUCT_NOT_FOUND Product ID missing does not exist",
		hangar.NewHeldProductNotFound("missing"): "PRODUCT_NOT_FOUND Product Id missing",
		hangar.NewProductExists("a"):             "PRODUCT_EXISTS Product ID a exists already",
	} {
		if got := fmt.Sprintf("%s %s", err.Code, err.Message); got != want {
			t.Errorf("error %q, want %q", got, want)
		}
	}
}
