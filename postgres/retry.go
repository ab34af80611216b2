package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime/debug"
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

// alone calls do, which uses one connection, when it is its turn, and returns
// what comes of it.
//
// The turn must come by half of the time that there is: a call that began with
// less would hardly be answered. And a caller that leaves does not take the
// connection with it, as the driver would have it, but leaves the call to end by
// itself: with a late database a connection takes longer to make than most calls
// may last. So as many calls are answered as the database can, and the others hear
// early that they are not.
func alone[T any](ctx context.Context, s *OrderStore, do func(ctx context.Context) (T, error)) (T, error) {
	var none T
	turn, cancel := halfTime(ctx)
	defer cancel()
	select {
	case s.turns <- struct{}{}:
	case <-turn.Done():
		return none, noTurn(ctx)
	}
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	go func() { // ends before the pool is closed, which waits for its connections
		defer func() { <-s.turns }()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
		defer cancel()
		defer context.AfterFunc(s.open, cancel)()
		answers <- func() (a answer) {
			defer func() { // here nobody else would catch it
				if p := recover(); p != nil {
					a.err = fmt.Errorf("panic in a call of the database: %v\n%s", p, debug.Stack())
				}
			}()
			a.value, a.err = do(ctx)
			return a
		}()
	}()
	select {
	case a := <-answers:
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// halfTime returns a context for half of the time that ctx has left.
func halfTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, time.Until(deadline)/2)
}

var errNoTurn = errors.New("too many calls wait for a connection")

// noTurn returns the error of a call whose turn did not come.
func noTurn(ctx context.Context) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return unavailable(errNoTurn)
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
