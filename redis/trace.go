package redis

import (
	"context"

	"github.com/redis/rueidis"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"hangar"
	"hangar/tracing"
)

// beginSpan begins the span of a command, or of a script by its name.
func beginSpan(ctx context.Context, command string, script string) trace.Span {
	name := command
	if script != "" {
		name = script
	}
	_, span := tracing.Child(ctx, trace.SpanKindClient, name)
	if !span.IsRecording() {
		return span
	}
	span.SetAttributes(semconv.DBSystemNameRedis, semconv.DBOperationName(command))
	if script != "" {
		span.SetAttributes(semconv.DBStoredProcedureName(script))
	}
	return span
}

// kindOf names an error by its code, "" for none. That there is nothing is an
// answer.
func kindOf(err error) string {
	if err == nil || rueidis.IsRedisNil(err) {
		return ""
	}
	return string(hangar.CodeOf(err))
}
