package hangartest

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"hangar"
	"hangar/orders"
)

// ledger records what was asked for and answered, and counts at the end:
//
//   - nothing is unsettled, the outbox is empty;
//   - what was put in, with each restock once, less what is in stock, is what
//     confirmed orders hold;
//   - an acknowledged order is there, unless somebody tried to delete it, and is
//     as the last acknowledged change left it;
//   - one attempt, with all its retries, made one order;
//   - order_created of each order that was ever confirmed was published.
type ledger struct {
	stores   Stores
	products []string
	missing  string // the id of a product that does not exist
	putIn    int64  // units of each product, without refills
	before   int64  // the last order of earlier checks

	mu            sync.Mutex
	attempts      []*attempt
	refills       []*refill
	everConfirmed map[int64]bool
	everPublished map[int64]bool
}

// attempt is a request for an order, with all its retries.
type attempt struct {
	price   hangar.Price // of all its lines, and of no other attempt's: the order is known by it
	key     string
	lines   []hangar.OrderDetail
	refused string // what was answered, "" for nothing yet

	// Of the order, once it was acknowledged.
	id      int64
	status  hangar.OrderStatus // as last acknowledged; "" for unknown
	amounts []int64            // of its lines, as last acknowledged; nil for unknown
	deletes int                // how often somebody tried to delete it
	deleted bool               // that was acknowledged
}

var lastLedger, lastPrice atomic.Int64

func newLedger(ctx context.Context, r tester, stores Stores, putIn int64) *ledger {
	n := lastLedger.Add(1)
	l := &ledger{
		stores: stores, putIn: putIn, missing: fmt.Sprintf("missing-%d", n),
		everConfirmed: map[int64]bool{}, everPublished: map[int64]bool{},
	}
	for _, name := range []string{"a", "b", "c"} {
		p := product(fmt.Sprintf("%s-%d", name, n), putIn)
		wantNil(r, "Put", stores.Products.Put(ctx, p))
		l.products = append(l.products, p.ID)
	}
	last, err := stores.Orders.List(ctx, hangar.OrderQuery{Limit: 1, NewestFirst: true})
	wantNil(r, "List", err)
	if len(last) > 0 {
		l.before = last[0].ID
	}
	return l
}

