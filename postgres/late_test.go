package postgres_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hangar"
	"hangar/hangartest"
	"hangar/orders"
)

// With far more callers than a late database can serve, those that get their turn
// are answered, the others are told so, and no connection is lost by it: with such
// a database it could hardly be made again.
func TestLateDatabaseIsUsedAsFarAsItGoes(t *testing.T) {
	t.Parallel()
	const conns, callers, calls = 8, 64, 4
	p := startProxy(t, hangartest.Postgres(t))
	s := openOrders(t, p.url+"&pool_max_conns=8")
	known := confirmed(t, s, newOrder("a"))
	for _, test := range []struct {
		name string
		call func(context.Context) error
	}{
		{"Order", func(ctx context.Context) error {
			_, err := s.Order(ctx, known.ID)
			return err
		}},
		{"Insert and Settle", func(ctx context.Context) error {
			stored, err := s.Insert(ctx, newOrder("a"), nil)
			if err != nil {
				return err
			}
			_, err = s.Settle(ctx, stored.ID, 1, orders.Settlement{Status: hangar.Confirmed})
			return err
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p.late.Store(int64(200 * time.Millisecond))
			var (
				calling sync.WaitGroup
				good    atomic.Int64
			)
			for range callers {
				calling.Go(func() {
					for range calls {
						ctx, cancel := context.WithTimeout(t.Context(), time.Second)
						err := test.call(ctx)
						cancel()
						switch hangar.CodeOf(err) {
						case "":
							good.Add(1)
						case hangar.Unavailable:
						default:
							t.Errorf("%s of a late database: %v, want UNAVAILABLE", test.name, err)
						}
					}
				})
			}
			calling.Wait()
			p.late.Store(0)
			if good.Load() == 0 {
				t.Errorf("none of %d calls was answered by a late database, want some", callers*calls)
			}
			if n := p.conns.Load(); n > 2*conns {
				t.Errorf("%d connections were made to a late database, want few more than the %d that there may be", n, conns)
			}
			if err := test.call(t.Context()); err != nil {
				t.Errorf("%s when the database is not late any more: %v", test.name, err)
			}
			t.Logf("%d of %d calls were answered, over %d connections", good.Load(), callers*calls, p.conns.Load())
		})
	}
}
