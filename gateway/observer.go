package gateway

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"go.opentelemetry.io/otel/trace"

	"hangar"
	"hangar/tracing"
)

// observer gives every request an id, a line in the log, and an answer even if
// its handler panics.
type observer struct {
	next   http.Handler
	log    *slog.Logger
	meter  Meter
	tracer trace.Tracer // nil makes no spans
	quiet  bool         // its lines are at level debug, whatever is answered
}

const requestIDHeader = "X-Request-Id"

func (o *observer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := requestID(r)
	w.Header()[requestIDHeader] = []string{id}
	rec := &recorder{ResponseWriter: w, id: id}
	o.meter.RequestBegan()
	r = o.join(r)
	defer func() {
		p := recover()
		switch {
		case p == nil:
		case p == http.ErrAbortHandler:
			rec.err = errors.New("the connection was given up")
		default:
			rec.err = fmt.Errorf("panic: %v", p)
			rec.stack = debug.Stack()
			if rec.status == 0 {
				var a answer
				a.status, a.body = errorAnswer(rec.err)
				a.write(rec)
			}
		}
		took := time.Since(start)
		route := routeOf(r)
		o.meter.RequestEnded(route, r.Method, rec.status, took)
		o.leave(r, route, rec)
		o.line(r, route, rec, took)
		if p == http.ErrAbortHandler {
			panic(p)
		}
	}()
	o.next.ServeHTTP(rec, r)
}

// line writes what became of a request. What a client did wrong is its own
// affair; what went wrong here is an error with its cause.
func (o *observer) line(r *http.Request, route string, rec *recorder, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case o.quiet:
		level = slog.LevelDebug
	case rec.status >= http.StatusInternalServerError:
		level = slog.LevelError
	case rec.quiet:
		level = slog.LevelDebug
	}
	if !o.log.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 11)
	attrs = append(attrs, slog.String("request_id", rec.id))
	if id := tracing.ID(r.Context()); id != "" {
		attrs = append(attrs, slog.String("trace_id", id))
	}
	attrs = append(attrs,
		slog.String("method", r.Method),
		slog.String("route", route),
		slog.String("path", r.URL.Path),
		slog.Int("status", rec.status),
		slog.Int("bytes", rec.bytes),
		slog.Duration("took", took),
	)
	if rec.err != nil {
		attrs = append(attrs, slog.String("error", rec.err.Error()))
	}
	if rec.stack != nil {
		attrs = append(attrs, slog.String("stack", string(rec.stack)))
	}
	o.log.LogAttrs(context.Background(), level, "request", attrs...)
}

// otherRoutes is the route of all that is at no other.
const otherRoutes = "other"

// routeOf returns the path of the pattern that a request was served by. With a slash
// at its end, /orders/ is the same as without.
func routeOf(r *http.Request) string {
	route := r.Pattern[strings.IndexByte(r.Pattern, ' ')+1:]
	switch route {
	case "", "/":
		return otherRoutes
	case "/{$}":
		return "/"
	}
	return strings.TrimSuffix(route, "/{$}")
}

// recorder notes what is answered, for the log.
type recorder struct {
	http.ResponseWriter
	id     string // of the request
	status int
	bytes  int
	err    error
	stack  []byte
	quiet  bool // its line is at level debug, unless it is an error
}

// WriteHeader implements http.ResponseWriter.
func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (r *recorder) Write(b []byte) (int, error) {
	if r.status == 0 {
		r.status = http.StatusOK
	}
	n, err := r.ResponseWriter.Write(b)
	r.bytes += n
	return n, err
}

// Unwrap lets http.ResponseController reach what is behind.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// noteError keeps the cause of an answer for the log.
func noteError(w http.ResponseWriter, err error) {
	if rec, ok := w.(*recorder); ok {
		rec.err = err
	}
}

// requestID returns the id that the client or a proxy gave the request, if it
// is fit for a log, and else a new one.
func requestID(r *http.Request) string {
	id := r.Header.Get(requestIDHeader)
	if id == "" || len(id) > hangar.MaxIdempotencyKey {
		return rand.Text()
	}
	for _, c := range id {
		if c <= ' ' || c > '~' {
			return rand.Text()
		}
	}
	return id
}
