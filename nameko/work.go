package nameko

import (
	"context"
	"errors"
	"log/slog"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.opentelemetry.io/otel/trace"

	"hangar/tracing"
)

// maxRequestID bounds what is logged of a request's id, in bytes: a peer may write
// anything there.
const maxRequestID = 255

// work is a call or an event that is worked on, as people are told of it.
type work struct {
	server *Server
	ctx    context.Context
	span   trace.Span // nil with traces off
	what   string     // call or event
	method string
	event  string // its type; "" of a call
	began  time.Time
}

// beginCall returns the context that a method runs in.
func (s *Server) beginCall(ctx context.Context, r *request) (context.Context, work) {
	ctx = Begin(s.broker.received(ctx, r.headers), s.service, r.method)
	w := work{server: s, ctx: ctx, what: "call", method: r.method, began: r.arrived}
	if s.broker.tracer != nil {
		w.beginCallSpan(r)
	}
	return w.ctx, w
}

// beginEvent returns the context that an event is handled in.
func (s *Server) beginEvent(ctx context.Context, sub subscribed, event string, d *amqp.Delivery) (context.Context, work) {
	ctx = Begin(s.broker.received(ctx, d.Headers), s.service, sub.Method)
	w := work{server: s, ctx: ctx, what: "event", method: sub.Method, event: event, began: time.Now()}
	if s.broker.tracer != nil {
		w.beginEventSpan(sub)
	}
	return w.ctx, w
}

// end tells what became of it: in one line, whatever it was. The cause of a
// failure is logged where it is swallowed.
func (w work) end(err error) {
	if w.span != nil {
		tracing.End(w.span, kindOf(err))
	}
	took := time.Since(w.began)
	lines := w.server.lines
	if !lines.Enabled(w.ctx, slog.LevelInfo) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	if id, _ := Data(w.ctx, RequestID).(string); id != "" {
		attrs = append(attrs, slog.String("request_id", id[:min(len(id), maxRequestID)]))
	}
	if id := tracing.ID(w.ctx); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	attrs = append(attrs, slog.String("call_id", callID(w.ctx)), slog.String("method", w.method))
	if w.event != "" {
		attrs = append(attrs, slog.String("event", w.event))
	}
	outcome := kindOf(err)
	if err == nil {
		outcome = "ok"
	}
	attrs = append(attrs, slog.String("outcome", outcome), slog.Duration("took", took))
	lines.LogAttrs(w.ctx, slog.LevelInfo, w.what, attrs...)
}

// kindOf names an error of a call or an event: by the path that the caller gets,
// or by why there is no answer, or as no more than a failure; "" for none.
func kindOf(err error) string {
	if err == nil {
		return ""
	}
	if raised, ok := errors.AsType[*Error](err); ok {
		return raised.Path
	}
	for _, known := range []error{ErrUnknownService, ErrNoBroker, ErrNoReply, ErrReplyQueueGone} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return "failed"
}

// callID returns the id of the call that is worked on, "" for none.
func callID(ctx context.Context) string {
	stack := callContextOf(ctx).stack
	if len(stack) == 0 {
		return ""
	}
	return stack[len(stack)-1]
}
