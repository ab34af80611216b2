package sqlite

import (
	"context"
	"errors"

	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	lowlevel "zombiezen.com/go/sqlite"

	"hangar"
	"hangar/tracing"
)

// beginWriteSpan begins the span of a write: from when it waits until it is
// durable.
func beginWriteSpan(ctx context.Context) trace.Span {
	_, span := tracing.Child(ctx, trace.SpanKindClient, "transaction")
	if span.IsRecording() {
		span.SetAttributes(semconv.DBSystemNameSQLite)
	}
	return span
}

// noteStatement adds a statement to the span of the write that it is of.
func (t *tx) noteStatement(query string) {
	if t.span != nil && t.span.IsRecording() {
		t.span.AddEvent(tracing.Summary(query))
	}
}

// kindOf names an error by its code, "" for none. What has a code of hangar's was
// found out, and is no failure.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*hangar.Error](err); ok && e.Code != hangar.Unavailable {
		return ""
	}
	return lowlevel.ErrCode(err).String()
}
