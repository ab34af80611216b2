package console_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"

	"hangar"
	"hangar/gateway/console"
)

// watched is what a live page watches: metrics that the test moves, and services
// that answer what it says.
type watched struct {
	*metrics
	handler  http.Handler
	gathered atomic.Int64

	mu        sync.Mutex
	outbox    hangar.OutboxStatistics
	outboxErr error
	stock     hangar.StockStatistics
	stockErr  error
}

type watchedOrders struct {
	hangar.OrderService
	w *watched
}

func (o watchedOrders) OutboxStatistics(context.Context) (hangar.OutboxStatistics, error) {
	o.w.mu.Lock()
	defer o.w.mu.Unlock()
	return o.w.outbox, o.w.outboxErr
}

type watchedProducts struct {
	hangar.ProductService
	w *watched
}

func (p watchedProducts) StockStatistics(context.Context) (hangar.StockStatistics, error) {
	p.w.mu.Lock()
	defer p.w.mu.Unlock()
	return p.w.stock, p.w.stockErr
}

// Gather implements prometheus.Gatherer.
func (w *watched) Gather() ([]*dto.MetricFamily, error) {
	w.gathered.Add(1)
	return w.Registry.Gather()
}

func newWatched() *watched {
	w := &watched{metrics: newMetrics()}
	w.handler = console.New(console.Config{Orders: watchedOrders{w: w}, Products: watchedProducts{w: w}, Metrics: w})
	return w
}

// live is the data of the page. A figure that is not known is -1.
type live struct {
	Times  []float64
	Series map[string][]float64
	Routes []struct {
		Route             string
		Rate, Median, P95 float64
		P95s              []*float64
	}
	Unknown map[string]string
}

func (w *watched) ask(t *testing.T) live {
	t.Helper()
	r := httptest.NewRecorder()
	w.handler.ServeHTTP(r, httptest.NewRequestWithContext(t.Context(), "GET", "/console/live/data", nil))
	var written struct {
		live
		Series map[string][]*float64
	}
	if err := json.Unmarshal(r.Body.Bytes(), &written); err != nil || r.Code != 200 {
		t.Fatalf("the data is %d %s: %v", r.Code, r.Body, err)
	}
	written.live.Series = map[string][]float64{}
	for name, figures := range written.Series {
		for _, f := range figures {
			if f == nil {
				f = new(float64)
				*f = -1
			}
			written.live.Series[name] = append(written.live.Series[name], *f)
		}
	}
	return written.live
}

func (l live) wantSeries(t *testing.T, name string, want ...float64) {
	t.Helper()
	if diff := cmp.Diff(want, l.Series[name]); diff != "" {
		t.Errorf("series %s (-want +got):\n%s", name, diff)
	}
}

func (w *watched) requests(n int, route, code string) {
	w.metrics.requests.WithLabelValues(route, "GET", code).Add(float64(n))
}

func TestRatesAreOfTheTimeBetweenSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		w.requests(1000, "/products", "200")
		first := w.ask(t)
		first.wantSeries(t, "requests", -1)
		time.Sleep(time.Second)
		w.requests(30, "/products", "200")
		w.requests(4, "/orders/{id}", "404")
		w.requests(2, "/orders", "503")
		w.refused.WithLabelValues("busy").Add(7)
		w.requests(500, "/console/products", "200") // the console's own
		w.ask(t)
		time.Sleep(2 * time.Second)
		w.requests(10, "/products", "200")
		w.ask(t)
		time.Sleep(time.Minute) // nobody watches
		w.requests(10_000, "/products", "200")
		w.ask(t)
		time.Sleep(time.Second)
		got := w.ask(t)
		got.wantSeries(t, "requests", -1, 36, 5, -1, 0)
		got.wantSeries(t, "client_errors", -1, 4, 0, -1, 0)
		got.wantSeries(t, "server_errors", -1, 2, 0, -1, 0)
		got.wantSeries(t, "refused", -1, 7, 0, -1, 0)
		if span := got.Times[4] - got.Times[0]; span != 64 {
			t.Errorf("the times span %v s, want 64: %v", span, got.Times)
		}
	})
}

func TestViewersShareSamples(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		for range 200 { // of 5 viewers, 40 s
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() { w.ask(t) })
			}
			wg.Wait()
			time.Sleep(200 * time.Millisecond)
		}
		if n := w.gathered.Load(); n != 40 {
			t.Errorf("in 40 s for 5 viewers the metrics were gathered %d times, want 40", n)
		}
		time.Sleep(time.Hour)
		if n := w.gathered.Load(); n != 40 {
			t.Errorf("while nobody watched, the metrics were gathered %d times", n-40)
		}
		for range 300 {
			time.Sleep(time.Second)
			w.ask(t)
		}
		if n := len(w.ask(t).Times); n != 121 {
			t.Errorf("%d samples are kept, want those of two minutes", n)
		}
	})
}

