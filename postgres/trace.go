package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"hangar/tracing"
)

// tracer makes spans of statements that are executed for a span, and of no others.
type tracer struct{}

// TraceQueryStart implements pgx.QueryTracer.
func (tracer) TraceQueryStart(ctx context.Context, conn *pgx.Conn, data pgx.TraceQueryStartData) context.Context {
	ctx, span := tracing.Query(ctx, semconv.DBSystemNamePostgreSQL, data.SQL)
	if span.IsRecording() {
		describe(span, conn.Config())
	}
	return ctx
}

// TraceQueryEnd implements pgx.QueryTracer.
func (tracer) TraceQueryEnd(ctx context.Context, _ *pgx.Conn, data pgx.TraceQueryEndData) {
	tracing.End(trace.SpanFromContext(ctx), kindOf(data.Err))
}

// describe says which database it is.
func describe(span trace.Span, c *pgx.ConnConfig) {
	span.SetAttributes(semconv.DBNamespace(c.Database), semconv.ServerAddress(c.Host), semconv.ServerPort(int(c.Port)))
}

// kindOf names an error by SQL's code for it, "" for none. That there is no row is
// an answer.
func kindOf(err error) string {
	failure, answered := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil, errors.Is(err, pgx.ErrNoRows):
		return ""
	case answered:
		return failure.Code
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	}
	return "lost"
}
