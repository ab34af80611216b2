package cache_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"hangar"
	"hangar/cache"
)

func (b *bench) changed(id int64) { b.orders.OrderChanged(b.Context(), hangar.OrderChanged{ID: id}) }

func TestChangeIsSeenAtOnce(t *testing.T) {
	inBothModes(t, func(b *bench) {
		b.wantOrder("at first", b.store.order(7, 1))
		other := b.store.order(8, 1)
		b.wantOrder("the other", other)
		now := b.store.order(7, 2)
		b.changed(7)
		b.wantOrder("after the change", now)
		b.store.order(8, 2)
		b.wantOrder("the other, which is kept", other)
		b.wantReads("in all", 3)
	})
}

// A load that was under way when the change was announced is neither kept, nor
// given to those who ask afterwards.
func TestLoadUnderWayIsNotKept(t *testing.T) {
	inBothModes(t, func(b *bench) {
		old := b.store.order(7, 1)
		free := make(chan struct{})
		b.store.readsWith(nil, until(free)) // it has looked, and the answer is on its way
		first := b.goOrder(b.Context(), 7)
		now := b.store.order(7, 2)
		b.changed(7)
		b.store.readsWith(nil, nil)
		b.wantOrder("while the old load is under way", now)
		close(free)
		if a := <-first; a.err != nil || a.order.Version != old.Version {
			b.Errorf("who asked before got %v, %v", a.order, a.err)
		}
		b.wantOrder("afterwards", now)
		if refused := b.orders.Stats().Refused; refused != 1 {
			b.Errorf("%d loads were refused, want 1", refused)
		}
	})
}

func TestOwnChangesAreSeenAtOnce(t *testing.T) {
	inBothModes(t, func(b *bench) {
		ctx := b.Context()
		for id, change := range map[int64]func(id int64){
			1: func(id int64) { b.orders.UpdateOrder(ctx, hangar.OrderUpdate{ID: id}) },
			2: func(id int64) { b.orders.CancelOrder(ctx, id) },
			3: func(id int64) { b.orders.DeleteOrder(ctx, id) },
		} {
			b.wantOrder("before", b.store.order(id, 1))
			change(id)
			if now, ok := b.store.orders[id]; ok {
				b.wantOrder("after", now)
				continue
			}
			_, err := b.orders.Order(ctx, id)
			b.wantCode("after its deletion", err, hangar.OrderNotFound)
		}
		for id, change := range map[string]func(p hangar.Product) error{
			"put":     func(p hangar.Product) error { return b.products.PutProduct(ctx, p) },
			"created": func(p hangar.Product) error { return b.products.CreateProduct(ctx, p) },
			"restocked": func(p hangar.Product) error {
				_, err := b.products.Restock(ctx, hangar.Restock{ID: p.ID, Quantity: p.InStock})
				return err
			},
			"deleted": func(p hangar.Product) error { return b.products.DeleteProduct(ctx, p.ID) },
		} {
			b.wantProduct("before", b.store.product(id, 1))
			change(hangar.Product{ID: id, InStock: 9})
			if now, ok := b.store.products[id]; ok {
				b.wantProduct("after it was "+id, now)
				continue
			}
			_, err := b.products.Product(ctx, id)
			b.wantCode("after its deletion", err, hangar.ProductNotFound)
		}
	})
}

func TestDeafCacheIsNotUsed(t *testing.T) {
	inBothModes(t, func(b *bench) {
		b.wantOrder("at first", b.store.order(7, 1))
		free := make(chan struct{})
		b.store.order(8, 1)
		b.store.readsWith(nil, until(free))
		underWay := b.goOrder(b.Context(), 8)
		b.store.readsWith(nil, nil)

		b.orders.Deaf()
		for version := range int64(3) {
			b.wantOrder("while it is deaf", b.store.order(7, 2+version))
		}
		now, other := b.store.order(7, 9), b.store.order(8, 9)
		b.orders.Listening()
		close(free)
		if a := <-underWay; a.err != nil {
			b.Error(a.err)
		}
		b.wantOrder("when it listens again", now)
		b.wantOrder("what was under way when it went deaf", other)
	})
}

