package cache_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/cache"
)

var noLog = slog.New(slog.DiscardHandler)

const maxAge = 10 * time.Second

// store is both services, and counts what they are asked for.
type store struct {
	hangar.OrderService
	hangar.ProductService

	mu       sync.Mutex
	orders   map[int64]hangar.Order
	products map[string]hangar.Product
	asked    []any // the ids of each read
	hold     func(context.Context) error
	after    func(context.Context) error
}

func newStore() *store {
	return &store{orders: make(map[int64]hangar.Order), products: make(map[string]hangar.Product)}
}

// order stores an order at a version and returns it.
func (s *store) order(id, version int64) hangar.Order {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.orders[id] = hangar.Order{ID: id, Version: version, Status: hangar.Confirmed,
		Details: []hangar.OrderDetail{{ID: 1, ProductID: "p", Price: 100, Quantity: version}}}
	return s.orders[id]
}

// product stores a product with so many in stock and returns it.
func (s *store) product(id string, inStock int64) hangar.Product {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.products[id] = hangar.Product{ID: id, Title: "T", InStock: inStock}
	return s.products[id]
}

// readsWith makes each read do before it looks, and after it has looked, what is
// given. nil does nothing.
func (s *store) readsWith(before, after func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold, s.after = before, after
}

func (s *store) reads() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.asked)
}

// read notes a read of an id or ids, and looks.
func (s *store) read(ctx context.Context, ids any, look func()) error {
	s.mu.Lock()
	s.asked = append(s.asked, ids)
	before, after := s.hold, s.after
	s.mu.Unlock()
	if before != nil {
		if err := before(ctx); err != nil {
			return err
		}
	}
	s.mu.Lock()
	look()
	s.mu.Unlock()
	if after != nil {
		return after(ctx)
	}
	return nil
}

func (s *store) Order(ctx context.Context, id int64) (o hangar.Order, err error) {
	known := false
	if err := s.read(ctx, id, func() { o, known = s.orders[id] }); err != nil {
		return hangar.Order{}, err
	}
	if !known {
		return hangar.Order{}, hangar.NewOrderNotFound("7")
	}
	return o, nil
}

func (s *store) Product(ctx context.Context, id string) (p hangar.Product, err error) {
	known := false
	if err := s.read(ctx, id, func() { p, known = s.products[id] }); err != nil {
		return hangar.Product{}, err
	}
	if !known {
		return hangar.Product{}, hangar.NewProductNotFound(id)
	}
	return p, nil
}

func (s *store) Products(ctx context.Context, ids []string) (list []hangar.Product, err error) {
	err = s.read(ctx, ids, func() {
		for _, id := range ids {
			if p, ok := s.products[id]; ok {
				list = append(list, p)
			}
		}
	})
	return list, err
}

var errOfChange = errors.New("a change failed, and may have happened")

func (s *store) UpdateOrder(_ context.Context, u hangar.OrderUpdate) (hangar.Order, error) {
	return s.order(u.ID, 100), errOfChange
}

func (s *store) CancelOrder(_ context.Context, id int64) (hangar.Order, error) {
	return s.order(id, 101), nil
}

func (s *store) DeleteOrder(_ context.Context, id int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.orders, id)
	return nil
}

func (s *store) PutProduct(_ context.Context, p hangar.Product) error {
	s.product(p.ID, p.InStock)
	return errOfChange
}

func (s *store) CreateProduct(ctx context.Context, p hangar.Product) error {
	return s.PutProduct(ctx, p)
}

func (s *store) Restock(_ context.Context, r hangar.Restock) (hangar.Restocked, error) {
	return hangar.Restocked{Product: s.product(r.ID, 1+r.Quantity)}, errOfChange
}

func (s *store) DeleteProduct(_ context.Context, id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.products, id)
	return nil
}

// sharedMap is a cache.Shared.
type sharedMap struct {
	mu      sync.Mutex
	entries map[string]sharedEntry
	down    bool
	lookups int
}

