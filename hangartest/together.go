package hangartest

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"testing"

	"hangar"
	"hangar/orders"
	"hangar/products"
)

// TestTogether lets many clients change few orders at the same time, beside two
// orders services that both recover and relay, and counts at the end as
// TestCrashes does.
func TestTogether(t *testing.T, open func(t *testing.T) Stores) {
	stores := open(t)
	l := newLedger(t.Context(), t, stores, 60)
	stock := products.NewService(stores.Products, noLog)
	services := [2]*orders.Service{}
	for i := range services {
		services[i] = orders.NewService(notingOrders{stores.Orders, l}, stock, noLog)
		if stores.Creator != nil {
			services[i].CreateWith(notingCreator{stores.Creator, l})
		}
	}
	publish := orders.PublishTo(notingEvents{stock, l})
	stop := make(chan struct{})
	var clients, helpers sync.WaitGroup
	for i, s := range services {
		helpers.Go(func() {
			relay := orders.NewRelay(stores.Orders, publish, noLog)
			for {
				if _, err := s.Recover(t.Context()); err != nil && !tookTooLong(err) {
					t.Errorf("Recover: %v, want no error", err)
				}
				if err := relay.Drain(t.Context()); err != nil {
					t.Errorf("Drain: %v, want no error", err)
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		})
		for n := range 4 {
			clients.Go(func() { buy(t, l, s, stock, rand.New(rand.NewPCG(uint64(i), uint64(n)))) })
		}
	}
	clients.Wait()
	close(stop)
	helpers.Wait()
	for _, s := range services {
		recoverAll(t.Context(), t, s)
	}
	wantNil(t, "Drain", orders.NewRelay(stores.Orders, publish, noLog).Drain(t.Context()))
	l.checkStock(t)
	l.check(t)
}

// recoverAll has a service settle all that is left, however slow the machine. A call
// that ended early has left an order, and the next one goes on behind that: so two in
// a row must come to the end.
func recoverAll(ctx context.Context, r tester, s *orders.Service) {
	for ended := 0; ended < 2; ended++ {
		_, err := s.Recover(ctx)
		switch {
		case err == nil:
		case tookTooLong(err):
			ended = -1
		default:
			r.Fatalf("Recover: %v, want no error", err)
		}
	}
}

// tookTooLong reports whether recovery gave up an order because the machine was busy:
// the tests set it no time.
func tookTooLong(err error) bool { return errors.Is(err, context.DeadlineExceeded) }

// buy is what one client does.
func buy(t *testing.T, l *ledger, s hangar.OrderService, p hangar.ProductService, random *rand.Rand) {
	for range 60 {
		switch n := random.IntN(11); {
		case n == 10:
			l.tryRefill(t.Context(), t, p, l.pickRefill(random))
		case n < 2:
			lines := make([]hangar.OrderDetail, 1+random.IntN(2))
			for i := range lines {
				lines[i] = line(l.products[random.IntN(len(l.products))], 1+random.Int64N(5))
			}
			l.try(t.Context(), t, s, l.newAttempt(lines, n == 0))
		case n < 4:
			if a := l.pick(random, func(a *attempt) bool { return a.key != "" }); a != nil {
				l.try(t.Context(), t, s, a)
			}
		default:
			a := l.pick(random, func(a *attempt) bool { return a.id > 0 })
			switch {
			case a == nil:
			case n < 8:
				amounts := make([]int64, len(a.lines))
				for i := range amounts {
					amounts[i] = 1 + random.Int64N(8)
				}
				l.tryUpdate(t.Context(), t, s, a, amounts)
			case n < 9:
				l.tryCancel(t.Context(), t, s, a)
			default:
				l.tryDelete(t.Context(), t, s, a)
			}
			l.forget(a)
		}
		l.checkStock(t)
	}
}

// pick returns one of the last few attempts that are as wanted, so that the
// clients meet.
func (l *ledger) pick(random *rand.Rand, wanted func(*attempt) bool) *attempt {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []*attempt
	for _, a := range l.attempts[max(0, len(l.attempts)-8):] {
		if wanted(a) {
			found = append(found, a)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found[random.IntN(len(found))]
}

// pickRefill returns a new restock, or one of the last few.
func (l *ledger) pickRefill(random *rand.Rand) *refill {
	if random.IntN(2) == 0 {
		return l.newRefill(l.products[random.IntN(len(l.products))], 1+random.Int64N(8))
	}
	l.mu.Lock()
	refills := l.refills[max(0, len(l.refills)-8):]
	l.mu.Unlock()
	if len(refills) == 0 {
		return l.newRefill(l.products[0], 1)
	}
	return refills[random.IntN(len(refills))]
}

// forget drops what was acknowledged of an order's state: of two answers at the
// same time, nobody knows which came first.
func (l *ledger) forget(a *attempt) {
	if a == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	a.status, a.amounts = "", nil
}

// notingOrders notes which orders were confirmed.
type notingOrders struct {
	orders.Store
	ledger *ledger
}

func (s notingOrders) Settle(ctx context.Context, id, version int64, c orders.Settlement) (bool, error) {
	settled, err := s.Store.Settle(ctx, id, version, c)
	if settled && version == 1 && c.Status == hangar.Confirmed {
		s.ledger.confirmed(id)
	}
	return settled, err
}

// notingCreator notes which orders it created.
type notingCreator struct {
	next   orders.Creator
	ledger *ledger
}

func (c notingCreator) Create(ctx context.Context, o hangar.Order, key *orders.Key, outcome orders.Outcome) (hangar.Order, error) {
	created, err := c.next.Create(ctx, o, key, outcome)
	if err == nil {
		c.ledger.confirmed(created.ID)
	}
	return created, err
}

// notingEvents notes which events were published, and delivers each twice.
type notingEvents struct {
	next   hangar.OrderEvents
	ledger *ledger
}

func (p notingEvents) HandleOrderCreated(ctx context.Context, e hangar.OrderCreated) error {
	p.ledger.published(e.Order.ID)
	if err := p.next.HandleOrderCreated(ctx, e); err != nil {
		return err
	}
	return p.next.HandleOrderCreated(ctx, e)
}
