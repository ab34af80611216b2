package main

import (
	"bufio"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

const (
	givenTrace  = "0af7651916cd43dd8448eb211c80319c"
	givenParent = "b7ad6b7169203331"
)

// receivedSpan is a span with the name of the service that sent it.
type receivedSpan struct {
	*tracepb.Span
	service string
}

// receiver is a collector of traces.
type receiver struct {
	environment // of the processes that send to it

	mu    sync.Mutex
	spans []receivedSpan
}

// receiveTraces starts a collector, which this process sends its traces to.
func receiveTraces(t *testing.T) *receiver {
	t.Helper()
	r := new(receiver)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		var message collector.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &message)
		}
		if err != nil || req.URL.Path != "/v1/traces" {
			t.Errorf("%s %s: %v", req.Method, req.URL, err)
		}
		r.add(&message)
	}))
	t.Cleanup(server.Close)
	r.environment = environment{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_BSP_SCHEDULE_DELAY": "50"}
	for name, value := range r.environment {
		t.Setenv(name, value) // the exporter reads it there
	}
	return r
}

func (r *receiver) add(message *collector.ExportTraceServiceRequest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range message.ResourceSpans {
		service := ""
		for _, a := range resource.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.GetStringValue()
			}
		}
		for _, scope := range resource.ScopeSpans {
			for _, span := range scope.Spans {
				r.spans = append(r.spans, receivedSpan{span, service})
			}
		}
	}
}

// of returns the spans of a trace.
func (r *receiver) of(trace string) (spans []receivedSpan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.spans {
		if hex.EncodeToString(s.TraceId) == trace {
			spans = append(spans, s)
		}
	}
	return spans
}

// ways returns, for each span, the names of it and of all above it.
func ways(spans []receivedSpan) []string {
	byID := make(map[string]receivedSpan)
	for _, s := range spans {
		byID[string(s.SpanId)] = s
	}
	var ways []string
	for _, s := range spans {
		way := s.service + " " + s.Name
		parent := string(s.ParentSpanId)
		for above, known := byID[parent]; known; above, known = byID[parent] {
			way = above.service + " " + above.Name + " > " + way
			parent = string(above.ParentSpanId)
		}
		if hex.EncodeToString([]byte(parent)) != givenParent {
			way = "an unknown parent > " + way
		}
		ways = append(ways, way)
	}
	slices.Sort(ways)
	return ways
}

// order makes a product and orders it, in the trace that is given. It does so
// until an order is taken.
func orderInTrace(t *testing.T, gateway string) {
	t.Helper()
	product := `{"id": "x", "title": "X", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 10}`
	if status, answer := request(t, "POST", gateway+"/products", product); status != 200 {
		t.Fatalf("POST /products: %d %s", status, answer)
	}
	body := `{"order_details": [{"product_id": "x", "price": "1.50", "quantity": 2}]}`
	req, err := http.NewRequestWithContext(t.Context(), "POST", gateway+"/orders?secret=1", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true
	req.Header.Set("Traceparent", "00-"+givenTrace+"-"+givenParent+"-01")
	req.Header.Set("X-Request-Id", "the-request")
	req.Header.Set("Idempotency-Key", "secret")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("POST /orders: %d, want 200", resp.StatusCode)
	}
}

// wantWays waits for the spans of the given trace, and compares them.
func (r *receiver) wantWays(t *testing.T, want ...string) {
	t.Helper()
	waitFor(t, "the spans", func() bool { return len(r.of(givenTrace)) >= len(want) })
	spans := r.of(givenTrace)
	slices.Sort(want)
	if diff := cmp.Diff(want, ways(spans)); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	for _, s := range spans {
		for _, a := range s.Attributes {
			if strings.Contains(a.String(), "secret") {
				t.Errorf("the span %s has the attribute %s", s.Name, a)
			}
		}
		if s.Status.GetCode() == tracepb.Status_STATUS_CODE_ERROR {
			t.Errorf("the span %s has failed: %s", s.Name, s.Status)
		}
	}
}

