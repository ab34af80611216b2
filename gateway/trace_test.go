package gateway_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"hangar/gateway"
)

// However a request ends, its span does.
func TestSpansEnd(t *testing.T) {
	var spans tracetest.SpanRecorder
	services := strictServices{t: t}
	handler := gateway.New(gateway.Config{
		Orders:   failingOrders{services},
		Products: services,
		Log:      slog.New(slog.DiscardHandler),
		Traces:   sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&spans)),
	})
	for _, test := range []struct{ method, path, name, failure string }{
		{"GET", "/products/the_odyssey", "GET /products/{id}", ""},
		{"GET", "/nowhere", "GET", ""},
		{"DELETE", "/orders/1", "DELETE /orders/{id}", "UNEXPECTED_ERROR"},
		{"POST", "/orders/1/cancel", "POST /orders/{id}/cancel", "given_up"},
	} {
		before := len(spans.Ended())
		func() {
			defer func() { _ = recover() }() // as a server does
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(test.method, test.path, http.NoBody))
		}()
		ended := spans.Ended()[before:]
		if len(ended) != 1 || ended[0].Name() != test.name || ended[0].Status().Description != test.failure {
			t.Errorf("%s %s: %d spans, the first is not %q with %q", test.method, test.path, len(ended), test.name, test.failure)
		}
	}
}
