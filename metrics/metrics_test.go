package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"hangar"
	"hangar/gateway"
	"hangar/metrics"
	"hangar/nameko"
	"hangar/orders"
)

var (
	_ gateway.Meter = (*metrics.Requests)(nil)
	_ nameko.Meter  = (*metrics.Calls)(nil)
)

// scraped returns what a scrape has of the metrics whose names begin so, without
// those of durations but their count.
func scraped(t *testing.T, m *metrics.Metrics, prefixes ...string) map[string]string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	values := make(map[string]string)
	for line := range strings.Lines(w.Body.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		for _, prefix := range prefixes {
			if strings.HasPrefix(name, prefix) && !strings.Contains(name, "_bucket") && !strings.Contains(name, "_sum") {
				values[name] = value
			}
		}
	}
	return values
}

func wantScraped(t *testing.T, m *metrics.Metrics, want map[string]string, prefixes ...string) {
	t.Helper()
	if diff := cmp.Diff(want, scraped(t, m, prefixes...)); diff != "" {
		t.Errorf("a scrape (-want +got):\n%s", diff)
	}
}

func TestRequests(t *testing.T) {
	m := metrics.New("v1", "abc")
	r := m.Requests(7)
	for _, route := range []string{"/orders/{id}", "/orders/{id}", "/", "other"} {
		r.RequestBegan()
		r.RequestEnded(route, "GET", 200, time.Millisecond)
	}
	for i := range 5000 { // whatever clients send, the number of series has a bound
		r.RequestBegan()
		r.RequestEnded("/orders/{id}", fmt.Sprintf("BREW%d", i), 405, time.Millisecond)
	}
	r.RequestBegan()
	r.RequestRefused()
	wantScraped(t, m, map[string]string{
		`hangar_http_requests_total{code="200",method="GET",route="/orders/{id}"}`:        "2",
		`hangar_http_requests_total{code="200",method="GET",route="/"}`:                   "1",
		`hangar_http_requests_total{code="200",method="GET",route="other"}`:               "1",
		`hangar_http_requests_total{code="405",method="other",route="/orders/{id}"}`:      "5000",
		`hangar_http_request_duration_seconds_count{method="GET",route="/orders/{id}"}`:   "2",
		`hangar_http_request_duration_seconds_count{method="GET",route="/"}`:              "1",
		`hangar_http_request_duration_seconds_count{method="GET",route="other"}`:          "1",
		`hangar_http_request_duration_seconds_count{method="other",route="/orders/{id}"}`: "5000",
		`hangar_http_requests_in_flight`:                                                  "1",
		`hangar_http_requests_limit`:                                                      "7",
		`hangar_http_requests_refused_total{reason="busy"}`:                               "1",
	}, "hangar_http")
}

// Should clients ever get something of theirs into a pattern, that has a bound too.
func TestNumberOfRoutesIsBounded(t *testing.T) {
	m := metrics.New("v1", "abc")
	r := m.Requests(7)
	for i := range 5000 {
		r.RequestEnded(fmt.Sprintf("/%d", i), "GET", 200, time.Millisecond)
	}
	if n := len(scraped(t, m, "hangar_http_requests_total")); n != 1001 {
		t.Errorf("%d series, want 1,000 and one for the rest", n)
	}
}

func TestCalls(t *testing.T) {
	m := metrics.New("v1", "abc")
	c := m.Calls()
	c.CallServed("orders", "get_order", nameko.CallOK, time.Millisecond)
	c.CallServed("orders", "", nameko.CallRaised, time.Millisecond)
	c.CallServed("orders", "get_order", nameko.CallRefused, time.Millisecond)
	c.CallServed("orders", "get_order", nameko.CallExpired, time.Millisecond)
	c.CallMade("products", "get", nameko.CallNoBroker, time.Millisecond)
	wantScraped(t, m, map[string]string{
		`hangar_rpc_server_calls_total{method="get_order",outcome="refused",service="orders"}`: "1",
		`hangar_rpc_server_calls_total{method="get_order",outcome="expired",service="orders"}`: "1",
		`hangar_rpc_server_calls_total{method="get_order",outcome="ok",service="orders"}`:      "1",
		`hangar_rpc_server_calls_total{method="other",outcome="raised",service="orders"}`:      "1",
		`hangar_rpc_server_call_duration_seconds_count{method="get_order",service="orders"}`:   "1",
		`hangar_rpc_server_call_duration_seconds_count{method="other",service="orders"}`:       "1",
		`hangar_rpc_client_calls_total{method="get",outcome="no_broker",service="products"}`:   "1",
		`hangar_rpc_client_call_duration_seconds_count{method="get",service="products"}`:       "1",
	}, "hangar_rpc")
}

