package cache

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"hangar"
)

// loadTimeout bounds a load. It has a deadline of its own, because it is for all
// who wait for it.
const loadTimeout = 5 * time.Second

// Stats counts what a cache did since it was made.
type Stats struct {
	Hits    uint64 // answered from the cache
	Misses  uint64 // answered by the service, while the cache was in use
	Loads   uint64 // what the service was asked for; many misses may share one
	Refused uint64 // loads that were not kept, because a change was announced meanwhile, or they took too long
}

// load reads from the service. What does not exist is missing in the result.
type load[K comparable, V any] func(ctx context.Context, keys []K) (map[K]V, error)

// reads is what the caches have in common: it answers from what it keeps, and
// loads what it does not, once for all who ask.
type reads[K comparable, V any] struct {
	memory *memory[K, V]  // nil if it keeps things elsewhere
	shared *sharing[K, V] // nil likewise
	maxAge time.Duration
	load   load[K, V]
	keeps  func(V) bool  // whether a value may be kept
	absent func(K) error // for what does not exist

	inUse atomic.Bool // announcements are heard, and reads has not ended

	mu      sync.Mutex // also held while something is kept or forgotten in memory
	ended   bool
	flights map[K]*flight[V]
	running sync.WaitGroup

	hits, misses, loads, refused atomic.Uint64
}

// flight is a load of one key that is under way.
type flight[V any] struct {
	began   time.Time
	isStale bool          // what it brings must not be kept; guarded by reads.mu
	landed  chan struct{} // closed when what follows is set
	value   V
	isHit   bool
	err     error
}

func newReads[K comparable, V any](c Config, l load[K, V], keeps func(V) bool, absent func(K) error) *reads[K, V] {
	return &reads[K, V]{maxAge: c.MaxAge, load: l, keeps: keeps, absent: absent, flights: make(map[K]*flight[V])}
}

// one returns the value of a key. It belongs to all who get it.
func (r *reads[K, V]) one(ctx context.Context, key K) (V, error) {
	if v, ok := r.atHand(key); ok {
		return v, nil
	}
	flights := r.board(ctx, []K{key})
	if flights == nil {
		return r.direct(ctx, key)
	}
	return r.wait(ctx, flights[0])
}

// many returns the values of those keys that exist.
func (r *reads[K, V]) many(ctx context.Context, keys []K) (map[K]V, error) {
	found := make(map[K]V, len(keys))
	var missing []K
	for _, key := range keys {
		if v, ok := r.atHand(key); ok {
			found[key] = v
			continue
		}
		missing = append(missing, key)
	}
	if len(missing) == 0 {
		return found, nil
	}
	flights := r.board(ctx, missing)
	if flights == nil {
		return r.load(ctx, keys)
	}
	for i, f := range flights {
		v, err := r.wait(ctx, f)
		switch hangar.CodeOf(err) {
		case "":
			found[missing[i]] = v
		case hangar.CodeOf(r.absent(missing[i])):
		default:
			return nil, err
		}
	}
	return found, nil
}

// atHand returns what is kept in memory.
func (r *reads[K, V]) atHand(key K) (v V, ok bool) {
	if r.memory == nil || !r.inUse.Load() {
		return v, false
	}
	if v, ok = r.memory.get(key); ok {
		r.hits.Add(1)
	}
	return v, ok
}

// direct asks the service on behalf of one caller.
func (r *reads[K, V]) direct(ctx context.Context, key K) (v V, err error) {
	loaded, err := r.load(ctx, []K{key})
	if err != nil {
		return v, err
	}
	v, ok := loaded[key]
	if !ok {
		return v, r.absent(key)
	}
	return v, nil
}

// board returns the flights of the keys: those under way, and one together for the
// rest. It returns nil if the cache is not in use.
func (r *reads[K, V]) board(ctx context.Context, keys []K) []*flight[V] {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.inUse.Load() {
		return nil
	}
	now := time.Now()
	flights := make([]*flight[V], len(keys))
	var begun []*flight[V]
	var theirs []K
	for i, key := range keys {
		f := r.flights[key]
		if f != nil && now.Sub(f.began) >= r.maxAge { // who asks now must not get what is too old
			f.isStale = true
			f = nil
		}
		if f == nil {
			f = &flight[V]{began: now, landed: make(chan struct{})}
			r.flights[key] = f
			begun, theirs = append(begun, f), append(theirs, key)
		}
		flights[i] = f
	}
	if len(begun) > 0 {
		r.running.Go(func() { r.fly(ctx, theirs, begun) })
	}
	return flights
}

