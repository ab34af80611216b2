package postgres_test

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hangar"
	"hangar/hangartest"
	"hangar/orders"
)

// BenchmarkCreateOrder has 64 callers create orders of one line, while a relay
// empties the outbox.
func BenchmarkCreateOrder(b *testing.B) {
	s := openOrders(b, hangartest.Postgres(b))
	service := orders.NewService(s, endlessStock{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(b.Context())
	var relayed atomic.Int64
	relay := orders.NewRelay(s, func(_ context.Context, events []orders.Event) error {
		relayed.Add(int64(len(events)))
		return nil
	}, slog.New(slog.DiscardHandler))
	var running sync.WaitGroup
	running.Go(func() { _ = relay.Run(ctx) })
	n := hangar.NewOrder{Details: []hangar.OrderDetail{{ProductID: "the_odyssey", Price: 10000099, Quantity: 1}}}
	b.SetParallelism(64 / runtime.GOMAXPROCS(0))
	b.ReportAllocs()
	start := time.Now()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := service.CreateOrder(ctx, n); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "orders/s")
	waitFor(b, "the events", func() bool { return relayed.Load() >= int64(b.N) })
	b.ReportMetric(float64(relayed.Load())/time.Since(start).Seconds(), "events/s")
	cancel()
	running.Wait()
}

// endlessStock has enough of everything.
type endlessStock struct{}

func (endlessStock) Hold(context.Context, hangar.Hold) error { return nil }
