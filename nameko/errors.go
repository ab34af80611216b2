package nameko

import (
	"errors"
	"fmt"
	"strings"
)

var (
	// ErrUnknownService says that no service of that name has ever run on this
	// broker. It comes at once.
	ErrUnknownService = errors.New("unknown service")

	// ErrNoBroker says that the broker was not connected, or did not accept
	// messages, for as long as could be waited. Nothing was sent.
	ErrNoBroker = errors.New("no connection to the message broker")

	// ErrNoReply says that no reply came by the deadline. The method may have
	// run, or may run yet.
	ErrNoReply = errors.New("no reply by the deadline")

	// ErrReplyQueueGone says that the queue for the replies was deleted while
	// one was awaited. The method may have run, or may run yet.
	ErrReplyQueueGone = errors.New("the queue for the reply is gone")
)

// Error is an exception as it travels. The Path is the contract: callers decide
// by it.
type Error struct {
	Path  string // module and class, such as "products.exceptions.NotFound"
	Args  []any  // the exception's arguments
	Value string // its text
}

// Errorf returns an Error whose only argument is its text.
func Errorf(path, format string, args ...any) *Error {
	value := fmt.Sprintf(format, args...)
	return &Error{Path: path, Args: []any{value}, Value: value}
}

// Error returns the class and the text.
func (e *Error) Error() string {
	return e.class() + " " + e.Value
}

func (e *Error) class() string {
	return e.Path[strings.LastIndex(e.Path, ".")+1:]
}

// Paths of the exceptions that the framework itself raises.
const (
	MalformedRequest   = "nameko.exceptions.MalformedRequest"
	MethodNotFound     = "nameko.exceptions.MethodNotFound"
	IncorrectSignature = "nameko.exceptions.IncorrectSignature"

	unserializable = "nameko.exceptions.UnserializableValueError"
	unexpected     = "builtins.RuntimeError"
)

// IsError reports whether err is an Error with that path.
func IsError(err error, path string) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Path == path
}

// wireError is an Error in a reply.
type wireError struct {
	Type  string `json:"exc_type"`
	Path  string `json:"exc_path"`
	Args  []any  `json:"exc_args"`
	Value string `json:"value"`
}

func (e *Error) toWire() *wireError {
	args := make([]any, len(e.Args))
	for i, arg := range e.Args {
		args[i] = arg
		if _, err := encode(arg); err != nil { // Nameko makes a string of what it cannot send
			args[i] = fmt.Sprint(arg)
		}
	}
	return &wireError{Type: e.class(), Path: e.Path, Args: args, Value: e.Value}
}

// fromWire makes an Error of a reply's member, as a tree. Of a peer's spelling
// nothing is required.
func fromWire(tree any) *Error {
	members, _ := tree.(map[string]any)
	e := new(Error)
	e.Path, _ = members["exc_path"].(string)
	e.Value, _ = members["value"].(string)
	e.Args, _ = members["exc_args"].([]any)
	if e.Path == "" {
		e.Path, _ = members["exc_type"].(string)
	}
	if members == nil {
		e.Value = fmt.Sprint(tree)
	}
	return e
}
