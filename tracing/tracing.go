// Package tracing is what the parts of hangar have in common that tell traces
// what they do, by OpenTelemetry's API; package otlp sends them.
//
// Only what takes something in begins a trace or goes on with one: the gateway,
// and servers of calls and events. All others add to the span in their context,
// and need no configuration: where traces are off there is none, and Child costs
// a look at the context. A span has neither values of what it is about nor the
// text of an error: the log has that, under the trace's id.
package tracing

import (
	"context"

	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// scope is the name that spans are made under.
const scope = "hangar"

// Tracer returns what begins spans, nil if the provider is nil: then traces are
// off.
func Tracer(p trace.TracerProvider) trace.Tracer {
	if p == nil {
		return nil
	}
	return p.Tracer(scope, trace.WithSchemaURL(semconv.SchemaURL))
}

// Child begins a span of what is done for the one in ctx. If there is none that
// is recorded, nothing is, and the span that it returns takes everything.
func Child(ctx context.Context, kind trace.SpanKind, name string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, parent
	}
	return Tracer(parent.TracerProvider()).Start(ctx, name, trace.WithSpanKind(kind))
}

// End ends a span. What kind of an error it was, "" for none, is its status.
func End(span trace.Span, kind string) {
	if !span.IsRecording() {
		return
	}
	if kind != "" {
		span.SetAttributes(semconv.ErrorTypeKey.String(kind))
		span.SetStatus(codes.Error, kind)
	}
	span.End()
}

// ID returns the id of the trace that ctx is part of, "" for none.
func ID(ctx context.Context) string {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.HasTraceID() {
		return ""
	}
	return sc.TraceID().String()
}

// Carrier is where the two members of W3C Trace Context are carried,
// https://www.w3.org/TR/trace-context/.
type Carrier = propagation.TextMapCarrier

// Inject writes where ctx is in its trace, and nothing if it is in none.
func Inject(ctx context.Context, to Carrier) { propagation.TraceContext{}.Inject(ctx, to) }

// Extract returns a context that goes on with the trace that was carried. What
// is malformed is passed over.
func Extract(ctx context.Context, from Carrier) context.Context {
	return propagation.TraceContext{}.Extract(ctx, from)
}
