package gateway

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"hangar"
)

// observer gives every request an id, a line in the log, and an answer even if
// its handler panics.
type observer struct {
	next  http.Handler
	log   *slog.Logger
	quiet bool // its lines are at level debug, whatever is answered
}

const requestIDHeader = "X-Request-Id"

func (o *observer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	id := requestID(r)
	w.Header()[requestIDHeader] = []string{id}
	rec := &recorder{ResponseWriter: w}
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler {
				panic(p)
			}
			rec.err = fmt.Errorf("panic: %v", p)
			rec.stack = debug.Stack()
			if rec.status == 0 {
				var a answer
				a.status, a.body = errorAnswer(rec.err)
				a.write(rec)
			}
		}
		o.line(r, rec, id, time.Since(start))
	}()
	o.next.ServeHTTP(rec, r)
}

// line writes what became of a request. What a client did wrong is its own
// affair; what went wrong here is an error with its cause.
func (o *observer) line(r *http.Request, rec *recorder, id string, took time.Duration) {
	level := slog.LevelInfo
	switch {
	case o.quiet:
		level = slog.LevelDebug
	case rec.status >= http.StatusInternalServerError:
		level = slog.LevelError
	}
	if !o.log.Enabled(context.Background(), level) {
		return
	}
	attrs := make([]slog.Attr, 0, 8)
	attrs = append(attrs,
		slog.String("request_id", id),
		slog.String("method", r.Method),
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

// recorder notes what is answered, for the log.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
	err    error
	stack  []byte
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
