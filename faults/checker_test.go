package faults_test

import (
	"testing"

	"hangar"
)

// TestCheckerOfOrders shows that the checker sees each thing that may be wrong
// with an order, and nothing where nothing is.
func TestCheckerOfOrders(t *testing.T) {
	lines := []hangar.OrderDetail{{ProductID: "a", Price: 7, Quantity: 2}, {ProductID: "b", Price: 7, Quantity: 1}}
	stored := func(id int64, status hangar.OrderStatus) hangar.Order {
		numbered := []hangar.OrderDetail{{ID: 1, ProductID: "a", Price: 7, Quantity: 2}, {ID: 2, ProductID: "b", Price: 7, Quantity: 1}}
		return hangar.Order{ID: id, Status: status, Details: numbered}
	}
	short := stored(1, hangar.Confirmed)
	short.Details = short.Details[:1]
	other := stored(1, hangar.Confirmed)
	other.Details[1].Quantity = 9
	for name, test := range map[string]struct {
		purchase purchase
		stored   []hangar.Order
		want     counts
	}{
		"confirmed":               {purchase{id: 1}, []hangar.Order{stored(1, hangar.Confirmed)}, counts{acknowledged: 1}},
		"cancelled":               {purchase{id: 1, cancel: true, cancelled: true}, []hangar.Order{stored(1, hangar.Cancelled)}, counts{acknowledged: 1}},
		"maybe cancelled":         {purchase{id: 1, cancel: true}, []hangar.Order{stored(1, hangar.Cancelled)}, counts{acknowledged: 1}},
		"refused":                 {purchase{refused: true}, []hangar.Order{stored(1, hangar.Rejected)}, counts{}},
		"unknown, and stored":     {purchase{}, []hangar.Order{stored(1, hangar.Confirmed)}, counts{}},
		"unknown, and not":        {purchase{}, nil, counts{}},
		"lost":                    {purchase{id: 1}, nil, counts{acknowledged: 1, lost: 1}},
		"lost for another":        {purchase{id: 1}, []hangar.Order{stored(2, hangar.Confirmed)}, counts{acknowledged: 1, lost: 1}},
		"left pending":            {purchase{id: 1}, []hangar.Order{stored(1, hangar.Pending)}, counts{acknowledged: 1, lost: 1}},
		"cancelled by nobody":     {purchase{id: 1}, []hangar.Order{stored(1, hangar.Cancelled)}, counts{acknowledged: 1, lost: 1}},
		"a cancellation lost":     {purchase{id: 1, cancel: true, cancelled: true}, []hangar.Order{stored(1, hangar.Confirmed)}, counts{acknowledged: 1, lost: 1}},
		"a line missing":          {purchase{id: 1}, []hangar.Order{short}, counts{acknowledged: 1, lost: 1}},
		"another quantity":        {purchase{id: 1}, []hangar.Order{other}, counts{acknowledged: 1, lost: 1}},
		"twice":                   {purchase{id: 1}, []hangar.Order{stored(1, hangar.Confirmed), stored(2, hangar.Confirmed)}, counts{acknowledged: 1, doubled: 1}},
		"refused, yet confirmed":  {purchase{refused: true}, []hangar.Order{stored(1, hangar.Confirmed)}, counts{phantom: 1}},
		"refused, and not stored": {purchase{refused: true}, nil, counts{phantom: 1}},
		"without lines":           {purchase{}, []hangar.Order{{ID: 1}}, counts{phantom: 1}},
		"never asked for": {purchase{}, []hangar.Order{{ID: 1, Details: []hangar.OrderDetail{{ProductID: "a", Price: 8, Quantity: 1}}}},
			counts{phantom: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			p := test.purchase
			p.key, p.price, p.lines = "key", 7, lines
			r := &record{all: []*purchase{&p}}
			var got counts
			r.checkOrders(&got, test.stored)
			if got.String() != test.want.String() {
				t.Errorf("the checker counts %v, want %v", &got, &test.want)
			}
		})
	}
}
