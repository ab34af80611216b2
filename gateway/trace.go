package gateway

import (
	"net/http"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"hangar"
	"hangar/tracing"
)

const traceparent = "Traceparent"

// join returns the request as part of the trace that it names, if any. With
// traces on it begins a span, of that trace or of a new one.
func (o *observer) join(r *http.Request) *http.Request {
	ctx := r.Context()
	if len(r.Header[traceparent]) == 1 { // as W3C Trace Context has it
		ctx = tracing.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	if o.tracer != nil {
		ctx, _ = o.tracer.Start(ctx, methodOf(r), trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			semconv.HTTPRequestMethodKey.String(methodOf(r)),
			semconv.URLPath(r.URL.Path),
			semconv.URLScheme("http"),
			semconv.NetworkProtocolVersion(strconv.Itoa(r.ProtoMajor)+"."+strconv.Itoa(r.ProtoMinor)),
		))
	}
	if ctx == r.Context() {
		return r
	}
	return r.WithContext(ctx)
}

// leave ends the span that join began.
func (o *observer) leave(r *http.Request, route string, rec *recorder) {
	span := trace.SpanFromContext(r.Context())
	if o.tracer == nil || !span.IsRecording() {
		return
	}
	if route != otherRoutes {
		span.SetName(methodOf(r) + " " + route)
		span.SetAttributes(semconv.HTTPRoute(route))
	}
	span.SetAttributes(attribute.String("hangar.request_id", rec.id))
	kind := ""
	switch {
	case rec.status == 0:
		kind = "given_up"
	case rec.status >= http.StatusInternalServerError:
		kind = string(hangar.CodeOf(rec.err))
	}
	if rec.status != 0 {
		span.SetAttributes(semconv.HTTPResponseStatusCode(rec.status))
	}
	tracing.End(span, kind)
}

// methodOf returns the request's method if there is such a one.
func methodOf(r *http.Request) string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return semconv.HTTPRequestMethodOther.Value.AsString()
}
