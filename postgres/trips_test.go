package postgres_test

import (
	"context"
	"testing"

	"hangar"
	"hangar/hangartest"
	"hangar/orders"
)

// Each call is one round trip, once a connection knows the statement.
func TestRoundTrips(t *testing.T) {
	t.Parallel()
	p := startProxy(t, hangartest.Postgres(t))
	s := openOrders(t, p.url+"&pool_max_conns=1")
	ctx := t.Context()
	<-s.Added() // that the connection that listens is there
	inserted := func(key *orders.Key) orders.Stored {
		stored, err := s.Insert(ctx, newOrder("a", "b"), key)
		if err != nil {
			t.Fatalf("Insert: %v", err)
		}
		return stored
	}
	for _, test := range []struct {
		name string
		call func() func() error // prepares what is called
	}{
		{"Insert", func() func() error {
			o := newOrder("a", "b")
			return func() error {
				_, err := s.Insert(ctx, o, nil)
				return err
			}
		}},
		{"Insert with a key", func() func() error {
			o := newOrder("a", "b")
			return func() error {
				_, err := s.Insert(ctx, o, &orders.Key{Key: o.Hold, BodyHash: []byte("hash")})
				return err
			}
		}},
		{"Order", func() func() error {
			stored := inserted(nil)
			return func() error {
				_, err := s.Order(ctx, stored.ID)
				return err
			}
		}},
		{"List", func() func() error {
			return func() error {
				_, err := s.List(ctx, hangar.OrderQuery{Limit: 100})
				return err
			}
		}},
		{"Unsettled", func() func() error {
			return func() error {
				_, err := s.Unsettled(ctx, 0, 100)
				return err
			}
		}},
		{"Key", func() func() error {
			return func() error {
				_, err := s.Key(ctx, "k")
				return err
			}
		}},
		{"Settle of a refusal", func() func() error {
			stored := inserted(&orders.Key{Key: newOrder().Hold, BodyHash: []byte("hash")})
			return func() error {
				_, err := s.Settle(ctx, stored.ID, 1, orders.Settlement{Status: hangar.Rejected, Refusal: hangar.NewHeldProductNotFound("a")})
				return err
			}
		}},
		{"Begin", func() func() error {
			stored := inserted(nil)
			settle(t, s, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed})
			return func() error { return s.Begin(ctx, stored.ID, 1, orders.Change{Kind: orders.Cancel}) }
		}},
		{"Settle of an update", func() func() error {
			stored := inserted(nil)
			return func() error {
				_, err := s.Settle(ctx, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed, Details: stored.Details})
				return err
			}
		}},
		{"Settle of a deletion", func() func() error {
			stored := inserted(nil)
			return func() error {
				_, err := s.Settle(ctx, stored.ID, 1, orders.Settlement{Delete: true})
				return err
			}
		}},
	} {
		for n := range 3 {
			call := test.call()
			before := p.trips.Load()
			if err := call(); err != nil {
				t.Fatalf("%s: %v", test.name, err)
			}
			if trips := p.trips.Load() - before; trips != 1 && n > 0 {
				t.Errorf("%s, the time %d, took %d round trips, want 1", test.name, n+1, trips)
			}
		}
	}
	testTripsOfConfirming(t, p, s)
}

// Confirming an order is one round trip, too. After it, or after many, comes one
// that tells other processes. If that takes too long its connection is given up, and
// what another one costs is not the calls'.
func testTripsOfConfirming(t *testing.T, p *proxy, s orders.Store) {
	told := p.told.Load()
	waitFor(t, "orders to be confirmed over one connection", func() bool {
		conns := p.conns.Load()
		confirmed(t, s, newOrder("a")) // the connection learns the statements
		const count = 20
		var stored []orders.Stored
		for range count {
			o, err := s.Insert(t.Context(), newOrder("a"), nil)
			if err != nil {
				t.Fatal(err)
			}
			stored = append(stored, o)
		}
		before := p.trips.Load()
		for _, o := range stored {
			settle(t, s, o.ID, 1, orders.Settlement{Status: hangar.Confirmed, Event: &orders.Event{Type: "t", Payload: []byte("{}")}})
		}
		trips := p.trips.Load() - before
		if p.conns.Load() != conns {
			return false
		}
		if trips != count {
			t.Errorf("confirming %d orders took %d round trips, want as many", count, trips)
		}
		return true
	})
	waitFor(t, "other processes to be told", func() bool {
		confirmed(t, s, newOrder("a"))
		return p.told.Load() > told
	})
}

func TestOtherProcessesAreTold(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	here, there := openOrders(t, url), openOrders(t, url)
	<-there.Added() // that it listens
	<-here.Added()
	for range 3 {
		events := 0
		waitFor(t, "a hint at another process's events", func() bool { // of one it may be lost
			confirmed(t, here, newOrder("a"))
			events++
			select {
			case <-there.Added():
				return true
			default:
				return false
			}
		})
		n, err := there.Relay(t.Context(), events+1, func(context.Context, []orders.Event) error { return nil })
		if n != events || err != nil {
			t.Errorf("Relay of another process's %d events = %d, %v", events, n, err)
		}
	}
}

// While one process publishes, another passes over its events.
func TestRelaysOfManyProcesses(t *testing.T) {
	t.Parallel()
	url := hangartest.Postgres(t)
	here, there := openOrders(t, url), openOrders(t, url)
	confirmed(t, here, newOrder("a"))
	confirmed(t, here, newOrder("a"))
	relay := func(s orders.Store, limit, want int, meanwhile func()) {
		n, err := s.Relay(t.Context(), limit, func(context.Context, []orders.Event) error {
			meanwhile()
			return nil
		})
		if n != want || err != nil {
			t.Errorf("Relay = %d, %v, want %d", n, err, want)
		}
	}
	nothing := func() {}
	relay(here, 1, 1, func() {
		relay(there, 10, 1, nothing)
		relay(there, 10, 0, nothing)
	})
	relay(here, 10, 0, nothing)
}
