package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/hangartest"
	"hangar/orders"
	"hangar/postgres"
)

// Whatever becomes of a call or its answer, the call is carried out once, and
// answered.
func TestLostCalls(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]fault{"call lost": loseCall, "answer lost": loseAnswer, "connection lost meanwhile": leaveCall} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProxy(t, hangartest.Postgres(t))
			s := openOrders(t, p.url+"&pool_max_conns=1")
			for range 5 {
				testLostInsert(t, p, s, f, func() *orders.Key { return nil })
				testLostInsert(t, p, s, f, func() *orders.Key { return &orders.Key{Key: newOrder().Hold, BodyHash: []byte("hash")} })
				testLostBegin(t, p, s, f)
			}
			for range 5 {
				testLostSettle(t, p, s, f)
			}
		})
	}
}

func testLostInsert(t *testing.T, p *proxy, s orders.Store, f fault, newKey func() *orders.Key) {
	t.Helper()
	ctx := t.Context()
	if _, err := s.Insert(ctx, newOrder("z"), newKey()); err != nil { // the connection learns the statement
		t.Fatal(err)
	}
	o, key := newOrder("b", "a", "b"), newKey()
	p.breaks(f)
	stored, err := s.Insert(ctx, o, key)
	if err != nil {
		t.Fatalf("Insert: %v", err)
	}
	got, err := s.Order(ctx, stored.ID)
	if diff := cmp.Diff(stored, got); err != nil || diff != "" {
		t.Errorf("the order that Insert returned, %v (-want +got):\n%s", err, diff)
	}
	if ids := byHold(t, s)[o.Hold]; len(ids) != 1 {
		t.Errorf("orders that one Insert made: %v, want one", ids)
	}
	if key == nil {
		return
	}
	known, err := s.Key(ctx, key.Key)
	if err != nil || known == nil || known.OrderID != stored.ID {
		t.Errorf("Key = %+v, %v, want order %d", known, err, stored.ID)
	}
	if _, err := s.Insert(ctx, newOrder("a"), key); hangar.CodeOf(err) != hangar.Conflict {
		t.Errorf("Insert with a known key: %v, want CONFLICT", err)
	}
}

func testLostBegin(t *testing.T, p *proxy, s orders.Store, f fault) {
	t.Helper()
	ctx := t.Context()
	var stored [2]orders.Stored
	for i := range stored {
		var err error
		if stored[i], err = s.Insert(ctx, newOrder("a"), nil); err != nil {
			t.Fatal(err)
		}
		settle(t, s, stored[i].ID, 1, orders.Settlement{Status: hangar.Confirmed})
	}
	if err := s.Begin(ctx, stored[0].ID, 1, orders.Change{Kind: orders.Delete}); err != nil { // the connection learns the statement
		t.Fatal(err)
	}
	id := stored[1].ID
	p.breaks(f)
	if err := s.Begin(ctx, id, 1, orders.Change{Kind: orders.Cancel}); err != nil {
		t.Fatalf("Begin: %v", err)
	}
	p.breaks(f)
	if err := s.Begin(ctx, id, 1, orders.Change{Kind: orders.Delete}); hangar.CodeOf(err) != hangar.Conflict {
		t.Errorf("Begin at a version that is past: %v, want CONFLICT", err)
	}
	got, err := s.Order(ctx, id)
	if err != nil || got.Status != hangar.Confirmed || got.Version != 2 || got.Change == nil || got.Change.Kind != orders.Cancel {
		t.Errorf("the order = %+v, %v, want it confirmed, and at version 2 about to be cancelled", got, err)
	}
}

