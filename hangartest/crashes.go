package hangartest

import (
	"context"
	"errors"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"hangar"
	"hangar/orders"
	"hangar/products"
)

// Stores is what a crash leaves behind.
type Stores struct {
	Orders   orders.Store
	Products products.Store
	Creator  orders.Creator // of both; nil if orders are created step by step
}

// TestCrashes interleaves creations, updates, cancellations, deletions, restocks, retries,
// late and repeated calls, relay and recovery with crashes at any call of a
// store, before or after it took effect. Whatever the interleaving, what is
// counted at the end must be exact: see ledger. All checks share one pair of
// stores.
func TestCrashes(t *testing.T, open func(t *testing.T) Stores) {
	stores := open(t)
	rapid.Check(t, func(r *rapid.T) {
		w := newWorld(t.Context(), r, stores)
		r.Repeat(map[string]func(*rapid.T){
			"create":          w.create,
			"create with key": w.createWithKey,
			"retry":           w.retry,
			"update":          w.update,
			"cancel":          w.cancel,
			"delete":          w.delete,
			"restock":         w.restock,
			"call again":      w.callAgain,
			"event again":     w.eventAgain,
			"relay":           w.relay,
			"recover":         w.recover,
			"":                func(r *rapid.T) { w.checkStock(r) },
		})
		w.heal(r)
		w.check(r)
	})
}

// world is what one check sees.
type world struct {
	*ledger
	ctx     context.Context
	process *process
	service *orders.Service
	calls   []func(*rapid.T)      // that were ever made to the stock and to change an order
	events  []hangar.OrderCreated // that were ever published
}

func newWorld(ctx context.Context, r *rapid.T, stores Stores) *world {
	w := &world{ledger: newLedger(ctx, r, stores, 12), ctx: ctx}
	w.start(0, false)
	return w
}

// start begins a new process on the same stores, which crashes at that call of a
// store, for 0 never.
func (w *world) start(crashAt int, after bool) {
	w.process = &process{calls: crashAt, after: after}
	store := crashingOrders{w.stores.Orders, w, w.process}
	w.service = orders.NewService(store, crashingStock{w}, noLog)
	if w.stores.Creator != nil {
		w.service.CreateWith(crashingCreator{w})
	}
}

// crashing runs do in a process that may crash, and starts the next one.
func (w *world) crashing(r *rapid.T, do func()) {
	// A crash at every third action or so, somewhere in its few calls.
	crashAt := rapid.IntRange(-12, 6).Draw(r, "crash at call")
	w.start(max(crashAt, 0), rapid.Bool().Draw(r, "after it took effect"))
	do()
	w.start(0, false)
}

func (w *world) create(r *rapid.T) {
	a := w.newAttempt(w.drawLines(r), false)
	w.crashing(r, func() { w.try(w.ctx, r, w.service, a) })
}

func (w *world) createWithKey(r *rapid.T) {
	a := w.newAttempt(w.drawLines(r), true)
	w.crashing(r, func() { w.try(w.ctx, r, w.service, a) })
}

func (w *world) retry(r *rapid.T) {
	var keyed []*attempt
	for _, a := range w.attempts {
		if a.key != "" {
			keyed = append(keyed, a)
		}
	}
	if len(keyed) == 0 {
		r.Skip("no order has a key yet")
	}
	a := rapid.SampledFrom(keyed).Draw(r, "attempt")
	w.crashing(r, func() { w.try(w.ctx, r, w.service, a) })
}

// drawLines draws products, one of which may be there twice or not at all.
func (w *world) drawLines(r *rapid.T) []hangar.OrderDetail {
	ids := append(slices.Repeat(w.products, 4), w.missing)
	lines := make([]hangar.OrderDetail, rapid.IntRange(1, 3).Draw(r, "lines"))
	for i := range lines {
		id := rapid.SampledFrom(ids).Draw(r, "product")
		lines[i] = hangar.OrderDetail{ProductID: id, Quantity: rapid.Int64Range(1, 5).Draw(r, "quantity")}
	}
	return lines
}

// drawOrder draws an order that is known to have been there.
func (w *world) drawOrder(r *rapid.T) *attempt {
	var known []*attempt
	for _, a := range w.attempts {
		if a.id > 0 {
			known = append(known, a)
		}
	}
	if len(known) == 0 {
		r.Skip("no order is known yet")
	}
	return rapid.SampledFrom(known).Draw(r, "order")
}

func (w *world) update(r *rapid.T) {
	a := w.drawOrder(r)
	amounts := make([]int64, len(a.lines))
	for i := range amounts {
		amounts[i] = rapid.Int64Range(1, 6).Draw(r, "new quantity")
	}
	w.crashing(r, func() { w.tryUpdate(w.ctx, r, w.service, a, amounts) })
}

func (w *world) cancel(r *rapid.T) {
	a := w.drawOrder(r)
	w.crashing(r, func() { w.tryCancel(w.ctx, r, w.service, a) })
}

func (w *world) delete(r *rapid.T) {
	a := w.drawOrder(r)
	w.crashing(r, func() { w.tryDelete(w.ctx, r, w.service, a) })
}

// callAgain is a call of a process that was not dead but slow, or of a network
// that delivers twice.
func (w *world) callAgain(r *rapid.T) {
	if len(w.calls) == 0 {
		r.Skip("nothing was called yet")
	}
	rapid.SampledFrom(w.calls).Draw(r, "call")(r)
}

