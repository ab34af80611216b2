package faults_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"hangar"
	"hangar/orders"
	"hangar/products"
)

// counts is what is wrong after all is healed and drained.
type counts struct {
	acknowledged int // orders that were answered 200; not wrong

	lost      int // answered 200, and not in the database, or not as answered
	phantom   int // in the database, and neither answered nor in doubt
	doubled   int // more than one order for a key
	oversold  int // products whose stock was below zero, ever
	inexact   int // products where what was put in is not what is in stock and what confirmed orders hold
	unsettled int // orders with a change under way
	outbox    int // events that were not published
	unknown   int // confirmed orders whose event never came, and events of orders never confirmed
	queued    int // messages left in the broker
	parked    int // messages that were parked and are no poison, or the other way round
	violation int // answers that nobody may get

	details []string
}

func (c *counts) note(n *int, format string, args ...any) {
	*n++
	const most = 20
	if len(c.details) < most {
		c.details = append(c.details, fmt.Sprintf(format, args...))
	}
}

// wrong returns how much is wrong in all.
func (c *counts) wrong() int {
	return c.lost + c.phantom + c.doubled + c.oversold + c.inexact + c.unsettled + c.outbox + c.unknown +
		c.queued + c.parked + c.violation
}

func (c *counts) String() string {
	return fmt.Sprintf("%d acknowledged, %d lost, %d phantom, %d doubled, %d oversold, %d inexact, %d unsettled, "+
		"%d in the outbox, %d not announced, %d queued, %d parked wrongly, %d violations",
		c.acknowledged, c.lost, c.phantom, c.doubled, c.oversold, c.inexact, c.unsettled, c.outbox, c.unknown,
		c.queued, c.parked, c.violation)
}

// check counts what the clients know against what the stores hold.
func (r *record) check(t *testing.T, orderStore orders.Store, productStore products.Store) *counts {
	t.Helper()
	c := new(counts)
	for _, v := range r.violations() {
		c.note(&c.violation, "%s", v)
	}
	unsettled, err := orderStore.Unsettled(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range unsettled {
		c.note(&c.unsettled, "order %d is unsettled", o.ID)
	}
	if c.outbox, err = orderStore.Relay(t.Context(), 1000, func(context.Context, []orders.Event) error { return nil }); err != nil {
		t.Fatal(err)
	}
	parked, err := orderStore.Parked(t.Context(), 0, 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range parked {
		c.note(&c.parked, "an event of the outbox is parked: %s", e.Reason)
	}
	stored := storedOrders(t, orderStore)
	r.checkOrders(c, stored)
	r.checkStock(t, c, productStore, stored)
	return c
}

func storedOrders(t *testing.T, s orders.Store) []hangar.Order {
	t.Helper()
	var stored []hangar.Order
	for after := int64(0); ; {
		list, err := s.List(t.Context(), hangar.OrderQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return stored
		}
		stored = append(stored, list...)
		after = list[len(list)-1].ID
	}
}

// checkOrders counts lost, doubled and phantom orders.
func (r *record) checkOrders(c *counts, stored []hangar.Order) {
	byPrice := make(map[hangar.Price][]hangar.Order, len(stored))
	for _, o := range stored {
		if len(o.Details) == 0 {
			c.note(&c.phantom, "order %d has no lines", o.ID)
			continue
		}
		price := o.Details[0].Price
		byPrice[price] = append(byPrice[price], o)
	}
	for _, p := range r.all {
		found := byPrice[p.price]
		delete(byPrice, p.price)
		if p.id != 0 {
			c.acknowledged++
		}
		if len(found) > 1 {
			c.note(&c.doubled, "%s has %d orders", p.key, len(found))
			continue
		}
		p.checkOrder(c, found)
	}
	for price, found := range byPrice {
		c.note(&c.phantom, "order %d at %s was never asked for", found[0].ID, price)
	}
}

// checkOrder compares a purchase with its order, or none.
func (p *purchase) checkOrder(c *counts, found []hangar.Order) {
	status := hangar.OrderStatus("missing")
	if len(found) > 0 {
		status = found[0].Status
		if !sameLines(found[0].Details, p.lines) {
			c.note(&c.lost, "order %d of %s has the lines %v, want %v", found[0].ID, p.key, found[0].Details, p.lines)
			return
		}
	}
	want := hangar.Confirmed
	switch {
	case p.refused:
		want = hangar.Rejected
	case p.id == 0: // nobody knows
		return
	case p.cancelled, p.cancel && status == hangar.Cancelled:
		want = hangar.Cancelled
	}
	switch {
	case status == want && (p.refused || found[0].ID == p.id):
	case p.refused:
		c.note(&c.phantom, "%s was refused, and its order is %s", p.key, status)
	default:
		c.note(&c.lost, "order %d of %s is %s, want %s", p.id, p.key, status, want)
	}
}

// sameLines compares lines but for their ids.
func sameLines(a, b []hangar.OrderDetail) bool {
	return slices.EqualFunc(a, b, func(a, b hangar.OrderDetail) bool {
		a.ID = b.ID
		return a == b
	})
}

func (r *record) checkStock(t *testing.T, c *counts, productStore products.Store, stored []hangar.Order) {
	t.Helper()
	held := map[string]int64{}
	for _, o := range stored {
		if o.Status != hangar.Confirmed {
			continue
		}
		for id, n := range hangar.Quantities(o.Details) {
			held[id] += n
		}
	}
	for id := range r.putIn {
		n := r.putInOf(id)
		p, err := productStore.Product(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		r.see(p)
		if least := r.least[id]; least < 0 {
			c.note(&c.oversold, "%s: there were %d in stock", id, least)
		}
		if n-p.InStock != held[id] {
			c.note(&c.inexact, "%s: %d put in, %d in stock, %d held by confirmed orders", id, n, p.InStock, held[id])
		}
	}
}
