package faults_test

import (
	"context"
	"database/sql"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"hangar"
	"hangar/orders"
	"hangar/products"
	"hangar/sqlite"
)

const clients = 16

// crashPoints are all places where a step may be the last one.
var crashPoints = []string{
	"orders.insert", "orders.inserted", "orders.begun", "orders.held", "orders.settle", "orders.settled",
	"orders.published", "orders.relayed", "products.hold", "products.held",
}

// TestKillAtEachPoint ends the store at each crash point under load.
func TestKillAtEachPoint(t *testing.T) {
	binary, data := buildHangar(t), t.TempDir()
	var r record
	p := startStore(t, binary, data, "")
	stocked(t, p.url)
	p.drain(t)
	for _, point := range crashPoints {
		at := point + ":" + strconv.Itoa(1+rand.IntN(40))
		p := startStore(t, binary, data, at)
		if p == nil {
			continue // it crashed in the recovery of the crash before
		}
		if !r.load(t.Context(), p.url, clients) {
			t.Fatalf("the store never came to %s", at)
		}
		<-p.exited
		if !killed(p.err) {
			t.Fatalf("the store ended with %v, want a crash at %s", p.err, at)
		}
	}
	r.check(t, binary, data)
}

// TestKillAtRandom ends the store by SIGKILL at random moments under load,
// HANGAR_KILLS times.
func TestKillAtRandom(t *testing.T) {
	kills := 15
	if s := os.Getenv("HANGAR_KILLS"); s != "" {
		var err error
		if kills, err = strconv.Atoi(s); err != nil {
			t.Fatal(err)
		}
	}
	binary, data := buildHangar(t), t.TempDir()
	var r record
	p := startStore(t, binary, data, "")
	stocked(t, p.url)
	for range kills {
		ctx, stopLoad := context.WithCancel(t.Context())
		loaded := make(chan struct{})
		go func() {
			defer close(loaded)
			r.load(ctx, p.url, clients)
		}()
		for goal := r.count() + 1 + rand.IntN(300); r.count() < goal && ctx.Err() == nil; {
			select {
			case <-loaded:
				t.Fatalf("the load ended before the store was killed: %v", r.violation)
			default:
				time.Sleep(time.Millisecond)
			}
		}
		p.kill()
		<-loaded
		stopLoad()
		p = startStore(t, binary, data, "")
	}
	p.kill()
	r.check(t, binary, data)
}

// check heals and drains the store, and then counts what the clients know
// against what the files hold.
func (r *record) check(t *testing.T, binary, data string) {
	t.Helper()
	p := startStore(t, binary, data, "")
	r.settle(t, p.url)
	p.drain(t)
	integrity(t, filepath.Join(data, "orders.db"))
	integrity(t, filepath.Join(data, "products.db"))

	orderStore, err := sqlite.OpenOrders(t.Context(), filepath.Join(data, "orders.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer orderStore.Close()
	productStore, err := sqlite.OpenProducts(t.Context(), filepath.Join(data, "products.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer productStore.Close()
	r.checkStores(t, orderStore, productStore)
}

// checkStores counts what the clients know against what the stores hold after
// draining.
func (r *record) checkStores(t *testing.T, orderStore orders.Store, productStore products.Store) {
	t.Helper()
	for _, v := range r.violation {
		t.Error(v)
	}
	unsettled, err := orderStore.Unsettled(t.Context(), 0, 1000)
	if err != nil || len(unsettled) > 0 {
		t.Errorf("unsettled after draining: %d orders, %v, want none", len(unsettled), err)
	}
	stored := storedOrders(t, orderStore)
	r.checkOrders(t, stored)
	checkStock(t, productStore, stored)
	events, err := orderStore.Relay(t.Context(), 1000, func(context.Context, []orders.Event) error { return nil })
	if err != nil || events != 0 {
		t.Errorf("events in the outbox after draining: %d, %v, want 0", events, err)
	}
	t.Logf("%d purchases, %d acknowledgements, %d orders stored", len(r.all), r.acked, len(stored))
}

func storedOrders(t *testing.T, s orders.Store) map[int64]hangar.Order {
	t.Helper()
	stored := map[int64]hangar.Order{}
	for after := int64(0); ; {
		list, err := s.List(t.Context(), hangar.OrderQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return stored
		}
		for _, o := range list {
			stored[o.ID] = o
			after = o.ID
		}
	}
}

// checkOrders counts lost, doubled and phantom orders.
func (r *record) checkOrders(t *testing.T, stored map[int64]hangar.Order) {
	t.Helper()
	byID := map[int64]string{}
	inDoubt := 0 // orders that nobody was told of, and that may be there
	for _, p := range r.all {
		if p.refused {
			continue
		}
		if p.gone && p.id == 0 {
			inDoubt++
			continue
		}
		if other, ok := byID[p.id]; ok {
			t.Errorf("order %d was answered to both %s and %s", p.id, p.key, other)
		}
		byID[p.id] = p.key
		want := hangar.Confirmed
		if p.cancelled {
			want = hangar.Cancelled
		}
		o, ok := stored[p.id]
		if p.gone && o.Status == hangar.Cancelled {
			want = hangar.Cancelled // it was asked for
		}
		if !ok || o.Status != want {
			t.Errorf("order %d of %s is stored as %q, want %s: lost", p.id, p.key, o.Status, want)
		}
	}
	untold := 0
	for id, o := range stored {
		if _, ok := byID[id]; !ok && o.Status != hangar.Rejected {
			untold++
		}
	}
	if untold > inDoubt {
		t.Errorf("%d orders are stored that nobody was told of, %d may be: phantoms", untold, inDoubt)
	}
}

func checkStock(t *testing.T, productStore products.Store, stored map[int64]hangar.Order) {
	t.Helper()
	held := map[string]int64{}
	for _, o := range stored {
		if o.Status != hangar.Confirmed {
			continue
		}
		for id, n := range hangar.Quantities(o.Details) {
			held[id] += n
		}
	}
	for id, n := range putIn {
		p, err := productStore.Product(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if p.InStock < 0 || n-p.InStock != held[id] {
			t.Errorf("%s: %d put in, %d in stock, %d held by confirmed orders", id, n, p.InStock, held[id])
		}
	}
}

func integrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity of %s: %s, %v, want ok", filepath.Base(path), verdict, err)
	}
}