func testLostSettle(t *testing.T, p *proxy, s orders.Store, f fault) {
	t.Helper()
	ctx := t.Context()
	confirmed(t, s, newOrder("a")) // the connection learns the statement
	stored, err := s.Insert(ctx, newOrder("a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	p.breaks(f)
	_, err = s.Settle(ctx, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: &orders.Event{Type: "t", Payload: []byte("{}")}})
	if err != nil {
		t.Fatalf("Settle: %v", err)
	}
	p.breaks(noFault) // a notification that was under way may have met the fault: then nothing else does
	n, err := s.Relay(ctx, 100, func(context.Context, []orders.Event) error { return nil })
	if n != 2 || err != nil {
		t.Errorf("Relay after two orders were confirmed = %d, %v, want 2", n, err)
	}
}

// One write that is refused is no loss to those that share its transaction.
func TestRefusedWrite(t *testing.T) {
	t.Parallel()
	s := openOrders(t, hangartest.Postgres(t))
	var inserting sync.WaitGroup
	for i := range 30 { // each is made again alone, and has a call's patience for that
		inserting.Go(func() {
			o := newOrder("a")
			bad := i%10 == 3
			if bad {
				o.Details[0].Quantity = hangar.MaxQuantity + 1
			}
			_, err := s.Insert(t.Context(), o, nil)
			if code := hangar.CodeOf(err); bad && code != hangar.Unexpected || !bad && err != nil {
				t.Errorf("Insert of %d pieces beside others: %v with code %q", o.Details[0].Quantity, err, code)
			}
		})
	}
	inserting.Wait()
	if n := len(byHold(t, s)); n != 27 {
		t.Errorf("orders after 27 Inserts and 3 that were refused: %d", n)
	}
}

// byHold returns the ids of all orders by their hold.
func byHold(t testing.TB, s orders.Store) map[string][]int64 {
	t.Helper()
	holds := map[string][]int64{}
	for after := int64(0); ; {
		list, err := s.List(t.Context(), hangar.OrderQuery{After: after, Limit: 1000})
		if err != nil {
			t.Fatalf("List: %v", err)
		}
		if len(list) == 0 {
			return holds
		}
		for _, o := range list {
			after = o.ID
			holds[o.Hold] = append(holds[o.Hold], o.ID)
		}
	}
}

// The first call's transaction is still about to commit when the second comes.
func TestInsertWaitsForItsFirstCall(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	p := startProxy(t, url)
	s := openOrders(t, p.url+"&pool_max_conns=1")
	<-s.Added()                                                          // that the connection that listens is there
	if _, err := s.Insert(t.Context(), newOrder("a"), nil); err != nil { // the connection learns the statement
		t.Fatal(err)
	}
	first, watch := connect(t, url), connect(t, url)
	for _, end := range []string{"COMMIT", "ROLLBACK"} {
		o := newOrder("a")
		execute(t, first, "BEGIN")
		execute(t, first, fmt.Sprintf(`WITH o AS (
			INSERT INTO orders (status, hold, change, created_at, updated_at) VALUES ('pending', '%s', '{"kind":"create"}', now(), now()) RETURNING id)
			INSERT INTO order_details (order_id, product_id, price, quantity, created_at, updated_at)
			SELECT id, 'a', 100000.99, 1, now(), now() FROM o`, o.Hold))
		before := p.trips.Load()
		var inserting sync.WaitGroup
		inserting.Go(func() {
			if _, err := s.Insert(t.Context(), o, nil); err != nil {
				t.Errorf("Insert beside a transaction that ends with %s: %v", end, err)
			}
		})
		// The first call does not wait for so long: when the second is sent, it has ended.
		waitFor(t, "Insert to be made again", func() bool { return p.trips.Load() >= before+2 })
		waitFor(t, "Insert to wait", func() bool {
			var waiting bool
			err := watch.QueryRow(t.Context(), `SELECT count(*) > 0 FROM pg_stat_activity
				WHERE wait_event = 'transactionid' AND datname = current_database()`).Scan(&waiting)
			return waiting && err == nil
		})
		execute(t, first, end)
		inserting.Wait()
		if ids := byHold(t, s)[o.Hold]; len(ids) != 1 {
			t.Errorf("orders with one hold after %s: %v, want one", end, ids)
		}
	}
}

// A server that is killed under load loses nothing that was answered, and
// doubles nothing.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	server := hangartest.StartPostgres(t)
	s := openOrders(t, server.URL)
	load := startLoad(t, s)
	for range 3 {
		load.waitForMore(50)
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	load.waitForMore(50)
	load.end()
	load.check(s)
}

func TestBackendsAreTerminated(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	s := openOrders(t, url)
	load := startLoad(t, s)
	conn := connect(t, url)
	for range 10 {
		load.waitForMore(50)
		execute(t, conn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid != pg_backend_pid()")
	}
	load.waitForMore(50)
	load.end()
	load.check(s)
	// The connection that listens is there again, too.
	other := openOrders(t, url)
	waitFor(t, "a hint of another process", func() bool {
		confirmed(t, other, newOrder("a"))
		select {
		case <-s.Added():
			return true
		default:
			return false
		}
	})
}

// load inserts orders with keys from many sides.
type load struct {
	t     *testing.T
	store orders.Store
	stop  chan struct{}
	sides sync.WaitGroup

	mu       sync.Mutex
	answered map[string]int64 // ids by hold
	unknown  map[string]bool  // holds
}

func startLoad(t *testing.T, s orders.Store) *load {
	l := &load{t: t, store: s, stop: make(chan struct{}), answered: map[string]int64{}, unknown: map[string]bool{}}
	for range 16 {
		l.sides.Go(func() {
			for {
				select {
				case <-l.stop:
					return
				default:
					l.insert()
				}
			}
		})
	}
	return l
}

func (l *load) insert() {
	o := newOrder("a", "b")
	stored, err := l.store.Insert(l.t.Context(), o, &orders.Key{Key: "key " + o.Hold, BodyHash: []byte("hash")})
	l.mu.Lock()
	defer l.mu.Unlock()
	switch hangar.CodeOf(err) {
	case "":
		l.answered[o.Hold] = stored.ID
	case hangar.Unavailable:
		l.unknown[o.Hold] = true
	default:
		l.t.Errorf("Insert while the server is lost: %v, want success or UNAVAILABLE", err)
	}
}

// waitForMore waits until n more inserts are answered.
func (l *load) waitForMore(n int) {
	l.t.Helper()
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(l.answered)
	}
	before := count()
	waitFor(l.t, fmt.Sprintf("%d more inserts after %d", n, before), func() bool { return count() >= before+n })
}

// end stops the load.
func (l *load) end() {
	close(l.stop)
	l.sides.Wait()
}

// check wants each insert stored once, after the load's end.
func (l *load) check(s orders.Store) {
	l.t.Helper()
	holds := byHold(l.t, s)
	for hold, id := range l.answered {
		if ids := holds[hold]; len(ids) != 1 || ids[0] != id {
			l.t.Errorf("an Insert was answered with order %d, and made %v", id, ids)
		}
	}
	for hold, ids := range holds {
		if _, answered := l.answered[hold]; !answered && !l.unknown[hold] || len(ids) != 1 {
			l.t.Errorf("orders %v of one hold: answered %v, unknown %v", ids, answered, l.unknown[hold])
		}
	}
}

func TestExhaustedPool(t *testing.T) {
	t.Parallel()
	s := openOrders(t, hangartest.Postgres(t)+"?pool_max_conns=1")
	stored := confirmed(t, s, newOrder("a"))
	_, err := s.Relay(t.Context(), 10, func(context.Context, []orders.Event) error {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, orderErr := s.Order(ctx, stored.ID)
		_, listErr := s.List(ctx, hangar.OrderQuery{Limit: 10})
		_, keyErr := s.Key(ctx, "k")
		_, insertErr := s.Insert(ctx, newOrder("a"), nil)
		_, settleErr := s.Settle(ctx, stored.ID, 1, orders.Settlement{Delete: true})
		_, relayErr := s.Relay(ctx, 10, nil)
		_, statisticsErr := s.OutboxStatistics(ctx)
		_, parkedErr := s.Parked(ctx, 0, 10)
		_, unparkErr := s.Unpark(ctx, 1)
		for name, err := range map[string]error{
			"Order": orderErr, "List": listErr, "Key": keyErr, "Insert": insertErr, "Settle": settleErr, "Relay": relayErr,
			"OutboxStatistics": statisticsErr, "Parked": parkedErr, "Unpark": unparkErr,
			"Begin": s.Begin(ctx, stored.ID, 1, orders.Change{Kind: orders.Cancel}), "SweepKeys": s.SweepKeys(ctx, time.Now()),
		} {
			if hangar.CodeOf(err) != hangar.Unavailable {
				t.Errorf("%s without a free connection: %v, want UNAVAILABLE", name, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("Relay: %v", err)
	}
	if _, err := s.Order(t.Context(), stored.ID); err != nil {
		t.Errorf("Order with a free connection: %v", err)
	}
}

// One order that somebody keeps locked holds up nobody else.
func TestLockedOrder(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	s := openOrders(t, url)
	locked, err := s.Insert(t.Context(), newOrder("a"), nil)
	if err != nil {
		t.Fatal(err)
	}
	other := connect(t, url)
	execute(t, other, "BEGIN; UPDATE orders SET updated_at = now()")
	var settling sync.WaitGroup
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 10 {
		settling.Go(func() {
			_, err := s.Settle(ctx, locked.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: &orders.Event{Type: "t", Payload: []byte("{}")}})
			if hangar.CodeOf(err) != hangar.Unavailable {
				t.Errorf("Settle of an order that stays locked: %v, want UNAVAILABLE", err)
			}
		})
	}
	for range 100 {
		confirmed(t, s, newOrder("a"))
	}
	cancel()
	settling.Wait()
	execute(t, other, "ROLLBACK")
}

func TestPing(t *testing.T) {
	t.Parallel()
	p := startProxy(t, hangartest.Postgres(t))
	s := openOrders(t, p.url)
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v, want no error", err)
	}
	if c := s.Connections(); c.Most != 16 || c.Idle < 1 || c.Used+c.Opening > 1 { // one may tell the others of events
		t.Errorf("connections that nobody uses: %+v, want idle ones, 16 at most", c)
	}
	p.late.Store(int64(time.Second))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Ping of a late database: %v, want the end of its context", err)
	}
	p.late.Store(0)
}

func TestClosedStore(t *testing.T) {
	t.Parallel()
	url, ctx := hangartest.Postgres(t), t.Context()
	s, err := postgres.OpenOrders(ctx, url, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	load := startLoad(t, s)
	load.waitForMore(50)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	_, insertErr := s.Insert(ctx, newOrder("a"), nil)
	_, settleErr := s.Settle(ctx, 1, 1, orders.Settlement{})
	_, orderErr := s.Order(ctx, 1)
	_, relayErr := s.Relay(ctx, 1, nil)
	_, statisticsErr := s.OutboxStatistics(ctx)
	_, parkedErr := s.Parked(ctx, 0, 10)
	_, unparkErr := s.Unpark(ctx, 1)
	for name, err := range map[string]error{
		"Insert": insertErr, "Settle": settleErr, "Order": orderErr, "Relay": relayErr,
		"OutboxStatistics": statisticsErr, "Parked": parkedErr, "Unpark": unparkErr,
		"Begin": s.Begin(ctx, 1, 1, orders.Change{}), "SweepKeys": s.SweepKeys(ctx, time.Now()),
	} {
		if code := hangar.CodeOf(err); code != hangar.Unavailable {
			t.Errorf("%s of a closed store: %v with code %q, want UNAVAILABLE", name, err, code)
		}
	}
	load.end()
	load.check(openOrders(t, url))
}
