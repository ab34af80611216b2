package gateway

import (
	"bytes"
	_ "embed"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"hangar/web"
)

// DefaultMaxRequests is how many requests a gateway works on at once, unless it
// is told otherwise. More of them would not be answered any sooner.
const DefaultMaxRequests = 128

const (
	// sayRefusedEvery is the least time between two lines of log about refusals.
	sayRefusedEvery = 10 * time.Second

	// passedOver is the largest body of a refused request, in bytes, that does
	// not cost its connection.
	passedOver = 64 << 10
)

// limiter refuses requests while as many are in work as may be, so that those
// take no longer than they would without the others. A refusal costs little: its
// answer is prepared, and nothing is parsed or logged for it.
type limiter struct {
	next  http.Handler
	slots chan struct{} // one for each request in work
	log   *slog.Logger
	meter Meter

	refused atomic.Int64 // since the log said so
	said    atomic.Int64 // when that was, in nanoseconds
}

func newLimiter(next http.Handler, most int, log *slog.Logger) *limiter {
	if most <= 0 {
		most = DefaultMaxRequests
	}
	return &limiter{next: next, slots: make(chan struct{}, most), log: log}
}

func (l *limiter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if len(l.slots) == cap(l.slots) {
		l.refuse(w, r)
		return
	}
	readAhead(r) // before it takes a slot: who sends slowly holds up nobody else
	select {
	case l.slots <- struct{}{}:
	default:
		l.refuse(w, r)
		return
	}
	defer func() { <-l.slots }()
	l.next.ServeHTTP(w, r)
}

// readAhead reads the body as far as anything will be read of it.
func readAhead(r *http.Request) {
	if r.ContentLength == 0 {
		return
	}
	var body bytes.Buffer
	_, err := body.ReadFrom(io.LimitReader(r.Body, maxBody+1))
	if err != nil {
		r.Body = io.NopCloser(io.MultiReader(&body, failing{err}))
		return
	}
	r.Body = io.NopCloser(&body)
}

// failing is a reader of nothing but an error.
type failing struct{ err error }

// Read implements io.Reader.
func (f failing) Read([]byte) (int, error) { return 0, f.err }

//go:embed pages/busy.html
var busyHTML []byte

// The two refusals: of the API, and of the console to the person in front of it.
var (
	refusal  = newPrepared("application/json", []byte(`{"error":"UNAVAILABLE","message":"Too many requests are being worked on. Try again."}`+"\n"))
	busyPage = web.Page(web.Policy(), newPrepared("text/html; charset=utf-8", busyHTML))
)

func (l *limiter) refuse(w http.ResponseWriter, r *http.Request) {
	l.noteRefusal()
	if strings.HasPrefix(r.URL.Path, consolePath) {
		busyPage.ServeHTTP(w, r)
		return
	}
	refusal.ServeHTTP(w, r)
}

// prepared is a refusal whose answer is the same always. It goes before the body of
// the request, and costs its connection only where that is large.
type prepared struct {
	contentType, contentLength []string
	body                       []byte
}

func newPrepared(contentType string, body []byte) *prepared {
	return &prepared{[]string{contentType}, []string{strconv.Itoa(len(body))}, body}
}

// ServeHTTP implements http.Handler.
func (p *prepared) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["Content-Type"] = p.contentType
	header["Content-Length"] = p.contentLength
	header["Retry-After"] = []string{retryAfter}
	switch {
	case r.ContentLength == 0:
		p.write(w)
	case r.ContentLength > 0 && r.ContentLength <= passedOver:
		p.writeBeforeBody(w, r)
	default:
		header["Connection"] = []string{"close"}
		p.write(w)
	}
}

// writeBeforeBody answers and then passes over the body, so that the connection
// can go on. By itself the server would wait for the body first.
func (p *prepared) writeBeforeBody(w http.ResponseWriter, r *http.Request) {
	answer := http.NewResponseController(w)
	if answer.EnableFullDuplex() != nil { // it is not HTTP/1.1: the connection goes on anyway
		p.write(w)
		return
	}
	p.write(w)
	// What fails here ends the connection, whose client has gone.
	_ = answer.Flush()
	_, _ = io.Copy(io.Discard, r.Body)
}

func (p *prepared) write(w http.ResponseWriter) {
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write(p.body) // if the client is gone, nobody is left to tell
}

// noteRefusal writes a line for the first refusal in a while, and then one for
// many.
func (l *limiter) noteRefusal() {
	l.meter.RequestRefused()
	l.refused.Add(1)
	now, said := time.Now().UnixNano(), l.said.Load()
	if now-said < int64(sayRefusedEvery) || !l.said.CompareAndSwap(said, now) {
		return
	}
	l.log.Warn("requests are refused: as many as may be are in work", "max_requests", cap(l.slots), "refused", l.refused.Swap(0))
}