func TestNothingIsKeptBeforeListening(t *testing.T) {
	b := &bench{T: t, store: newStore()}
	b.orders = cache.NewOrders(b.store, cache.Config{MaxAge: maxAge, Size: 100, Log: noLog})
	want := b.store.order(7, 1)
	for range 2 {
		b.wantOrder("before it listens", want)
	}
	b.wantReads("before it listens", 2)
}

func TestProductsAreReadTogether(t *testing.T) {
	inBothModes(t, func(b *bench) {
		x, y, z := b.store.product("x", 1), b.store.product("y", 2), b.store.product("z", 3)
		b.wantProduct("alone", y)
		list, err := b.products.Products(b.Context(), []string{"z", "missing", "y", "x", "z"})
		b.wantCode("together", err, "")
		b.wantEqual("together", list, []hangar.Product{z, y, x, z})
		b.wantEqual("what was read", b.store.asked, []any{"y", []string{"z", "missing", "x"}})
		list, err = b.products.Products(b.Context(), []string{"x", "missing"})
		b.wantCode("what is missing", err, "")
		b.wantEqual("without what is missing", list, []hangar.Product{x})
		b.wantReads("what is missing again", 3)
		list, err = b.products.Products(b.Context(), nil)
		if len(list) != 0 || err != nil {
			b.Errorf("no products = %v, %v", list, err)
		}
		b.wantReads("for none", 3)
	})
}

// A product that one caller waits for is not read again for another, who wants more.
func TestProductsJoinLoads(t *testing.T) {
	inBothModes(t, func(b *bench) {
		x, y := b.store.product("x", 1), b.store.product("y", 2)
		free := make(chan struct{})
		b.store.readsWith(until(free), nil)
		results := make(chan []hangar.Product, 3)
		ask := func(ids ...string) {
			go func() {
				list, err := b.products.Products(b.Context(), ids)
				b.wantCode("Products", err, "")
				results <- list
			}()
			synctest.Wait()
		}
		ask("x", "gone")
		ask("x", "y")
		ask("gone")
		close(free)
		got := map[int]int{}
		for range 3 {
			got[len(<-results)]++
		}
		b.wantEqual("how many got how many", got, map[int]int{0: 1, 1: 1, 2: 1})
		b.wantEqual("what was read", b.store.asked, []any{[]string{"x", "gone"}, "y"})
		b.wantProduct("x", x)
		b.wantProduct("y", y)
	})
}

func TestProductsFailTogether(t *testing.T) {
	inBothModes(t, func(b *bench) {
		b.store.product("x", 1)
		b.store.readsWith(func(context.Context) error { return errDown }, nil)
		if list, err := b.products.Products(b.Context(), []string{"x", "y"}); err == nil {
			b.Errorf("Products = %v, want an error", list)
		}
		b.products.Deaf()
		if list, err := b.products.Products(b.Context(), []string{"x", "y"}); err == nil {
			b.Errorf("Products of a deaf cache = %v, want an error", list)
		}
		b.store.readsWith(nil, nil)
		list, err := b.products.Products(b.Context(), []string{"y"})
		if len(list) != 0 || err != nil {
			b.Errorf("a product that is missing, of a deaf cache = %v, %v, want nothing", list, err)
		}
	})
}

func TestProductChanged(t *testing.T) {
	inBothModes(t, func(b *bench) {
		b.wantProduct("at first", b.store.product("p", 5))
		now := b.store.product("p", 4)
		b.products.ProductChanged(b.Context(), hangar.ProductChanged{ID: "p"})
		b.wantProduct("after the change", now)
		time.Sleep(cache.DropTime)
		b.wantProduct("later", now)
	})
}
