package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"hangar"
	"hangar/cache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestManyWhoAskShareOneLoad(t *testing.T) {
	inBothModes(t, func(b *bench) {
		want := b.store.order(7, 1)
		free := make(chan struct{})
		b.store.readsWith(until(free), nil)
		var answers []<-chan answer
		for range 50 {
			answers = append(answers, b.goOrder(b.Context(), 7))
		}
		b.wantReads("while 50 wait", 1)
		close(free)
		for _, a := range answers {
			got := <-a
			if got.err != nil {
				b.Error(got.err)
			}
			b.wantEqual("the order", got.order, want)
			got.order.Details[0].Quantity = -1 // it is the caller's own
		}
		b.wantOrder("the order afterwards", want)
		b.wantReads("afterwards", 1)
		b.wantEqual("stats", b.orders.Stats(), cache.Stats{Hits: 1, Misses: 50, Loads: 1})
	})
}

func TestWhoLeavesTakesNothingFromOthers(t *testing.T) {
	inBothModes(t, func(b *bench) {
		want := b.store.order(7, 1)
		free := make(chan struct{})
		b.store.readsWith(until(free), nil)
		leaving, leave := context.WithCancel(b.Context())
		short, cancel := context.WithTimeout(b.Context(), time.Second)
		defer cancel()
		first, second, third := b.goOrder(leaving, 7), b.goOrder(short, 7), b.goOrder(b.Context(), 7)
		leave()
		if a := <-first; !errors.Is(a.err, context.Canceled) {
			b.Errorf("who left got %v, want that it did", a.err)
		}
		if a := <-second; !errors.Is(a.err, context.DeadlineExceeded) {
			b.Errorf("whose time was up got %v, want that it was", a.err)
		}
		close(free)
		if a := <-third; a.err != nil || a.order.Version != want.Version {
			b.Errorf("who waited got %v, %v", a.order, a.err)
		}
		b.wantOrder("afterwards", want)
		b.wantReads("afterwards", 1)
	})
}

func TestFailuresAreSharedAndNotKept(t *testing.T) {
	failure := errors.New("the database is away")
	for name, test := range map[string]struct {
		fail func(context.Context) error
		want hangar.Code
	}{
		"error":     {func(context.Context) error { return failure }, hangar.Unexpected},
		"not found": {func(context.Context) error { return hangar.NewOrderNotFound("7") }, hangar.OrderNotFound},
		"panic":     {func(context.Context) error { panic("of the service") }, hangar.Unexpected},
		"too slow":  {until(nil), hangar.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			inBothModes(t, func(b *bench) {
				want := b.store.order(7, 1)
				free := make(chan struct{})
				b.store.readsWith(until(free), test.fail)
				first, second := b.goOrder(b.Context(), 7), b.goOrder(b.Context(), 7)
				close(free)
				b.wantCode("the first who asked", (<-first).err, test.want)
				b.wantCode("the second", (<-second).err, test.want)
				b.wantReads("for both", 1)
				b.store.readsWith(nil, nil)
				b.wantOrder("afterwards", want)
			})
		})
	}
}

func TestOrdersThatAreNotKept(t *testing.T) {
	inBothModes(t, func(b *bench) {
		for name, spoil := range map[string]func(*hangar.Order){
			"pending":             func(o *hangar.Order) { o.Status = hangar.Pending },
			"a change under way":  func(o *hangar.Order) { o.Unsettled = true },
			"of a Python service": func(o *hangar.Order) { o.Version = 0 },
		} {
			want := b.store.order(7, 1)
			spoil(&want)
			b.store.orders[7] = want
			before := b.store.reads()
			for range 2 {
				b.wantOrder(name, want)
			}
			b.wantReads(name, before+2)
		}
	})
}

// What is too old is read again, counted from when the load began, however long it
// took.
func TestAgeCountsFromTheLoad(t *testing.T) {
	inBothModes(t, func(b *bench) {
		b.store.product("p", 5)
		b.store.readsWith(nil, func(context.Context) error { time.Sleep(4 * time.Second); return nil })
		b.wantProduct("at first", hangar.Product{ID: "p", Title: "T", InStock: 5})
		b.store.readsWith(nil, nil)
		now := b.store.product("p", 4)
		time.Sleep(6*time.Second - time.Millisecond)
		b.wantProduct("just in time", hangar.Product{ID: "p", Title: "T", InStock: 5})
		time.Sleep(time.Millisecond)
		b.wantProduct("too late", now)
	})
}

// A load that is under way is not joined when what it has read may be too old.
func TestOldLoadIsNotJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, store: newStore()}
		products := cache.NewProducts(b.store, cache.Config{MaxAge: time.Second, Size: 100, Log: noLog})
		products.Listening()
		b.store.product("p", 5)
		free := make(chan struct{})
		b.store.readsWith(nil, until(free))
		first := make(chan hangar.Product, 1)
		go func() {
			p, _ := products.Product(t.Context(), "p")
			first <- p
		}()
		synctest.Wait()
		now := b.store.product("p", 4)
		time.Sleep(time.Second)
		b.store.readsWith(nil, nil)
		b.products = products
		b.wantProduct("after a second", now)
		close(free)
		if p := <-first; p.InStock != 5 {
			t.Errorf("who asked first got %v", p)
		}
		b.wantProduct("after the old load", now)
		b.wantReads("in all", 2)
	})
}

func TestSizeBoundsTheMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, store: newStore()}
		b.orders, _ = b.open()
		readAll := func() {
			for id := range int64(1000) {
				if _, err := b.orders.Order(t.Context(), id+1); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Wait()
		}
		for id := range int64(1000) {
			b.store.order(id+1, 1)
		}
		readAll()
		readAll()
		if hits := b.orders.Stats().Hits; hits > 100 {
			t.Errorf("of 1000 orders %d were kept, want at most 100", hits)
		}

		large := b.store.order(2000, 1) // counts as more than there is room for
		large.Details = make([]hangar.OrderDetail, 2000)
		b.store.orders[2000] = large
		before := b.store.reads()
		for range 2 {
			b.wantOrder("the large one", large)
			synctest.Wait()
		}
		b.wantReads("the large one", before+2)
	})
}

// Run returns when no load is under way, and then the service answers.
func TestRunWaitsForLoads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bench{T: t, store: newStore()}
		want := b.store.order(7, 1)
		b.orders = cache.NewOrders(b.store, cache.Config{MaxAge: maxAge, Size: 100, Log: noLog})
		b.orders.Listening()
		free := make(chan struct{})
		b.store.readsWith(until(free), nil)
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.orders.Run(ctx) }()
		first := b.goOrder(t.Context(), 7)
		stop()
		synctest.Wait()
		select {
		case err := <-ended:
			t.Errorf("Run returned %v with a load under way", err)
		default:
		}
		close(free)
		if a := <-first; a.err != nil {
			t.Error(a.err)
		}
		if err := <-ended; err != nil {
			t.Errorf("Run: %v, want nil", err)
		}
		b.orders.Listening() // too late
		for range 2 {
			b.wantOrder("after Run", want)
		}
		b.wantReads("in all", 3)
	})
}
