package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"hangar"
)

// patience bounds how long a call is made again.
const patience = 10 * time.Second

// link is the way to Redis. While Redis cannot be reached, one goroutine looks
// for it and all callers wait for that, each no longer than its context allows.
type link struct {
	client  rueidis.Client
	log     *slog.Logger
	outage  atomic.Pointer[outage] // nil is well
	ctx     context.Context        // done when the link is closed
	cancel  context.CancelFunc
	mu      sync.Mutex // guards starting a goroutine against waiting for all
	running sync.WaitGroup
	closing sync.Once
}

type outage struct{ over chan struct{} }

var errNoConnection = errors.New("no connection")

var errClosed = &hangar.Error{Code: hangar.Unavailable, Message: "The store is closed."}

func newLink(client rueidis.Client, log *slog.Logger) *link {
	l := &link{client: client, log: log}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// close ends what go started, and the connections. Calls that are under way are
// answered.
func (l *link) close() {
	l.closing.Do(func() {
		l.mu.Lock()
		l.cancel()
		l.mu.Unlock()
		l.running.Wait()
		l.client.Close()
	})
}

// start runs fn in a goroutine that close waits for. It returns false, and runs
// nothing, when the link is closed.
func (l *link) start(fn func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() != nil {
		return false
	}
	l.running.Go(fn)
	return true
}

// try calls send until it has an answer of Redis, be it an error. Unsure says
// that an earlier call may have taken effect: its answer was lost.
func (l *link) try(ctx context.Context, send func() error) (unsure bool, err error) {
	began := time.Now()
	if l.outage.Load() == nil { // as nearly always
		if err = send(); !isLost(err) {
			return false, translate(err)
		}
		unsure = true
	}
	waiting, cancel := context.WithDeadline(ctx, began.Add(patience))
	defer cancel()
	for pause := time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		if !l.wait(waiting) {
			return unsure, l.whyNot(ctx, err)
		}
		err = send()
		if !isLost(err) {
			return unsure, translate(err)
		}
		unsure = true
		sleep(waiting, pause/2+rand.N(pause))
	}
}

// whyNot is the error of a call that is not made again; last is why it failed,
// if it was made at all.
func (l *link) whyNot(ctx context.Context, last error) error {
	if last == nil {
		last = errNoConnection
	}
	switch {
	case l.ctx.Err() != nil:
		return errClosed
	case ctx.Err() != nil:
		return &hangar.Error{Code: hangar.Unavailable, Message: "Redis did not answer in time.", Err: fmt.Errorf("%w (%w)", ctx.Err(), last)}
	}
	return translate(last)
}

// wait returns true when Redis answers, and false when ctx is done or the link
// is closed.
func (l *link) wait(ctx context.Context) bool {
	if ctx.Err() != nil {
		return false
	}
	o := &outage{over: make(chan struct{})}
	if !l.outage.CompareAndSwap(nil, o) {
		if o = l.outage.Load(); o == nil {
			return true
		}
	} else if !l.start(func() { l.look(o) }) {
		close(o.over)
		return false
	}
	select {
	case <-o.over:
		return l.ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// look tries to reach Redis until it answers or the link is closed.
func (l *link) look(o *outage) {
	defer close(o.over)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		err := l.ping()
		if l.ctx.Err() != nil {
			return
		}
		if !isLost(err) {
			break
		}
		if pause == 80*time.Millisecond { // longer than a connection that was cut
			l.log.Warn("the products' Redis cannot be used, looking for it", "error", err)
			defer l.log.Info("the products' Redis is there again")
		}
		sleep(l.ctx, pause/2+rand.N(pause/2))
	}
	l.outage.Store(nil)
}

func (l *link) ping() error {
	ctx, cancel := context.WithTimeout(l.ctx, answerTimeout)
	defer cancel()
	return l.client.Do(ctx, l.client.B().Ping().Build()).Error()
}

// isLost reports whether err says that Redis did not take the command, or that
// its answer was lost.
func isLost(err error) bool {
	if err == nil || rueidis.IsRedisNil(err) {
		return false
	}
	if _, ok := rueidis.IsRedisErr(err); !ok {
		return true
	}
	return hasCode(err, "LOADING") || hasCode(err, "BUSY") || hasCode(err, "MASTERDOWN") ||
		strings.HasPrefix(err.Error(), "ERR max number of clients reached")
}

// hasCode reports whether Redis answered with the code, directly or, before 7.0,
// within a script.
func hasCode(err error, code string) bool {
	return strings.HasPrefix(err.Error(), code+" ") || strings.Contains(err.Error(), ": -"+code+" ")
}

// translate gives errors that a user can do something about a code.
func translate(err error) error {
	if err == nil {
		return nil
	}
	unavailable := func(message string) error {
		return &hangar.Error{Code: hangar.Unavailable, Message: message, Err: err}
	}
	switch _, answered := rueidis.IsRedisErr(err); {
	case hasCode(err, "LOADING"):
		return unavailable("Redis is loading its data. Try again soon.")
	case hasCode(err, "BUSY"):
		return unavailable("Redis is busy with a script. Try again.")
	case hasCode(err, "MASTERDOWN"), hasCode(err, "READONLY"):
		return unavailable("This Redis is a replica, which takes no writes now.")
	case hasCode(err, "MISCONF"):
		return unavailable("Redis cannot write to its disk, and takes no writes until it can.")
	case hasCode(err, "NOREPLICAS"):
		return unavailable("Redis has too few replicas to take writes.")
	case hasCode(err, "OOM"):
		return unavailable("There is no room left in Redis to store this.")
	case !answered && !rueidis.IsRedisNil(err), isLost(err):
		return unavailable("Redis cannot be reached.")
	}
	return err
}