// wait waits for a flight, no longer than ctx allows.
func (r *reads[K, V]) wait(ctx context.Context, f *flight[V]) (v V, err error) {
	select {
	case <-f.landed:
	default: // what has landed counts, also for one whose time is up
		select {
		case <-f.landed:
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
	if f.isHit {
		r.hits.Add(1)
	} else {
		r.misses.Add(1)
	}
	return f.value, f.err
}

// fly brings the flights of keys to their end, whoever still waits for them.
func (r *reads[K, V]) fly(ctx context.Context, keys []K, flights []*flight[V]) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), loadTimeout)
	defer cancel()
	kept := r.lookUp(ctx, keys)
	var rest []K
	for _, key := range keys {
		if _, ok := kept[key]; !ok {
			rest = append(rest, key)
		}
	}
	began := time.Now()
	var loaded map[K]V
	var err error
	if len(rest) > 0 {
		r.loads.Add(uint64(len(rest)))
		loaded, err = r.guarded(ctx, rest)
	}
	for i, key := range keys {
		f := flights[i]
		if f.value, f.isHit = kept[key]; f.isHit {
			r.land(key, f)
			continue
		}
		v, ok := loaded[key]
		switch {
		case err != nil:
			f.err = err
		case !ok:
			f.err = r.absent(key)
		default:
			f.value = v
			if r.keeps(v) {
				r.keep(ctx, key, f, began)
			}
		}
		r.land(key, f)
	}
}

// lookUp returns what is kept of the keys, wherever that is.
func (r *reads[K, V]) lookUp(ctx context.Context, keys []K) map[K]V {
	if r.shared != nil {
		return r.shared.get(ctx, keys)
	}
	kept := make(map[K]V)
	for _, key := range keys {
		if v, ok := r.memory.get(key); ok { // another flight has landed since the caller looked
			kept[key] = v
		}
	}
	return kept
}

// guarded is load where nobody else would catch a panic.
func (r *reads[K, V]) guarded(ctx context.Context, keys []K) (loaded map[K]V, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while loading %v: %v\n%s", keys, p, debug.Stack())
		}
	}()
	return r.load(ctx, keys)
}

// keep keeps what a flight has brought, unless a change was announced meanwhile.
func (r *reads[K, V]) keep(ctx context.Context, key K, f *flight[V], began time.Time) {
	if r.keepInMemory(key, f, began) && r.shared != nil {
		r.shared.put(ctx, key, f.value, began) // which refuses by itself what was dropped since
	}
}

// keepInMemory reports whether what the flight has brought may be kept.
func (r *reads[K, V]) keepInMemory(key K, f *flight[V], began time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.isStale {
		r.refused.Add(1)
		return false
	}
	if r.memory != nil {
		r.memory.put(key, f.value, began)
	}
	return true
}

// land gives those who wait what a flight has brought, and nobody who comes later.
func (r *reads[K, V]) land(key K, f *flight[V]) {
	r.mu.Lock()
	if r.flights[key] == f {
		delete(r.flights, key)
	}
	r.mu.Unlock()
	close(f.landed)
}

// forget makes everything that was read of the key until now be read again.
func (r *reads[K, V]) forget(ctx context.Context, key K) {
	r.mu.Lock()
	if f := r.flights[key]; f != nil {
		f.isStale = true
		delete(r.flights, key)
	}
	if r.memory != nil {
		r.memory.drop(key)
	}
	r.mu.Unlock()
	if r.shared != nil {
		r.shared.drop(ctx, key)
	}
}

// Listening says that from now on every change is announced here. Before that the
// cache is not used.
func (r *reads[K, V]) Listening() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return
	}
	if r.shared != nil {
		r.shared.distrust()
	}
	r.inUse.Store(true)
}

// Deaf says that changes may have happened of which nothing was heard. The cache
// is emptied, and not used until Listening.
func (r *reads[K, V]) Deaf() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inUse.Store(false)
	for _, f := range r.flights {
		f.isStale = true
	}
	clear(r.flights)
	if r.memory != nil {
		r.memory.clear()
	}
}

// Run returns nil when ctx is done and no load is under way any more. Then the
// cache is not used.
func (r *reads[K, V]) Run(ctx context.Context) error {
	<-ctx.Done()
	r.Deaf()
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.running.Wait()
	return nil
}

// Stats returns what was counted.
func (r *reads[K, V]) Stats() Stats {
	return Stats{Hits: r.hits.Load(), Misses: r.misses.Load(), Loads: r.loads.Load(), Refused: r.refused.Load()}
}
