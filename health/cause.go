package health

import (
	"context"
	"errors"
	"io"
	"net"
	"syscall"

	"hangar"
)

// Cause is an error of Dependency.Ask whose words anybody may read.
type Cause string

// Error returns the words.
func (c Cause) Error() string { return string(c) }

const noAnswer = "no answer"

// cause returns why something is down, in words of a small number: those of the
// error itself may name hosts and users.
func cause(err error) string {
	if c, isCause := errors.AsType[Cause](err); isCause {
		return c.Error()
	}
	if _, isName := errors.AsType[*net.DNSError](err); isName {
		return "no such host"
	}
	if n, isErrno := errors.AsType[syscall.Errno](err); isErrno {
		return n.Error()
	}
	timeout, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, context.DeadlineExceeded), isNet && timeout.Timeout():
		return noAnswer
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	}
	if e, isOwn := errors.AsType[*hangar.Error](err); isOwn && e.Code == hangar.Unavailable {
		return e.Message
	}
	return "it answers with an error"
}
