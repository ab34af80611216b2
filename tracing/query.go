package tracing

import (
	"context"
	"regexp"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Query is Child for a statement in SQL. The statement itself goes into the span,
// so it must have parameters in the place of values.
func Query(ctx context.Context, system attribute.KeyValue, statement string) (context.Context, trace.Span) {
	parent := trace.SpanFromContext(ctx)
	if !parent.IsRecording() {
		return ctx, parent
	}
	summary := Summary(statement)
	ctx, span := Child(ctx, trace.SpanKindClient, summary)
	span.SetAttributes(system, semconv.DBQuerySummary(summary), semconv.DBQueryText(statement))
	return ctx, span
}

var (
	writes = regexp.MustCompile(`\b(INSERT) INTO (\w+)|\b(UPDATE) (\w+) SET|\b(UPDATE) (\w+) \w+ SET|\b(DELETE) FROM (\w+)`)
	reads  = regexp.MustCompile(`\b(?:FROM) (\w+)`)
)

// Summary returns what a statement does to which tables, such as UPDATE orders
// INSERT outbox: what it writes to, or if that is nothing, what it reads first.
func Summary(statement string) string {
	var words []string
	for _, found := range writes.FindAllStringSubmatch(statement, -1) {
		for _, word := range found[1:] {
			if word != "" {
				words = append(words, word)
			}
		}
	}
	if len(words) > 0 {
		return strings.Join(words, " ")
	}
	if found := reads.FindStringSubmatch(statement); found != nil {
		return "SELECT " + found[1]
	}
	word, _, _ := strings.Cut(statement, " ")
	return word
}
