package tracing_test

import (
	"context"
	"testing"
	"time"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"hangar/tracing"
)

type requestKey struct{}

// With traces off, whatever reports to them allocates nothing.
func TestOffCostsNothing(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.WithValue(t.Context(), requestKey{}, "a"), time.Hour)
	defer cancel()
	carrier := propagation.MapCarrier{}
	for what, report := range map[string]func(){
		"Child": func() {
			_, span := tracing.Child(ctx, trace.SpanKindClient, "name")
			tracing.End(span, "kind")
		},
		"Query": func() {
			_, span := tracing.Query(ctx, semconv.DBSystemNameSQLite, "SELECT 1 FROM orders")
			tracing.End(span, "")
		},
		"Inject": func() { tracing.Inject(ctx, carrier) },
		"ID":     func() { _ = tracing.ID(ctx) },
	} {
		if n := testing.AllocsPerRun(100, report); n != 0 {
			t.Errorf("%s allocates %v times outside of a trace, want never", what, n)
		}
	}
	if len(carrier) > 0 {
		t.Errorf("outside of a trace %v is carried, want nothing", carrier)
	}
	if tracing.Tracer(nil) != nil {
		t.Error("without a provider there is a tracer, want none")
	}
}

func TestChildren(t *testing.T) {
	var spans tracetest.SpanRecorder
	provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&spans))
	ctx, root := tracing.Tracer(provider).Start(t.Context(), "root")
	_, child := tracing.Query(ctx, semconv.DBSystemNameSQLite, "UPDATE orders SET status = ?")
	tracing.End(child, "SQLITE_FULL")
	ended := spans.Ended()
	if len(ended) != 1 || ended[0].Parent().SpanID() != root.SpanContext().SpanID() || ended[0].Name() != "UPDATE orders" {
		t.Fatalf("ended: %v, want a child of the root that is named UPDATE orders", ended)
	}
	if s := ended[0].Status(); s.Code != codes.Error || s.Description != "SQLITE_FULL" {
		t.Errorf("status %v, want an error SQLITE_FULL", s)
	}

	unsampled := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(&spans), sdktrace.WithSampler(sdktrace.NeverSample()))
	ctx, root = tracing.Tracer(unsampled).Start(t.Context(), "root")
	tracing.Child(ctx, trace.SpanKindClient, "child")
	if n := len(spans.Started()); n != 2 {
		t.Errorf("%d spans were begun, want none of what is not sampled", n)
	}
	carrier := propagation.MapCarrier{}
	tracing.Inject(ctx, carrier)
	if want := "00-" + root.SpanContext().TraceID().String() + "-" + root.SpanContext().SpanID().String() + "-00"; carrier["traceparent"] != want {
		t.Errorf("carried: %v, want %s: others must not sample it either", carrier, want)
	}
}

func TestSummaries(t *testing.T) {
	for statement, want := range map[string]string{
		"SELECT id FROM orders o, LATERAL (SELECT id FROM order_details) d": "SELECT orders",
		"WITH o AS (UPDATE orders SET a = $1 RETURNING id), d AS (UPDATE order_details d SET b = 1 FROM o), " +
			"e AS (INSERT INTO outbox (type) SELECT $2 FROM o) SELECT id FROM o": "UPDATE orders UPDATE order_details INSERT outbox",
		"DELETE FROM outbox WHERE id = ANY($1)":                    "DELETE outbox",
		"SELECT id FROM outbox ORDER BY id FOR UPDATE SKIP LOCKED": "SELECT outbox",
		"begin": "begin",
		"":      "",
	} {
		if got := tracing.Summary(statement); got != want {
			t.Errorf("the summary of %q is %q, want %q", statement, got, want)
		}
	}
}