// called notes a call that can arrive late, or again.
func (w *world) called(what string, do func() error) {
	w.calls = append(w.calls, func(r *rapid.T) {
		switch err := do(); hangar.CodeOf(err) {
		case "", hangar.OutOfStock, hangar.ProductNotFound, hangar.Conflict:
		default:
			r.Fatalf("%s again: %v, want an answer", what, err)
		}
	})
}

func (w *world) eventAgain(r *rapid.T) {
	if len(w.events) == 0 {
		r.Skip("nothing was published yet")
	}
	w.deliverEvent(r, rapid.SampledFrom(w.events).Draw(r, "event"))
}

func (w *world) deliverEvent(r *rapid.T, e hangar.OrderCreated) {
	handler := products.NewService(w.stores.Products, noLog)
	wantNil(r, "HandleOrderCreated", handler.HandleOrderCreated(w.ctx, e))
}

func (w *world) relay(r *rapid.T) { w.crashing(r, func() { _ = w.drain() }) }

func (w *world) recover(r *rapid.T) {
	w.crashing(r, func() { _, _ = w.service.Recover(w.ctx) })
}

// drain relays to the products service.
func (w *world) drain() error {
	publish := orders.PublishTo(recorder{w})
	return orders.NewRelay(crashingOrders{w.stores.Orders, w, w.process}, publish, noLog).Drain(w.ctx)
}

// heal lets everything arrive, late or again, and what was left come to its end.
func (w *world) heal(r *rapid.T) {
	w.start(0, false)
	for _, call := range w.calls {
		call(r)
	}
	w.finishRefills(r)
	recoverAll(w.ctx, r, w.service)
	wantNil(r, "Drain", w.drain())
	for _, e := range w.events {
		w.deliverEvent(r, e)
	}
}

var errCrashed = errors.New("the process has crashed")

// process counts down to its crash. Afterwards none of its calls arrives.
type process struct {
	calls int
	after bool // the call that crashes takes effect
	dead  bool
}

func (p *process) call(do func() error) error {
	if p.dead {
		return errCrashed
	}
	p.calls--
	if p.calls != 0 {
		return do()
	}
	p.dead = true
	if p.after {
		_ = do() // nobody hears the answer
	}
	return errCrashed
}

// crashingOrders are the orders that a process stores.
type crashingOrders struct {
	orders.Store
	w       *world
	process *process
}

func (s crashingOrders) Insert(ctx context.Context, o hangar.Order, key *orders.Key) (stored orders.Stored, err error) {
	err = s.process.call(func() (err error) {
		stored, err = s.Store.Insert(ctx, o, key)
		return err
	})
	return stored, err
}

func (s crashingOrders) Key(ctx context.Context, key string) (k *orders.Key, err error) {
	err = s.process.call(func() (err error) {
		k, err = s.Store.Key(ctx, key)
		return err
	})
	return k, err
}

func (s crashingOrders) Order(ctx context.Context, id int64) (stored orders.Stored, err error) {
	err = s.process.call(func() (err error) {
		stored, err = s.Store.Order(ctx, id)
		return err
	})
	return stored, err
}

func (s crashingOrders) Begin(ctx context.Context, id, version int64, c orders.Change) error {
	begin := func() error { return s.Store.Begin(context.WithoutCancel(ctx), id, version, c) }
	s.w.called("Begin", begin)
	return s.process.call(begin)
}

func (s crashingOrders) Settle(ctx context.Context, id, version int64, c orders.Settlement) (settled bool, err error) {
	settle := func() error {
		settled, err = s.Store.Settle(context.WithoutCancel(ctx), id, version, c)
		if settled && version == 1 && c.Status == hangar.Confirmed {
			s.w.confirmed(id)
		}
		return err
	}
	s.w.called("Settle", settle)
	err = s.process.call(settle)
	return settled, err
}

func (s crashingOrders) Relay(ctx context.Context, limit int, publish func(context.Context, []orders.Event) error) (n int, err error) {
	err = s.process.call(func() (err error) {
		n, err = s.Store.Relay(ctx, limit, func(ctx context.Context, events []orders.Event) error {
			return s.process.call(func() error { return publish(ctx, events) })
		})
		return err
	})
	return n, err
}

// crashingCreator creates the orders of a process.
type crashingCreator struct{ w *world }

func (c crashingCreator) Create(ctx context.Context, o hangar.Order, key *orders.Key, outcome orders.Outcome) (created hangar.Order, err error) {
	err = c.w.process.call(func() (err error) {
		created, err = c.w.stores.Creator.Create(context.WithoutCancel(ctx), o, key, outcome)
		if err == nil {
			c.w.confirmed(created.ID)
		}
		return err
	})
	return created, err
}

// crashingStock is the stock that a process reaches; it notes what it is asked.
type crashingStock struct{ w *world }

func (s crashingStock) Hold(ctx context.Context, h hangar.Hold) error {
	hold := func() error {
		return products.NewService(s.w.stores.Products, noLog).Hold(context.WithoutCancel(ctx), h)
	}
	s.w.called("Hold", hold)
	return s.w.process.call(hold)
}

// recorder is a products service that notes the events it gets.
type recorder struct{ w *world }

func (p recorder) HandleOrderCreated(ctx context.Context, e hangar.OrderCreated) error {
	p.w.events = append(p.w.events, e)
	p.w.published(e.Order.ID)
	return products.NewService(p.w.stores.Products, noLog).HandleOrderCreated(ctx, e)
}