// stockFunc is a stock that answers as it is told.
type stockFunc func() error

func (f stockFunc) Hold(context.Context, hangar.Hold) error { return f() }

func TestHolds(t *testing.T) {
	m := metrics.New("v1", "abc")
	s := m.Stock()
	for _, err := range []error{nil, hangar.Errorf(hangar.OutOfStock, ""), hangar.NewProductNotFound("a"), hangar.Errorf(hangar.Conflict, ""),
		hangar.NewValidationError(nil), hangar.Errorf(hangar.Unavailable, ""), errors.New("broken")} {
		stock := s.Counting(stockFunc(func() error { return err }))
		for _, h := range []hangar.Hold{{ID: "h", Quantities: map[string]int64{"a": 1}}, {ID: "h"}} {
			if got := stock.Hold(t.Context(), h); got != err {
				t.Errorf("Hold: %v, want %v", got, err)
			}
		}
	}
	wantScraped(t, m, map[string]string{
		`hangar_stock_holds_total{outcome="held"}`:              "1",
		`hangar_stock_holds_total{outcome="out_of_stock"}`:      "1",
		`hangar_stock_holds_total{outcome="product_not_found"}`: "1",
		`hangar_stock_holds_total{outcome="overtaken"}`:         "1",
		`hangar_stock_holds_total{outcome="invalid"}`:           "1",
		`hangar_stock_holds_total{outcome="failed"}`:            "2",
	}, "hangar_stock")
}

func TestOrders(t *testing.T) {
	m := metrics.New("v1", "abc")
	o := m.Orders()
	o.OrderCreated()
	o.OrderRefused(hangar.OutOfStock)
	o.OrderRefused("OF_A_LATER_VERSION")
	o.OrderRecovered(nil)
	o.OrderRecovered(errors.New("broken"))
	wantScraped(t, m, map[string]string{
		`hangar_orders_created_total`:                        "1",
		`hangar_orders_refused_total{reason="OUT_OF_STOCK"}`: "1",
		`hangar_orders_refused_total{reason="UNAVAILABLE"}`:  "0",
		`hangar_orders_refused_total{reason="other"}`:        "1",
		`hangar_recovery_orders_total{outcome="settled"}`:    "1",
		`hangar_recovery_orders_total{outcome="failed"}`:     "1",
	}, "hangar_orders", "hangar_recovery")
}

// eventsFunc is a handler of events.
type eventsFunc func() error

func (f eventsFunc) HandleOrderCreated(context.Context, hangar.OrderCreated) error { return f() }

func TestEvents(t *testing.T) {
	m := metrics.New("v1", "abc")
	broken := errors.New("broken")
	var outcome error
	publish := m.Publishing(func(context.Context, []orders.Event) error { return outcome })
	events := []orders.Event{{ID: 1, Type: hangar.OrderCreatedEvent}, {ID: 2, Type: "nobody's"}}
	for _, outcome = range []error{nil, broken, orders.BadEvents{{ID: 2, Err: broken}}} {
		if got := publish(t.Context(), events); fmt.Sprint(got) != fmt.Sprint(outcome) {
			t.Errorf("publish: %v, want %v", got, outcome)
		}
	}
	handler := m.Handling(eventsFunc(func() error { return outcome }))
	for _, outcome = range []error{nil, nil, broken} {
		if got := handler.HandleOrderCreated(t.Context(), hangar.OrderCreated{}); got != outcome {
			t.Errorf("HandleOrderCreated: %v, want %v", got, outcome)
		}
	}
	wantScraped(t, m, map[string]string{
		`hangar_events_published_total{event="order_created",outcome="ok"}`:       "1",
		`hangar_events_published_total{event="order_created",outcome="failed"}`:   "2",
		`hangar_events_published_total{event="order_created",outcome="unusable"}`: "0",
		`hangar_events_published_total{event="other",outcome="ok"}`:               "1",
		`hangar_events_published_total{event="other",outcome="failed"}`:           "1",
		`hangar_events_published_total{event="other",outcome="unusable"}`:         "1",
		`hangar_events_handled_total{event="order_created",outcome="ok"}`:         "2",
		`hangar_events_handled_total{event="order_created",outcome="failed"}`:     "1",
	}, "hangar_events")
}

