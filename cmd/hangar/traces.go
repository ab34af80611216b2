package main

import (
	"context"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"hangar"
	"hangar/orders"
	"hangar/rpc"
	"hangar/tracing"
	"hangar/tracing/otlp"
)

// traceName is how a process with these services is called in traces, unless
// OTEL_SERVICE_NAME says otherwise.
func traceName(names []string) string {
	if len(names) == len(services) {
		return "hangar"
	}
	return "hangar-" + strings.Join(names, "-")
}

// publishWithin delivers events to a handler in this process: each in the trace of
// the request that it comes from, if traces are sent.
func publishWithin(traces *otlp.Sender, handler hangar.OrderEvents) orders.Publish {
	tracer := tracing.Tracer(traces.Provider())
	if tracer == nil {
		return orders.PublishTo(handler)
	}
	return orders.PublishWithin(handler, func(ctx context.Context, e orders.Event) (context.Context, func(error)) {
		ctx = rpc.Resume(ctx, e.Origin)
		if !trace.SpanContextFromContext(ctx).IsValid() { // it comes from none
			return ctx, func(error) {}
		}
		ctx, span := tracer.Start(ctx, "process products.handle_order_created", trace.WithSpanKind(trace.SpanKindConsumer))
		return ctx, func(err error) {
			kind := ""
			if err != nil {
				kind = string(hangar.CodeOf(err))
			}
			tracing.End(span, kind)
		}
	})
}

// sendTraces sends the last traces. Should nobody take them, the process ends as
// well as it would without.
func (p *process) sendTraces(ctx context.Context, timeout time.Duration) error {
	if p.traces == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout) // the stage has been told to end
	defer cancel()
	p.traces.Shutdown(ctx)
	return nil
}
