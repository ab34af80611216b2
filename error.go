package hangar

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
)

// Code names a kind of failure. Codes are public: they are the "error" member
// of an HTTP answer, and clients decide by them.
type Code string

// Every code a user can see.
const (
	BadRequest           Code = "BAD_REQUEST"            // the request cannot be read
	ValidationError      Code = "VALIDATION_ERROR"       // it can be read, but a field is not valid; Details maps fields to complaints
	NotFound             Code = "NOT_FOUND"              // no such route
	ProductNotFound      Code = "PRODUCT_NOT_FOUND"      // no such product
	OrderNotFound        Code = "ORDER_NOT_FOUND"        // no such order
	MethodNotAllowed     Code = "METHOD_NOT_ALLOWED"     // the route exists, for other methods
	Forbidden            Code = "FORBIDDEN"              // a browser sent it for a page of an origin that may not
	OutOfStock           Code = "OUT_OF_STOCK"           // Details maps product ids to a Shortage
	OrderNotConfirmed    Code = "ORDER_NOT_CONFIRMED"    // only a confirmed order can be changed this way
	Conflict             Code = "CONFLICT"               // somebody else changed the same thing meanwhile
	ProductExists        Code = "PRODUCT_EXISTS"         // it was to be created only if it did not exist
	BodyTooLarge         Code = "BODY_TOO_LARGE"         // over the limit for a request's body
	IdempotencyKeyReused Code = "IDEMPOTENCY_KEY_REUSED" // the key was used with another request
	Unavailable          Code = "UNAVAILABLE"            // it may work later; the outcome of a write may be unknown
	Unexpected           Code = "UNEXPECTED_ERROR"       // a defect or a failed disk; the log has the cause
)

// Error is an error that a user can see: all of it but Err.
type Error struct {
	Code    Code   `json:"error"`
	Message string `json:"message"`           // a sentence for a person
	Details any    `json:"details,omitempty"` // more for a program; what it holds depends on Code
	Err     error  `json:"-"`                 // the cause, for the log; may be nil
}

// Errorf returns an Error with a formatted message. It does not wrap: set Err
// for a cause.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// Error returns the message, and the cause where there is one.
func (e *Error) Error() string {
	if e.Err != nil {
		return e.Message + ": " + e.Err.Error()
	}
	return e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// UnmarshalJSON reads the form that Error has as JSON. Details stay as they were
// written, a json.RawMessage.
func (e *Error) UnmarshalJSON(data []byte) error {
	var written struct {
		Code    Code            `json:"error"`
		Message string          `json:"message"`
		Details json.RawMessage `json:"details"`
	}
	if err := json.Unmarshal(data, &written); err != nil {
		return err
	}
	*e = Error{Code: written.Code, Message: written.Message}
	if written.Details != nil {
		e.Details = written.Details
	}
	return nil
}

// CodeOf returns the code of the first Error in err's chain. A deadline or a
// cancellation is Unavailable, any other error Unexpected, and nil is "".
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return Unavailable
	}
	return Unexpected
}
