package gateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"sync"

	"hangar"
)

// retryAfter is how long a client is asked to wait for what is unavailable, in
// seconds.
const retryAfter = "1"

// serve handles a request. An error is answered as such; the answer's header
// goes out with it.
type serve func(r *http.Request) (answer, error)

// answer is what a request gets.
type answer struct {
	status int         // 0 is 200
	body   any         // encoded as JSON; nil is an empty body
	header http.Header // more than every answer has
}

// endpoint makes a handler of a serve: it always answers.
type endpoint struct {
	g     *gateway
	serve serve
}

func (e endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	timeout := writeTimeout
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		timeout = readTimeout
	}
	ctx, cancel := context.WithTimeout(r.Context(), timeout)
	defer cancel()
	if rec, ok := w.(*recorder); ok {
		ctx = hangar.WithRequestID(ctx, rec.id)
	}
	a, err := e.serve(r.WithContext(ctx))
	if err != nil {
		a.status, a.body = errorAnswer(err)
		noteError(w, err)
	}
	a.write(w)
}

func (a answer) write(w http.ResponseWriter) {
	header := w.Header()
	for name, values := range a.header {
		header[name] = values
	}
	if a.status == 0 {
		a.status = http.StatusOK
	}
	if a.body == nil {
		w.WriteHeader(a.status)
		return
	}
	e := encoders.Get().(*encoder)
	if err := e.Encode(a.body); err != nil {
		panic(err) // a type that cannot be encoded is a defect
	}
	defer e.release()
	if a.status == http.StatusServiceUnavailable {
		header["Retry-After"] = []string{retryAfter}
	}
	header["Content-Type"] = []string{"application/json"}
	header["Content-Length"] = []string{strconv.Itoa(e.buffer.Len())}
	w.WriteHeader(a.status)
	w.Write(e.buffer.Bytes()) // if the client is gone, nobody is left to tell
}

// encoder encodes one answer after the other.
type encoder struct {
	*json.Encoder
	buffer bytes.Buffer
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.Encoder = json.NewEncoder(&e.buffer)
	e.SetEscapeHTML(false)
	return e
}}

// keptBuffer bounds the buffer that an encoder keeps, in bytes: most answers are
// much smaller.
const keptBuffer = 64 << 10

// release gives the encoder to the next answer.
func (e *encoder) release() {
	if e.buffer.Cap() <= keptBuffer {
		e.buffer.Reset()
		encoders.Put(e)
	}
}

// statuses maps codes to statuses; others are 500.
var statuses = map[hangar.Code]int{
	hangar.BadRequest:           http.StatusBadRequest,
	hangar.ValidationError:      http.StatusBadRequest,
	hangar.NotFound:             http.StatusNotFound,
	hangar.ProductNotFound:      http.StatusNotFound,
	hangar.OrderNotFound:        http.StatusNotFound,
	hangar.MethodNotAllowed:     http.StatusMethodNotAllowed,
	hangar.Forbidden:            http.StatusForbidden,
	hangar.OutOfStock:           http.StatusConflict,
	hangar.OrderNotConfirmed:    http.StatusConflict,
	hangar.Conflict:             http.StatusConflict,
	hangar.ProductExists:        http.StatusPreconditionFailed,
	hangar.BodyTooLarge:         http.StatusRequestEntityTooLarge,
	hangar.IdempotencyKeyReused: http.StatusUnprocessableEntity,
	hangar.Unavailable:          http.StatusServiceUnavailable,
}

// errorAnswer returns what a client sees of an error.
func errorAnswer(err error) (status int, body *hangar.Error) {
	code := hangar.CodeOf(err)
	status, ok := statuses[code]
	if !ok {
		return http.StatusInternalServerError, hangar.Errorf(hangar.Unexpected,
			"Something went wrong here. The log has the cause under this answer's X-Request-Id.")
	}
	if e, ok := errors.AsType[*hangar.Error](err); ok {
		return status, e
	}
	return status, hangar.Errorf(code, "The request took too long. Try again.")
}
