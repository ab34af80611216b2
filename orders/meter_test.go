package orders_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/orders"
)

// tally is a meter that counts.
type tally struct {
	mu     sync.Mutex
	counts map[string]int
}

func (c *tally) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.counts[what]++
}

func (c *tally) OrderCreated()                 { c.note("created") }
func (c *tally) OrderRefused(code hangar.Code) { c.note("refused: " + string(code)) }

func (c *tally) OrderRecovered(err error) {
	what := "recovered"
	if errors.Is(err, errDown) {
		what = "not recovered"
	}
	c.note(what)
}

func TestMeterIsToldOfOrders(t *testing.T) {
	store, stock := openStore(t), &breakable{}
	s := orders.NewService(store, stock, noLog)
	meter := &tally{counts: make(map[string]int)}
	s.MeasureWith(meter)
	create(t, s)
	n := oneLine(1)
	n.IdempotencyKey = "k"
	for range 2 { // the second is no new order
		if _, err := s.CreateOrder(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.CreateOrder(t.Context(), hangar.NewOrder{})
	wantCode(t, "CreateOrder without lines", err, hangar.ValidationError)
	stock.down.Store(true)
	_, err = s.CreateOrder(t.Context(), oneLine(1))
	wantCode(t, "CreateOrder while the stock is down", err, hangar.Unavailable)
	if _, err := s.Recover(t.Context()); !errors.Is(err, errDown) {
		t.Errorf("Recover while the stock is down: %v", err)
	}
	stock.down.Store(false)
	for range 2 { // the first goes on after the one that failed
		if _, err := s.Recover(t.Context()); err != nil {
			t.Errorf("Recover: %v", err)
		}
	}
	refusing := orders.NewService(store, stockFunc(func(context.Context, hangar.Hold) error {
		return hangar.NewProductNotFound("a")
	}), noLog)
	refusing.MeasureWith(meter)
	for range 2 { // the second is no new refusal
		n.IdempotencyKey = "other"
		_, err = refusing.CreateOrder(t.Context(), n)
		wantCode(t, "CreateOrder of what does not exist", err, hangar.ProductNotFound)
	}
	want := map[string]int{
		"created": 2, "refused: VALIDATION_ERROR": 1, "refused: UNAVAILABLE": 1, "refused: PRODUCT_NOT_FOUND": 1,
		"not recovered": 1, "recovered": 1,
	}
	if diff := cmp.Diff(want, meter.counts); diff != "" {
		t.Errorf("the meter was told (-want +got):\n%s", diff)
	}
}
