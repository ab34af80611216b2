package hangartest

import (
	"context"
	"fmt"
	"slices"

	"pgregory.net/rapid"

	"hangar"
	"hangar/products"
)

// refill is a request for a restock, with all its retries.
type refill struct {
	restock hangar.Restock
	done    bool // that was acknowledged
}

func (l *ledger) newRefill(product string, quantity int64) *refill {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := fmt.Sprintf("%s-refill-%d", product, len(l.refills))
	f := &refill{restock: hangar.Restock{ID: product, Quantity: quantity, IdempotencyKey: key}}
	l.refills = append(l.refills, f)
	return f
}

// tryRefill asks for the restock, and compares the answer with the answers before.
func (l *ledger) tryRefill(ctx context.Context, r tester, s hangar.ProductService, f *refill) {
	l.mu.Lock()
	known := f.done
	l.mu.Unlock()
	got, err := s.Restock(ctx, f.restock)
	if err != nil {
		l.wantUnknown(r, "Restock", err)
		return
	}
	if known && !got.Replayed {
		r.Errorf("%+v was made again", f.restock)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	f.done = true
}

// mostPutIn is what was put in of a product at most, and exactly once all that was
// asked for is done.
func (l *ledger) mostPutIn(id string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.putIn
	for _, f := range l.refills {
		if f.restock.ID == id {
			n += f.restock.Quantity
		}
	}
	return n
}

func (w *world) restock(r *rapid.T) {
	var f *refill
	if len(w.refills) > 0 && rapid.Bool().Draw(r, "once more") {
		f = rapid.SampledFrom(w.refills).Draw(r, "restock")
	} else {
		f = w.newRefill(rapid.SampledFrom(w.products).Draw(r, "product"), rapid.Int64Range(1, 5).Draw(r, "units"))
	}
	w.crashing(r, func() { w.tryRefill(w.ctx, r, w.productService(), f) })
}

func (w *world) productService() *products.Service {
	return products.NewService(crashingProducts{w.stores.Products, w, w.process}, noLog)
}

// finishRefills asks once more for the restocks whose outcome nobody knows.
func (w *world) finishRefills(r *rapid.T) {
	for _, f := range slices.DeleteFunc(slices.Clone(w.refills), func(f *refill) bool { return f.done }) {
		w.tryRefill(w.ctx, r, w.productService(), f)
	}
}

// crashingProducts are the products that a process stores.
type crashingProducts struct {
	products.Store
	w       *world
	process *process
}

func (s crashingProducts) Restock(ctx context.Context, marker, id string, quantity int64) (done hangar.Restocked, err error) {
	restock := func() (err error) {
		done, err = s.Store.Restock(context.WithoutCancel(ctx), marker, id, quantity)
		return err
	}
	s.w.called("Restock", restock)
	err = s.process.call(restock)
	return done, err
}