type sharedEntry struct {
	value   []byte // nil was dropped
	expires time.Time
}

var errDown = errors.New("down")

func (s *sharedMap) set(key string, value []byte, age time.Duration) {
	s.entries[key] = sharedEntry{value, time.Now().Add(age)}
}

func (s *sharedMap) has(key string) bool {
	e, ok := s.entries[key]
	return ok && time.Now().Before(e.expires)
}

func (s *sharedMap) Get(_ context.Context, keys []string) ([][]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lookups++
	if s.down {
		return nil, errDown
	}
	values := make([][]byte, len(keys))
	for i, key := range keys {
		if s.has(key) {
			values[i] = s.entries[key].value
		}
	}
	return values, nil
}

func (s *sharedMap) Add(_ context.Context, key string, value []byte, age time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	if !s.has(key) {
		s.set(key, value, age)
	}
	return nil
}

func (s *sharedMap) Drop(_ context.Context, key string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.down {
		return errDown
	}
	s.set(key, nil, cache.DropTime)
	return nil
}

func (s *sharedMap) setDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// bench is a store with caches before it, in a bubble of time.
type bench struct {
	*testing.T
	store    *store
	shared   *sharedMap // nil in the process
	orders   *cache.Orders
	products *cache.Products
}

// inBothModes runs a test with a cache in the process, and with a shared one.
func inBothModes(t *testing.T, test func(b *bench)) {
	for _, mode := range []string{"in the process", "shared"} {
		t.Run(mode, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &bench{T: t, store: newStore()}
				if mode == "shared" {
					b.shared = &sharedMap{entries: make(map[string]sharedEntry)}
				}
				b.orders, b.products = b.open()
				test(b)
			})
		})
	}
}

// open returns caches of the store, which are in use until the test ends.
func (b *bench) open() (*cache.Orders, *cache.Products) {
	c := cache.Config{MaxAge: maxAge, Size: 100, Log: noLog}
	if b.shared != nil {
		c.Shared = b.shared
	}
	orders, products := cache.NewOrders(b.store, c), cache.NewProducts(b.store, c)
	ctx, stop := context.WithCancel(context.WithoutCancel(b.Context()))
	var running sync.WaitGroup
	running.Go(func() { orders.Run(ctx) })
	running.Go(func() { products.Run(ctx) })
	b.Cleanup(func() {
		stop()
		running.Wait()
	})
	orders.Listening()
	products.Listening()
	time.Sleep(maxAge) // then what is shared is trusted
	return orders, products
}

// goOrder asks for an order in the background.
func (b *bench) goOrder(ctx context.Context, id int64) <-chan answer {
	answers := make(chan answer, 1)
	go func() {
		o, err := b.orders.Order(ctx, id)
		answers <- answer{o, err}
	}()
	synctest.Wait()
	return answers
}

type answer struct {
	order hangar.Order
	err   error
}

func (b *bench) wantOrder(what string, want hangar.Order) {
	b.Helper()
	got, err := b.orders.Order(b.Context(), want.ID)
	if err != nil {
		b.Errorf("%s: %v", what, err)
	}
	b.wantEqual(what, got, want)
}

func (b *bench) wantProduct(what string, want hangar.Product) {
	b.Helper()
	got, err := b.products.Product(b.Context(), want.ID)
	if err != nil {
		b.Errorf("%s: %v", what, err)
	}
	b.wantEqual(what, got, want)
}

func (b *bench) wantReads(what string, want int) {
	b.Helper()
	if got := b.store.reads(); got != want {
		b.Errorf("%s: the store was read %d times, want %d", what, got, want)
	}
}

func (b *bench) wantEqual(what string, got, want any) {
	b.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		b.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func (b *bench) wantCode(what string, err error, want hangar.Code) {
	b.Helper()
	if hangar.CodeOf(err) != want {
		b.Errorf("%s: %v, want %s", what, err, want)
	}
}

// until returns what waits for a channel to be closed.
func until(closed <-chan struct{}) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