// newAttempt gives the lines a price that no other attempt has.
func (l *ledger) newAttempt(lines []hangar.OrderDetail, withKey bool) *attempt {
	a := &attempt{price: hangar.Price(lastPrice.Add(1)), lines: lines}
	for i := range lines {
		lines[i].Price = a.price
	}
	if withKey {
		a.key = fmt.Sprint("key-", a.price)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.attempts = append(l.attempts, a)
	return a
}

func (l *ledger) confirmed(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.everConfirmed[id] = true
}

func (l *ledger) published(id int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.everPublished[id] = true
}

// try asks for the order, and compares the answer with the answers before.
func (l *ledger) try(ctx context.Context, r tester, s hangar.OrderService, a *attempt) {
	created, err := s.CreateOrder(ctx, hangar.NewOrder{Details: slices.Clone(a.lines), IdempotencyKey: a.key})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch code := hangar.CodeOf(err); {
	case err == nil && a.refused != "":
		r.Errorf("attempt %d was refused with %s, and then made order %d", a.price, a.refused, created.Order.ID)
	case err == nil && a.id == 0:
		a.id = created.Order.ID
		if !created.Replayed {
			a.status, a.amounts = hangar.Confirmed, amountsOf(created.Order.Details)
		}
		l.everConfirmed[a.id] = true
	case err == nil && a.id != created.Order.ID:
		r.Errorf("attempt %d made the orders %d and %d", a.price, a.id, created.Order.ID)
	case code == hangar.OutOfStock || code == hangar.ProductNotFound:
		refused := asSeen(r, err)
		if a.id != 0 || a.refused != "" && a.refused != refused {
			r.Errorf("attempt %d made order %d, was refused with %q, and is now refused with %s", a.price, a.id, a.refused, refused)
		}
		a.refused = refused
	case err != nil:
		l.wantUnknown(r, "CreateOrder", err)
	}
}

// wantUnknown fails for an answer that claims to know the outcome.
func (l *ledger) wantUnknown(r tester, what string, err error) {
	if code := hangar.CodeOf(err); code != hangar.Unavailable && code != hangar.Unexpected {
		r.Errorf("%s that was cut off: %v with code %s, want one that leaves the outcome open", what, err, code)
	}
}

func (l *ledger) tryUpdate(ctx context.Context, r tester, s hangar.OrderService, a *attempt, amounts []int64) {
	o, err := l.stores.Orders.Order(ctx, a.id)
	if err != nil {
		l.wantGone(r, "Order", a, err)
		return
	}
	u := update(o.Order, amounts...)
	_, err = s.UpdateOrder(ctx, u)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch hangar.CodeOf(err) {
	case "":
		a.status, a.amounts = hangar.Confirmed, amounts
	case hangar.OutOfStock, hangar.ProductNotFound, hangar.OrderNotConfirmed:
	case hangar.OrderNotFound:
		l.wantGoneLocked(r, "UpdateOrder", a, err)
	case hangar.Conflict: // others were faster, maybe after they had settled this one
		a.status, a.amounts = "", nil
	default:
		l.wantUnknown(r, "UpdateOrder", err)
		a.status, a.amounts = "", nil
	}
}

func (l *ledger) tryCancel(ctx context.Context, r tester, s hangar.OrderService, a *attempt) {
	o, err := s.CancelOrder(ctx, a.id)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch hangar.CodeOf(err) {
	case "":
		if o.Status != hangar.Cancelled {
			r.Errorf("CancelOrder(%d) = %+v, want it cancelled", a.id, o)
		}
		a.status = hangar.Cancelled
	case hangar.OrderNotConfirmed:
		r.Errorf("CancelOrder(%d), which was confirmed: %v", a.id, err)
	case hangar.OrderNotFound:
		l.wantGoneLocked(r, "CancelOrder", a, err)
	case hangar.Conflict:
	default:
		l.wantUnknown(r, "CancelOrder", err)
		a.status = ""
	}
}

func (l *ledger) tryDelete(ctx context.Context, r tester, s hangar.OrderService, a *attempt) {
	l.mu.Lock()
	a.deletes++
	l.mu.Unlock()
	err := s.DeleteOrder(ctx, a.id)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch hangar.CodeOf(err) {
	case "":
		a.deleted = true
	case hangar.OrderNotFound:
		if a.deletes == 1 {
			r.Errorf("DeleteOrder(%d), which nobody else tried to delete: %v", a.id, err)
		}
	case hangar.Conflict:
	default:
		l.wantUnknown(r, "DeleteOrder", err)
	}
}

func (l *ledger) wantGone(r tester, what string, a *attempt, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wantGoneLocked(r, what, a, err)
}

func (l *ledger) wantGoneLocked(r tester, what string, a *attempt, err error) {
	if hangar.CodeOf(err) != hangar.OrderNotFound || a.deletes == 0 {
		r.Errorf("%s(%d): %v, after %d tries to delete it", what, a.id, err, a.deletes)
	}
}

func amountsOf(details []hangar.OrderDetail) []int64 {
	var amounts []int64
	for _, d := range details {
		amounts = append(amounts, d.Quantity)
	}
	return amounts
}

// stock returns what is in stock, by product.
func (l *ledger) stock(r tester) quantities {
	list, err := l.stores.Products.Products(context.Background(), l.products)
	wantNil(r, "Products", err)
	stock := quantities{}
	for _, p := range list {
		stock[p.ID] = p.InStock
	}
	return stock
}

// checkStock wants that nothing was sold that was not there.
func (l *ledger) checkStock(r tester) {
	for id, n := range l.stock(r) {
		if most := l.mostPutIn(id); n < 0 || n > most {
			r.Fatalf("in stock of %s: %d, want 0 to the %d that were put in", id, n, most)
		}
	}
}

// stored returns the orders of this check by the price that tells them apart.
func (l *ledger) stored(r tester) map[hangar.Price]hangar.Order {
	byPrice := map[hangar.Price]hangar.Order{}
	for after := l.before; ; {
		list, err := l.stores.Orders.List(context.Background(), hangar.OrderQuery{After: after, Limit: 100})
		wantNil(r, "List", err)
		if len(list) == 0 {
			return byPrice
		}
		for _, o := range list {
			after = o.ID
			price := o.Details[0].Price
			if other, ok := byPrice[price]; ok {
				r.Errorf("attempt %d made the orders %d and %d", price, other.ID, o.ID)
			}
			byPrice[price] = o
		}
	}
}

// check counts. It wants all to be healed and drained.
func (l *ledger) check(r tester) {
	unsettled, err := l.stores.Orders.Unsettled(context.Background(), l.before, 100)
	wantNil(r, "Unsettled", err)
	if len(unsettled) > 0 {
		r.Errorf("unsettled orders at the end: %+v, want none", unsettled)
	}
	empty := true
	_, err = l.stores.Orders.Relay(context.Background(), 1, func(context.Context, []orders.Event) error {
		empty = false
		return nil
	})
	if err != nil || !empty {
		r.Errorf("the outbox at the end is empty: %v, error %v, want true and none", empty, err)
	}
	byPrice := l.stored(r)
	held := quantities{}
	for _, o := range byPrice {
		if o.Status != hangar.Confirmed {
			continue
		}
		for _, d := range o.Details {
			held[d.ProductID] += d.Quantity
		}
	}
	want := quantities{}
	for _, id := range l.products {
		want[id] = l.mostPutIn(id) - held[id]
	}
	wantEqual(r, fmt.Sprintf("in stock of %d each and %d restocks, of which confirmed orders hold %v", l.putIn, len(l.refills), held), l.stock(r), want)
	for _, a := range l.attempts {
		o, stored := byPrice[a.price]
		delete(byPrice, a.price)
		l.checkAttempt(r, a, o, stored)
		if stored && (o.Status == hangar.Confirmed || o.Status == hangar.Cancelled) {
			l.everConfirmed[o.ID] = true
		}
	}
	if len(byPrice) > 0 {
		r.Errorf("orders that nobody asked for: %+v", byPrice)
	}
	for _, id := range slices.Sorted(maps.Keys(l.everConfirmed)) {
		if !l.everPublished[id] {
			r.Errorf("order %d was confirmed, but its order_created was not published", id)
		}
	}
}

func (l *ledger) checkAttempt(r tester, a *attempt, o hangar.Order, stored bool) {
	switch {
	case a.deleted && stored:
		r.Errorf("order %d was deleted, and is still there: %+v", a.id, o)
	case a.id != 0 && !stored && a.deletes == 0:
		r.Errorf("order %d was acknowledged, and is lost", a.id)
	case !stored:
		return
	case a.id != 0 && a.id != o.ID:
		r.Errorf("attempt %d was answered with order %d, and made order %d", a.price, a.id, o.ID)
	case a.refused != "" && o.Status != hangar.Rejected:
		r.Errorf("order %d was refused with %s, and is %s", o.ID, a.refused, o.Status)
	case a.id != 0 && o.Status == hangar.Rejected:
		r.Errorf("order %d was acknowledged, and is rejected", o.ID)
	case a.status != "" && o.Status != a.status:
		r.Errorf("order %d was answered as %s, and is %s", o.ID, a.status, o.Status)
	}
	if a.amounts != nil {
		wantEqual(r, fmt.Sprintf("quantities of order %d", o.ID), amountsOf(o.Details), a.amounts)
	}
}