func TestResponseTimesByRoute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		w.durations.WithLabelValues("/products", "GET").Observe(9) // long ago
		w.ask(t)
		time.Sleep(time.Second)
		for range 100 {
			w.durations.WithLabelValues("/products", "GET").Observe(0.02)
		}
		for range 50 {
			w.durations.WithLabelValues("/orders", "POST").Observe(60) // beyond the last bound, 10 s
		}
		w.durations.WithLabelValues("/console/orders", "GET").Observe(1)
		got := w.ask(t)
		if len(got.Routes) != 2 || got.Routes[0].Route != "GET /products" || got.Routes[1].Route != "POST /orders" {
			t.Fatalf("routes %+v, want GET /products, which is asked for more, and POST /orders", got.Routes)
		}
		// All 100 lie in the bucket from 10 to 25 ms, which is taken as filled evenly.
		want := []float64{100, 17.5, 24.25, 50, 10_000, 10_000}
		figures := []float64{}
		for _, r := range got.Routes {
			figures = append(figures, r.Rate, r.Median, r.P95)
		}
		if diff := cmp.Diff(want, figures); diff != "" {
			t.Errorf("rate, median and p95 of both (-want +got):\n%s", diff)
		}
		if line := got.Routes[0].P95s; len(line) != 2 || line[0] != nil || line[1] == nil || *line[1] != 24.25 {
			t.Errorf("the line of p95 is %v, want nothing and then 24.25", line)
		}
		for range 11 {
			time.Sleep(time.Second)
			w.ask(t)
		}
		if got := w.ask(t); len(got.Routes) != 0 {
			t.Errorf("routes that nobody has asked for in 10 s: %+v", got.Routes)
		}
	})
}

func TestHoldsOfSeveralInstances(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		say := func(instance string, holds, refusals int64) live {
			w.mu.Lock()
			w.stock = hangar.StockStatistics{Instance: instance, Holds: holds, Refusals: refusals}
			w.mu.Unlock()
			defer time.Sleep(time.Second)
			return w.ask(t)
		}
		say("a", 1000, 10)
		say("b", 50, 0)
		say("a", 1020, 12)      // 10 a second, and 1
		got := say("b", 56, 0)  // and 3 a second
		say("a", 1040, 12)      // still
		after := say("c", 7, 0) // b has become c
		got.wantSeries(t, "holds", -1, -1, 10, 13)
		got.wantSeries(t, "refusals", -1, -1, 1, 1)
		after.wantSeries(t, "holds", -1, -1, 10, 13, 13, 13)
		for range 16 {
			after = say("c", 7, 0)
		}
		if holds := after.Series["holds"]; holds[len(holds)-1] != 0 {
			t.Errorf("long after other instances answered, %v holds a second are shown, want 0", holds[len(holds)-1])
		}
		time.Sleep(time.Minute) // in which nobody watches
		after = say("c", 1007, 0)
		if holds := after.Series["holds"]; holds[len(holds)-1] != -1 {
			t.Errorf("after a minute in which nobody watched, %v holds a second are shown, want none", holds[len(holds)-1])
		}
	})
}

func TestWhatIsNotKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWatched()
		w.outbox = hangar.OutboxStatistics{Waiting: 12, Parked: 3}
		got := w.ask(t)
		got.wantSeries(t, "outbox", 12)
		got.wantSeries(t, "parked", 3)
		if len(got.Unknown) != 0 {
			t.Errorf("not known: %v, want all to be", got.Unknown)
		}
		w.outboxErr = hangar.Errorf(hangar.Unavailable, "The orders service is away.")
		w.stockErr = errors.New("secret")
		time.Sleep(time.Second)
		got = w.ask(t)
		got.wantSeries(t, "outbox", 12, -1)
		if got.Unknown["outbox"] != "Not known: The orders service is away." {
			t.Errorf("of the outbox it says %q, want why it is not known", got.Unknown["outbox"])
		}
		if want := "Not known: Something went wrong here. The log has the cause under this answer's X-Request-Id."; got.Unknown["holds"] != want {
			t.Errorf("of the holds it says %q, want %q", got.Unknown["holds"], want)
		}
	})
}
