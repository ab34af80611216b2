package nameko

import (
	"context"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"hangar/tracing"
)

// Names of the headers of W3C Trace Context, behind the prefix: frameworks that
// do not know them pass them on, so that a trace goes on behind them.
const (
	traceparent = "traceparent"
	tracestate  = "tracestate"
)

// data carries where a trace is among what came with a message.
type data map[string]any

// Get implements tracing.Carrier.
func (d data) Get(name string) string {
	value, _ := d[name].(string)
	return value
}

// Set implements tracing.Carrier.
func (d data) Set(name, value string) { d[name] = value }

// Keys implements tracing.Carrier.
func (d data) Keys() []string { return []string{traceparent, tracestate} }

// headers carries it in a message.
type headers amqp.Table

// Get implements tracing.Carrier.
func (h headers) Get(name string) string { return data(h).Get(headerPrefix + name) }

// Set implements tracing.Carrier.
func (h headers) Set(name, value string) { h[headerPrefix+name] = value }

// Keys implements tracing.Carrier.
func (h headers) Keys() []string { return data(h).Keys() }

// goOn returns a context that goes on with the trace that came among the data, and
// takes it from there: what is sent from here is another place in it.
func goOn(ctx context.Context, d map[string]any) context.Context {
	if _, came := d[traceparent]; came {
		ctx = tracing.Extract(ctx, data(d))
		delete(d, traceparent)
	}
	delete(d, tracestate)
	return ctx
}

// beginClientSpan begins the span of a call of another service.
func beginClientSpan(ctx context.Context, exchange string, c Call) (context.Context, trace.Span) {
	ctx, span := tracing.Child(ctx, trace.SpanKindClient, c.Service+"."+c.Method)
	if span.IsRecording() {
		span.SetAttributes(rpcAttributes(ctx, c.Service, c.Method, exchange)...)
	}
	return ctx, span
}

// beginCallSpan begins the span of a call that a service works on.
func (w *work) beginCallSpan(r *request) {
	method := w.method
	if _, known := w.server.methods[method]; !known {
		method = "_OTHER" // a peer may write anything there
	}
	service := w.server.service
	attributes := rpcAttributes(w.ctx, service, method, CallQueue(service))
	if r.id != "" {
		attributes = append(attributes, semconv.MessagingMessageConversationID(r.id))
	}
	w.ctx, w.span = w.server.broker.tracer.Start(w.ctx, service+"."+method,
		trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
}

// beginEventSpan begins the span of an event that a service handles.
func (w *work) beginEventSpan(sub subscribed) {
	attributes := messagingAttributes(w.ctx, eventExchange(sub.Source), semconv.MessagingOperationTypeProcess, sub.Event)
	w.ctx, w.span = w.server.broker.tracer.Start(w.ctx, "process "+w.server.service+"."+w.method,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithAttributes(attributes...))
}

// beginPublishSpan begins the span of an event that is announced.
func (p *Publisher) beginPublishSpan(ctx context.Context, event string) (context.Context, trace.Span) {
	tracer := p.broker.tracer
	if tracer == nil || !trace.SpanContextFromContext(ctx).IsValid() {
		return ctx, trace.SpanFromContext(ctx)
	}
	exchange := eventExchange(p.source)
	return tracer.Start(ctx, "publish "+exchange, trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithAttributes(messagingAttributes(ctx, exchange, semconv.MessagingOperationTypeSend, event)...))
}

func rpcAttributes(ctx context.Context, service, method, destination string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.RPCSystemNameKey.String("nameko"),
		semconv.RPCMethod(service + "." + method),
		semconv.MessagingSystemRabbitMQ,
		semconv.MessagingDestinationName(destination),
		callIDsAttribute(ctx),
	}
}

func messagingAttributes(ctx context.Context, exchange string, operation attribute.KeyValue, event string) []attribute.KeyValue {
	return []attribute.KeyValue{
		semconv.MessagingSystemRabbitMQ,
		semconv.MessagingDestinationName(exchange),
		semconv.MessagingRabbitMQDestinationRoutingKey(event),
		semconv.MessagingOperationName(operation.Value.AsString()),
		operation,
		callIDsAttribute(ctx),
	}
}

func callIDsAttribute(ctx context.Context) attribute.KeyValue {
	return attribute.StringSlice(headerPrefix+callIDStack, CallIDs(ctx))
}
