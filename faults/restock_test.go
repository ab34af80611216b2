package faults_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"
)

// restock is what a client knows of units that it adds to a product.
type restock struct {
	key       string
	productID string
	quantity  int64
	added     bool // and answered
}

// newRestock returns units to add to some product.
func (r *record) newRestock() *restock {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &restock{key: fmt.Sprintf("restock-%d", len(r.restocks)+1), productID: anyProduct(), quantity: 1 + rand.Int64N(3)}
	r.restocks = append(r.restocks, s)
	return s
}

// add adds the units as far as the store lets it, and reports whether they are
// added now.
func (r *record) add(ctx context.Context, s *restock) bool {
	body := fmt.Sprintf(`{"quantity":%d}`, s.quantity)
	a := send(ctx, r.client, "POST", r.url+"/products/"+s.productID+"/restock", body, s.key)
	if a.status != http.StatusOK {
		r.again(s.key, a)
		return false
	}
	s.added = true
	return true
}

// keepRestocking adds units of the products, a few at a time, and asks again where
// the outcome is open, until ctx is done.
func (r *record) keepRestocking(ctx context.Context) {
	for ; ctx.Err() == nil; time.Sleep(retryPause) {
		s := r.newRestock()
		for ctx.Err() == nil && !r.add(context.WithoutCancel(ctx), s) {
			time.Sleep(retryPause)
		}
	}
}

// settleRestocks repeats what is unsettled against a healthy store.
func (r *record) settleRestocks(t *testing.T) {
	t.Helper()
	for _, s := range r.restocks {
		waitFor(t, s.key+" is settled", func() bool { return s.added || r.add(t.Context(), s) || len(r.violations()) > 0 })
	}
}

// putInOf returns how many units of the product were put in and added.
func (r *record) putInOf(id string) int64 {
	units := r.putIn[id]
	for _, s := range r.restocks {
		if s.productID == id && s.added {
			units += s.quantity
		}
	}
	return units
}