// In a bubble of time a scrape waits for its questions as long as they take.
func TestReadings(t *testing.T) { synctest.Test(t, testReadings) }

func testReadings(t *testing.T) {
	m := metrics.New("v1", "abc")
	m.ReadServers(func() []metrics.Server {
		return []metrics.Server{{Service: "orders", Workers: 4, Running: 3, Waiting: 2, Prefetch: 16}}
	})
	m.ReadQueues(func(context.Context) (map[string]int, error) { return map[string]int{"rpc-orders": 5}, nil })
	m.ReadPeers(func() []metrics.Peer {
		return []metrics.Peer{{Service: "products", CutOff: true, Refused: 6, Retries: 7, Unretried: 8}}
	})
	m.ReadOutbox(func(context.Context) (hangar.OutboxStatistics, error) {
		return hangar.OutboxStatistics{Waiting: 9, Oldest: 1500 * time.Millisecond, Parked: 10}, nil
	})
	waiting := 11
	m.ReadConnections(func() []metrics.Connections {
		return []metrics.Connections{{Store: "orders", States: map[string]int{"used": 1, "idle": 2}, Limit: 16, Waiting: &waiting}, {Store: "other", Limit: 1}}
	})
	yes := true
	m.ReadUp(func() metrics.Up {
		return metrics.Up{Stores: map[string]bool{"orders": true, "products": false}, Peers: map[string]bool{"products": false}, Broker: &yes}
	})
	m.ReadCaches(func() []metrics.Cache {
		return []metrics.Cache{{Name: "orders", Hits: 4, Misses: 3, Loads: 2, Refused: 1}}
	})
	wantScraped(t, m, map[string]string{
		`hangar_rpc_server_workers{service="orders"}`:                               "4",
		`hangar_rpc_server_calls_in_flight{service="orders"}`:                       "3",
		`hangar_rpc_server_calls_waiting{service="orders"}`:                         "2",
		`hangar_rpc_prefetch{service="orders"}`:                                     "16",
		`hangar_rpc_queue_messages{queue="rpc-orders"}`:                             "5",
		`hangar_rpc_client_cut_off{service="products"}`:                             "1",
		`hangar_rpc_client_refused_total{reason="cut_off",service="products"}`:      "6",
		`hangar_rpc_client_refused_total{reason="retry_budget",service="products"}`: "8",
		`hangar_rpc_client_retries_total{service="products"}`:                       "7",
		`hangar_outbox_events`:                                                      "9",
		`hangar_outbox_oldest_event_age_seconds`:                                    "1.5",
		`hangar_outbox_parked_events`:                                               "10",
		`hangar_store_connections{state="used",store="orders"}`:                     "1",
		`hangar_store_connections{state="idle",store="orders"}`:                     "2",
		`hangar_store_connections_limit{store="orders"}`:                            "16",
		`hangar_store_connections_limit{store="other"}`:                             "1",
		`hangar_store_writes_waiting{store="orders"}`:                               "11",
		`hangar_store_up{store="orders"}`:                                           "1",
		`hangar_store_up{store="products"}`:                                         "0",
		`hangar_broker_up`:                                                          "1",
		`hangar_rpc_peer_up{service="products"}`:                                    "0",
		`hangar_cache_reads_total{cache="orders",outcome="hit"}`:                    "4",
		`hangar_cache_reads_total{cache="orders",outcome="miss"}`:                   "3",
		`hangar_cache_loads_total{cache="orders"}`:                                  "2",
		`hangar_cache_loads_refused_total{cache="orders"}`:                          "1",
	}, "hangar_rpc", "hangar_outbox", "hangar_store", "hangar_broker", "hangar_cache")
}

