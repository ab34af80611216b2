package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"hangar"
	"hangar/cache"
)

// inShared runs a test with a shared cache.
func inShared(t *testing.T, test func(b *bench)) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, store: newStore(), shared: &sharedMap{entries: make(map[string]sharedEntry)}}
		b.orders, b.products = b.open()
		test(b)
	})
}

func TestSharedAnswersOthers(t *testing.T) {
	inShared(t, func(b *bench) {
		other, _ := b.open()
		want := b.store.order(7, 1)
		want.CreatedAt = time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)
		b.store.orders[7] = want
		b.wantOrder("from one", want)
		b.orders = other
		b.wantOrder("from the other", want)
		b.wantReads("for both", 1)
		b.wantEqual("stats of the other", other.Stats(), cache.Stats{Hits: 1})
	})
}

// Whoever hears of a change drops the entry for all, also what another one is
// about to add that hears of nothing.
func TestSharedIsDroppedForAll(t *testing.T) {
	inShared(t, func(b *bench) {
		hears, _ := b.open()
		b.store.order(7, 1)
		free := make(chan struct{})
		b.store.readsWith(nil, until(free))
		underWay := b.goOrder(b.Context(), 7)
		now := b.store.order(7, 2)
		b.store.readsWith(nil, nil)
		hears.OrderChanged(b.Context(), hangar.OrderChanged{ID: 7, Version: 2})
		close(free)
		if a := <-underWay; a.err != nil {
			b.Error(a.err)
		}
		b.wantOrder("after the change", now)
		time.Sleep(cache.DropTime)
		b.wantOrder("later", now)
	})
}

func TestSharedThatIsDownIsReadThrough(t *testing.T) {
	inShared(t, func(b *bench) {
		b.shared.setDown(true)
		for version := range int64(3) {
			b.wantOrder("while it is down", b.store.order(7, version+1))
		}
		b.shared.setDown(false)
		want := b.store.order(7, 4)
		b.wantOrder("when it is back", want)
		b.wantOrder("when it is back", want)
		b.wantReads("in all", 4)
	})
}

// What could not be dropped is not used, until it has expired.
func TestSharedThatCouldNotDropIsNotTrusted(t *testing.T) {
	inShared(t, func(b *bench) {
		b.wantOrder("at first", b.store.order(7, 1))
		time.Sleep(time.Second)
		now := b.store.order(7, 2)
		b.shared.setDown(true)
		b.changed(7)
		b.shared.setDown(false)
		for range 10 {
			b.wantOrder("after the change", now)
			time.Sleep(time.Second)
		}
		before := b.store.reads()
		b.wantOrder("later", now)
		b.wantOrder("later", now)
		b.wantReads("later", before)
	})
}

func TestSharedEntriesThatCannotBeUsed(t *testing.T) {
	for name, test := range map[string]struct{ key, value string }{
		"no order":         {"order:7", "1nonsense"},
		"cut off":          {"order:7", `1{"id":7,"order_det`},
		"another version":  {"order:7", `2{"id":7}`},
		"another order":    {"order:7", `1{"id":8}`},
		"empty":            {"order:7", ""},
		"a product":        {"product:p", "1[]"},
		"another product":  {"product:p", `1{"id":"q"}`},
		"nothing but text": {"product:p", "\xff\xfe"},
	} {
		t.Run(name, func(t *testing.T) {
			inShared(t, func(b *bench) {
				b.shared.set(test.key, []byte(test.value), time.Hour)
				b.wantOrder("the order", b.store.order(7, 1))
				b.wantProduct("the product", b.store.product("p", 5))
			})
		})
	}
}
