// Package health knows whether what a process stands on answers: its stores, its
// message broker, the services that it calls.
//
// It asks each of them once a second, in the background, and remembers: so whoever
// wants to know is told at once, even while one hangs. An outage shorter than
// Patience is told of and does no harm, as the requests that meet it have as much
// time to be tried again; after that the process is not ready, if it can do nothing
// without the one that is away.
package health

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// Patience is how long something may be away before the process is not ready:
	// the time that a request which reads has.
	Patience = 5 * time.Second

	askEvery = time.Second

	// askFirst is how soon it is asked again what has not been there yet.
	askFirst = 100 * time.Millisecond

	// slow is how long an answer takes that is worth telling of.
	slow = time.Second
)

// Dependency is something that a process stands on.
type Dependency struct {
	Name string // such as "orders store"

	// Ask returns nil if it answers. It returns when its context is done.
	Ask func(ctx context.Context) error

	// Needed says that the process can do nothing without it. Others are told of,
	// and change nothing: they are as much away for every other process.
	Needed bool

	// Answered says that it has just done so, as a store has that was opened.
	Answered bool
}

// Watch watches the dependencies of a process.
type Watch struct {
	log *slog.Logger

	mu      sync.Mutex
	watched []*watched // nil before Watch
}

// New returns a watch. It says that the process is starting, and is not ready, until
// it is told what to watch.
func New(log *slog.Logger) *Watch { return &Watch{log: log} }

// Watch says what is to be watched: all of it, in one call, before Run.
func (w *Watch) Watch(dependencies ...Dependency) {
	all := make([]*watched, len(dependencies))
	for i, d := range dependencies {
		all[i] = &watched{Dependency: d}
		if d.Answered {
			all[i].answered = time.Now()
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.watched = all
}

// Run watches until ctx is done, and then returns nil.
func (w *Watch) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, d := range w.all() {
		running.Go(func() { d.run(ctx) })
	}
	running.Go(func() { w.report(ctx) })
	running.Wait()
	return nil
}

// State returns whether the process can do its work, and the state of each
// dependency: "ok", or how long it has been away and why. Neither addresses nor
// credentials are among that, for everybody may read it.
func (w *Watch) State() (ready bool, states map[string]string) {
	all := w.all()
	if all == nil {
		return false, map[string]string{"start": "not finished"}
	}
	now := time.Now()
	ready, states = true, make(map[string]string, len(all)+1) // for one more, of who asked
	for _, d := range all {
		states[d.Name] = d.state(now)
		ready = ready && (!d.Needed || d.answeredLately(now))
	}
	return ready, states
}

// Up returns which dependencies answer at the moment.
func (w *Watch) Up() map[string]bool {
	now, all := time.Now(), w.all()
	up := make(map[string]bool, len(all))
	for _, d := range all {
		up[d.Name] = d.state(now) == ok
	}
	return up
}

func (w *Watch) all() []*watched {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.watched
}

// report logs when the process becomes ready, and when it is not any more.
func (w *Watch) report(ctx context.Context) {
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for was := true; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ready, states := w.State()
		switch {
		case was && !ready:
			w.log.Warn("not ready: what is needed does not answer", "states", states)
		case ready && !was:
			w.log.Info("ready: what is needed answers")
		}
		was = ready
	}
}

// watched is a dependency and what is known of it.
type watched struct {
	Dependency

	mu       sync.Mutex
	asked    time.Time // when it was asked what it has not answered yet; else zero
	answered time.Time // when it last answered that all is well; zero is never
	failure  error     // its last answer, or why there was none; nil if all is well
}

func (d *watched) run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if d.ask(ctx) {
			timer.Reset(askEvery)
		} else {
			timer.Reset(askFirst)
		}
	}
}

// ask reports whether it has ever answered that all is well.
func (d *watched) ask(ctx context.Context) (known bool) {
	d.mu.Lock()
	d.asked = time.Now()
	d.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	err := d.Ask(ctx)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked, d.failure = time.Time{}, err
	if err == nil {
		d.answered = time.Now()
	}
	return !d.answered.IsZero()
}

// answeredLately reports whether it answered within Patience.
func (d *watched) answeredLately(now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.answered.IsZero() && now.Sub(d.answered) < Patience+askEvery
}

const ok = "ok"

func (d *watched) state(now time.Time) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	why := ""
	switch {
	case !d.asked.IsZero() && now.Sub(d.asked) >= slow:
		why = noAnswer
	case d.failure != nil:
		why = cause(d.failure)
	case d.answered.IsZero():
		return "not asked yet"
	default:
		return ok
	}
	never, away := d.answered.IsZero(), now.Sub(d.answered).Truncate(time.Second)
	switch {
	case why == noAnswer && never:
		return "no answer yet"
	case why == noAnswer:
		return fmt.Sprintf("no answer for %v", away)
	case never:
		return "down: " + why
	}
	return fmt.Sprintf("down for %v: %s", away, why)
}
