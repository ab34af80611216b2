package rpc

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"hangar"
	"hangar/nameko"
)

func TestBreakerCutsOffAfterFailuresInARow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		fail := func() bool { return b.noteFailure(time.Now(), time.Now()) }
		for range 3 {
			for i := range tripAfter - 1 {
				if fail() {
					t.Errorf("cut off after %d failures, want %d", i+1, tripAfter)
				}
			}
			if b.noteAnswer(time.Now()) {
				t.Error("an answer restored a service that was not cut off")
			}
		}
		time.Sleep(time.Millisecond)
		for i := range tripAfter {
			if tripped := fail(); tripped != (i == tripAfter-1) {
				t.Errorf("failure %d cut the service off: %v", i+1, tripped)
			}
		}
		if fail() {
			t.Error("one more failure cut it off again")
		}
		if b.admit(time.Now()) {
			t.Error("a call was admitted at once after the service was cut off")
		}
	})
}

// However long a probe takes, the next one follows, and the first answer ends it.
func TestBreakerProbesOnceASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		for range tripAfter {
			b.noteFailure(time.Now(), time.Now())
		}
		for i := range 10 {
			time.Sleep(probeEvery)
			for n := range 3 {
				if admitted := b.admit(time.Now()); admitted != (n == 0) {
					t.Errorf("second %d, call %d: admitted %v, want just one", i, n, admitted)
				}
			}
		}
		if !b.noteAnswer(time.Now()) {
			t.Error("the answer did not restore the service")
		}
		for range 3 {
			if !b.admit(time.Now()) {
				t.Error("a call was not admitted after an answer")
			}
		}
	})
}

// Calls that were lost with a broker end long after others are answered.
func TestBreakerForgetsFailuresFromBeforeTheLastAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b breaker
		began := time.Now()
		time.Sleep(time.Second)
		b.noteAnswer(time.Now())
		for range 2 * tripAfter {
			if b.noteFailure(began, time.Now()) {
				t.Error("calls from before the last answer cut the service off")
			}
		}
	})
}

func TestFailures(t *testing.T) {
	noReply := fmt.Errorf("call: %w: %w", nameko.ErrNoReply, context.DeadlineExceeded)
	for _, test := range []struct {
		name    string
		err     error
		ctx     string
		waited  time.Duration
		failure bool
	}{
		{"no reply by the deadline", noReply, "late", readTimeout, true},
		{"no reply to a caller with little time", noReply, "late", fairWait / 2, false},
		{"no reply before the caller left", nameko.ErrNoReply, "cancelled", readTimeout, false},
		{"no broker", nameko.ErrNoBroker, "", fairWait, true},
		{"no broker, and little time", nameko.ErrNoBroker, "late", fairWait / 2, false},
		{"no broker when the caller left", nameko.ErrNoBroker, "cancelled", fairWait, false},
		{"unknown service", nameko.ErrUnknownService, "", 0, true},
		{"the reply queue was deleted", nameko.ErrReplyQueueGone, "", 0, false},
		{"the deadline had passed before", context.DeadlineExceeded, "late", 0, false},
		{"a request that cannot be sent", errors.New("too large"), "", 0, false},
		{"busy", busy("orders"), "", 0, false},
		{"unavailable at once", nameko.Errorf(pathOf(hangar.Unavailable), "x"), "", 0, false},
		{"unavailable after long", nameko.Errorf(pathOf(hangar.Unavailable), "x"), "", fairWait, true},
		{"business", nameko.Errorf(productNotFound, "x"), "", 0, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			switch test.ctx {
			case "late":
				ctx, cancel = context.WithTimeout(ctx, 0)
				defer cancel()
			case "cancelled":
				cancel()
			}
			if got := isFailure(ctx, test.waited, test.err); got != test.failure {
				t.Errorf("isFailure(%v) after %v = %v, want %v", test.err, test.waited, got, test.failure)
			}
		})
	}
}

// At most a tenth of the calls are made again, but for a few that are saved up.
func TestBudgetOfRetries(t *testing.T) {
	var b budget
	const calls, saved = 1000, maxBudget / retryCost
	retries := 0
	for range calls {
		b.deposit()
		for b.take() {
			retries++
		}
	}
	if most := calls/10 + saved; retries > most || retries < calls/10 {
		t.Errorf("%d retries of %d calls that all fail, want %d to %d", retries, calls, calls/10, most)
	}
	for range calls {
		b.deposit()
	}
	retries = 0
	for b.take() {
		retries++
	}
	if retries != saved {
		t.Errorf("%d retries in a row after many calls went well, want %d", retries, saved)
	}
}

func TestPausesEndBeforeTheDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		n := 0
		for pauseBefore(ctx, n) {
			n++
		}
		if ctx.Err() != nil || n == 0 {
			t.Errorf("after %d pauses: %v, want some, and to stop before the deadline", n, ctx.Err())
		}
	})
}

func TestPausesOfManyRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for n := range 100 {
			if !pauseBefore(t.Context(), n) {
				t.Fatalf("no pause before retry %d, want one", n)
			}
		}
	})
}

// A retry that was not executed does not hide what is known of the first call.
func TestWhatWasNotDone(t *testing.T) {
	for err, want := range map[error]bool{
		busy("orders"):           true,
		cutOff("orders"):         true,
		nameko.ErrNoBroker:       true,
		nameko.ErrUnknownService: true,
		nameko.ErrNoReply:        false,
		nameko.Errorf(pathOf(hangar.Unavailable), "Order 5 is stored"): false,
	} {
		if got := nothingDone(err); got != want {
			t.Errorf("nothingDone(%v) = %v, want %v", err, got, want)
		}
	}
}