func TestTraceOfOneProcess(t *testing.T) {
	r := receiveTraces(t)
	s, stdout := startServeIn(t, r.environment, "--data", t.TempDir())
	s.url, _ = readBanner(t, stdout)
	orderInTrace(t, s.url)
	const top = "hangar POST /orders"
	r.wantWays(t,
		top,
		top+" > hangar transaction",
		top+" > hangar process products.handle_order_created",
		top+" > hangar process products.handle_order_created > hangar SELECT holds", // it has been held
	)
	if code := s.stop(); code != 0 {
		t.Errorf("serve exited with %d: %s", code, s.stderr)
	}
	if !strings.Contains(s.stderr.String(), `"request_id":"the-request","trace_id":"`+givenTrace+`"`) {
		t.Errorf("the log has no line with the request and its trace:\n%s", s.stderr)
	}
}

// What ended just before the process does is sent.
func TestTracesAreSentAtTheEnd(t *testing.T) {
	r := receiveTraces(t)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "3600000")
	s, stdout := startServeIn(t, r.environment, "--data", t.TempDir())
	s.url, _ = readBanner(t, stdout)
	orderInTrace(t, s.url)
	if code := s.stop(); code != 0 {
		t.Errorf("serve exited with %d: %s", code, s.stderr)
	}
	if len(r.of(givenTrace)) == 0 {
		t.Error("no span was sent at the end")
	}
}

// A collector that is not there harms nothing.
func TestNoCollector(t *testing.T) {
	env := environment{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_BSP_SCHEDULE_DELAY": "1"}
	for name, value := range env {
		t.Setenv(name, value)
	}
	s, stdout := startServeIn(t, env, "--data", t.TempDir())
	s.url, _ = readBanner(t, stdout)
	for range 20 {
		orderInTrace(t, s.url)
	}
	if code := s.stop(); code != 0 {
		t.Errorf("serve exited with %d: %s", code, s.stderr)
	}
	if n := strings.Count(s.stderr.String(), "traces could not be sent"); n > 2 {
		t.Errorf("%d lines say that traces could not be sent, want one and one at the end:\n%s", n, s.stderr)
	}
}

func TestTraceOfAFleet(t *testing.T) {
	r := receiveTraces(t)
	f := newFleet(t)
	for _, service := range []string{"gateway", "orders", "products"} {
		args := []string{service, "--amqp", f.amqp, "--orders-db", f.orders, "--products-db", f.products}
		s, stdout := startServeIn(t, r.environment, args...)
		first, err := bufio.NewReader(stdout).ReadString('\n')
		if err != nil {
			t.Fatalf("serve %s exited with %d before it served: %s", service, s.stop(), s.stderr)
		}
		go io.Copy(io.Discard, stdout) // ends with the process
		s.url = strings.TrimSpace(strings.TrimPrefix(first, "hangar serves "))
		f.services[service] = s
	}
	f.waitUntilServed(t)
	orderInTrace(t, f.services["gateway"].url)
	const (
		create  = "hangar-gateway POST /orders > hangar-gateway orders.create_order > hangar-orders orders.create_order"
		hold    = create + " > hangar-orders products.hold"
		publish = create + " > hangar-orders publish orders.events"
		handle  = publish + " > hangar-products process products.handle_order_created"
	)
	r.wantWays(t,
		"hangar-gateway POST /orders",
		"hangar-gateway POST /orders > hangar-gateway orders.create_order",
		create,
		create+" > hangar-orders INSERT idempotency_keys INSERT orders INSERT order_details",
		hold,
		hold+" > hangar-products products.hold",
		hold+" > hangar-products products.hold > hangar-products hold",
		create+" > hangar-orders UPDATE orders INSERT outbox",
		publish,
		handle,
		handle+" > hangar-products hold",
	)
	for name, s := range f.services {
		s.stop()
		if !strings.Contains(s.stderr.String(), `"request_id":"the-request","trace_id":"`+givenTrace+`"`) {
			t.Errorf("the log of %s has no line with the request and its trace:\n%s", name, s.stderr)
		}
	}
}