// What Prometheus' own linter says of names, units and help texts.
func TestLint(t *testing.T) {
	m := metrics.New("v1", "abc")
	exerciseAll(t, m)
	problems, err := testutil.GatherAndLint(m.Gatherer())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// exerciseAll makes every metric have a value.
func exerciseAll(t *testing.T, m *metrics.Metrics) {
	t.Helper()
	r := m.Requests(1)
	r.RequestBegan()
	r.RequestEnded("/", "GET", 200, time.Second)
	c := m.Calls()
	c.CallServed("s", "m", "ok", time.Second)
	c.CallMade("s", "m", "ok", time.Second)
	m.Stock()
	m.Orders()
	m.Publishing(nil)
	m.Handling(nil)
	m.ReadServers(func() []metrics.Server { return make([]metrics.Server, 1) })
	m.ReadQueues(func(context.Context) (map[string]int, error) { return map[string]int{"": 1}, nil })
	m.ReadPeers(func() []metrics.Peer { return make([]metrics.Peer, 1) })
	m.ReadOutbox(func(context.Context) (o hangar.OutboxStatistics, err error) { return o, nil })
	m.ReadConnections(func() []metrics.Connections {
		return []metrics.Connections{{States: map[string]int{"used": 1}, Waiting: new(int)}}
	})
	m.ReadUp(func() metrics.Up {
		return metrics.Up{Stores: map[string]bool{"": true}, Peers: map[string]bool{"": true}, Broker: new(bool)}
	})
	m.ReadCaches(func() []metrics.Cache { return make([]metrics.Cache, 1) })
}

// A scrape neither hangs with what it asks nor asks too often.
func TestAskingIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := metrics.New("v1", "abc")
		var asked atomic.Int64
		goOn := make(chan struct{})
		close(goOn)
		m.ReadOutbox(func(context.Context) (hangar.OutboxStatistics, error) {
			value := asked.Add(1)
			<-goOn // even if its context is done before
			return hangar.OutboxStatistics{Waiting: value}, nil
		})
		outbox := func() string { return scraped(t, m, "hangar_outbox_events")["hangar_outbox_events"] }
		want := func(when, value string, asks int64) {
			t.Helper()
			if got := outbox(); got != value || asked.Load() != asks {
				t.Errorf("%s: %q after %d questions, want %q after %d", when, got, asked.Load(), value, asks)
			}
		}
		want("at first", "1", 1)
		want("at once again", "1", 1)
		time.Sleep(time.Second)
		want("a second later", "2", 2)
		time.Sleep(time.Second)
		goOn = make(chan struct{})
		began := time.Now()
		want("while it hangs", "", 3)
		if took := time.Since(began); took > 500*time.Millisecond { // of the bubble's clock, which is exact
			t.Errorf("a scrape took %v while the store hung, want half a second", took)
		}
		want("while it still hangs", "", 3)
		close(goOn)
		synctest.Wait()
		want("when it has answered", "3", 3)
	})
}

func TestBuildInfo(t *testing.T) {
	got := scraped(t, metrics.New("v1", "abc"), "hangar_build_info", "go_goroutines", "process_start_time_seconds")
	if len(got) != 3 {
		t.Errorf("a scrape has %v, want what was built, and Go's and the process's metrics", got)
	}
	for name := range got {
		if strings.HasPrefix(name, "hangar_build_info") && (!strings.Contains(name, `version="v1"`) || !strings.Contains(name, `revision="abc"`)) {
			t.Errorf("a scrape has %s, want v1 and abc", name)
		}
	}
}

func BenchmarkRequestEnded(b *testing.B) {
	r := metrics.New("v1", "abc").Requests(100)
	b.ReportAllocs()
	for b.Loop() {
		r.RequestBegan()
		r.RequestEnded("/orders/{id}", "GET", 200, time.Millisecond)
	}
}

func BenchmarkCallServed(b *testing.B) {
	c := metrics.New("v1", "abc").Calls()
	b.ReportAllocs()
	for b.Loop() {
		c.CallServed("orders", "get_order", nameko.CallOK, time.Millisecond)
	}
}

func BenchmarkScrape(b *testing.B) {
	m := metrics.New("v1", "abc")
	handler := m.Handler()
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		_, _ = io.Copy(io.Discard, w.Body)
	}
}
