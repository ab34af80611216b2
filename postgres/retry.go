package postgres

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"hangar"
)

// patience bounds how long a call is made again.
const patience = 10 * time.Second

// try calls do until it has an answer of the database. Again says that there was
// an earlier call, which may have taken effect, or may yet.
func (s *OrderStore) try(ctx context.Context, do func(ctx context.Context, again bool) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	pause := 5 * time.Millisecond
	for again := false; ; again = true {
		err := do(ctx, again)
		switch {
		case err == nil:
			return nil
		case s.open.Err() != nil:
			return errClosed
		case ctx.Err() != nil:
			return unavailable(err)
		case !isTransient(err):
			return err
		}
		if isBroken(err) {
			// One connection less of those that died together.
			sleep(ctx, time.Millisecond)
			continue
		}
		sleep(ctx, pause/2+rand.N(pause/2))
		pause = min(2*pause, time.Second)
	}
}

// isBroken reports whether an established connection was lost.
func isBroken(err error) bool {
	_, connecting := errors.AsType[*pgconn.ConnectError](err)
	return !connecting && isLost(err)
}

// isLost reports whether there is no connection, any more or yet.
func isLost(err error) bool {
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) ||
		errors.Is(err, net.ErrClosed) || errors.Is(err, pgconn.ErrConnClosed)
}

func unavailable(cause error) error {
	return &hangar.Error{
		Code:    hangar.Unavailable,
		Message: "The orders' database does not answer in time. Try again.",
		Err:     cause,
	}
}
