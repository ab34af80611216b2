package redis

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"hangar"
)

const (
	// openPatience is how long OpenProducts waits for the index.
	openPatience = time.Second

	// A pass of more than fewSteps, or that follows another which found nothing
	// either, is followed by a pause of pauseFactor times its length: it must not
	// keep Redis busy for the sake of other programs' keys.
	fewSteps    = 100 // for some 20,000 products
	pauseFactor = 10

	pauseAfterFailure = time.Second

	// What others do may cancel out in numbers: after so long an index is looked
	// at that seems right.
	recheckAfter  = time.Minute
	recheckFactor = 100 // and after so many times the length of the last pass
)

// index keeps the listing's index, a sorted set of the ids that have a key. Every
// write of hangar's keeps it too; what others write shows in the number of keys
// that the database has, and then a pass over the database finds it.
type index struct {
	link    *link
	scripts *scripts
	log     *slog.Logger

	mu      sync.Mutex
	current *pass
	failed  *pass     // the last one, if it has
	vain    int       // passes in a row that began because an index seemed wrong, which was right
	next    time.Time // when the next pass may begin
	recheck time.Time // when an index is looked at that seems right
}

// pass is one walk over the database that brings the index up to date.
type pass struct {
	suspected bool // the index seemed wrong
	done      chan struct{}
	err       error // set before done is closed
}

// open begins a pass, as nobody knows what was written meanwhile, and waits for
// it a moment.
func (x *index) open(ctx context.Context) {
	x.mu.Lock()
	p := x.begin(false)
	x.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, openPatience)
	defer cancel()
	select {
	case <-p.done:
	case <-ctx.Done():
	}
}

// state is what a List has seen of the index.
type state struct {
	wasNoted  bool // an index was once complete
	isCurrent bool // and nobody but hangar seems to have written since
}

// refresh brings the index up to date if it seems not to be, or was not looked at
// for long. It reports whether it waited for a pass, so that the List should be
// done again.
func (x *index) refresh(ctx context.Context, seen state) (again bool, err error) {
	p := x.due(seen)
	if p == nil || seen.isCurrent {
		return false, nil
	}
	select {
	case <-p.done:
		if p.err != nil && seen.wasNoted {
			return false, nil // a list that may lack what others made is better than none
		}
		return true, p.err
	case <-ctx.Done():
		return false, &hangar.Error{
			Code: hangar.Unavailable, Message: "The list of products is being put together. Try again soon.", Err: ctx.Err(),
		}
	}
}

// due returns the pass that is under way or begins now, and nil if there is none
// to be.
func (x *index) due(seen state) *pass {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := time.Now()
	switch {
	case x.current != nil:
		return x.current
	case seen.isCurrent && now.Before(x.recheck):
		return nil
	case x.failed != nil && now.Before(x.next):
		return x.failed
	case seen.wasNoted && now.Before(x.next):
		return nil
	}
	return x.begin(!seen.isCurrent)
}

// begin begins a pass; mu is held. It returns nil when the link is closed.
func (x *index) begin(suspected bool) *pass {
	p := &pass{suspected: suspected, done: make(chan struct{})}
	if !x.link.start(func() { x.run(p) }) {
		return nil
	}
	x.current = p
	return p
}

func (x *index) run(p *pass) {
	defer close(p.done)
	began := time.Now()
	found, steps, err := x.walk(x.link.ctx)
	took := time.Since(began)
	x.mu.Lock()
	defer x.mu.Unlock()
	p.err = err
	x.current, x.failed = nil, nil
	switch {
	case err != nil:
		x.failed = p
	case found > 0:
		x.vain = 0
	case p.suspected:
		x.vain++
	}
	x.next = time.Now()
	if steps > fewSteps || x.vain > 1 {
		x.next = x.next.Add(pauseFactor * took)
	}
	if err != nil {
		x.next = x.next.Add(pauseAfterFailure)
	}
	x.recheck = time.Now().Add(max(recheckAfter, recheckFactor*took))
	if err != nil && x.link.ctx.Err() == nil {
		x.log.Warn("the index of the products could not be brought up to date, will try again", "error", err)
	}
}

// walk puts every product into the index, takes those out that are gone, and
// returns how many of both there were. What is written meanwhile it may miss;
// then the note says that the index is not current.
func (x *index) walk(ctx context.Context) (found int64, steps int, err error) {
	var before, added, removed int64
	for cursor := "0"; steps == 0 || cursor != "0"; steps++ {
		reply, err := x.step(ctx, x.scripts.gather, cursor, 3)
		if err != nil {
			return 0, steps, fmt.Errorf("gather products: %w", err)
		}
		if steps == 0 {
			before = number(reply[1])
		}
		cursor = text(reply[0])
		added += number(reply[2])
	}
	for from := "-"; from != ""; steps++ {
		reply, err := x.step(ctx, x.scripts.prune, from, 2)
		if err != nil {
			return 0, steps, fmt.Errorf("prune products: %w", err)
		}
		from = text(reply[0])
		removed += number(reply[1])
	}
	_, _, err = x.link.run(ctx, x.scripts.note, indexKeys(), []string{decimal(before - added + removed)})
	return added + removed, steps, err
}

func (x *index) step(ctx context.Context, s script, from string, length int) ([]rueidis.RedisMessage, error) {
	message, _, err := x.link.run(ctx, s, indexKeys(), []string{from})
	if err != nil {
		return nil, err
	}
	reply, err := message.ToArray()
	if err == nil && len(reply) != length {
		return nil, fmt.Errorf("%d values of a script, want %d", len(reply), length)
	}
	return reply, err
}

func number(m rueidis.RedisMessage) int64 {
	n, err := m.AsInt64()
	if err != nil {
		return 0
	}
	return n
}
