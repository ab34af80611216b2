package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"sync/atomic"
	"time"
)

// formatVersion begins each entry. It changes with what the rest means.
const formatVersion = '1'

// sharing keeps entries in a Shared. What fails there is a miss.
type sharing[K comparable, V any] struct {
	store  Shared
	maxAge time.Duration
	name   func(K) string // the key there
	isOf   func(K, V) bool
	log    *slog.Logger

	start      time.Time
	distrusted atomic.Int64 // until when nothing is taken from the store, in nanoseconds since start
}

func newSharing[K comparable, V any](c Config, name func(K) string, isOf func(K, V) bool) *sharing[K, V] {
	return &sharing[K, V]{store: c.Shared, maxAge: c.MaxAge, name: name, isOf: isOf, log: c.Log, start: time.Now()}
}

// distrust says that a change may have been announced whose entry was not dropped.
// It has expired when entries are trusted again.
func (s *sharing[K, V]) distrust() {
	s.distrusted.Store(int64(time.Since(s.start) + s.maxAge))
}

func (s *sharing[K, V]) isTrusted() bool { return int64(time.Since(s.start)) >= s.distrusted.Load() }

func (s *sharing[K, V]) get(ctx context.Context, keys []K) map[K]V {
	if !s.isTrusted() {
		return nil
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = s.name(key)
	}
	values, err := s.store.Get(ctx, names)
	if err != nil || !s.isTrusted() { // not any more
		return nil
	}
	found := make(map[K]V)
	for i, value := range values {
		text, ok := bytes.CutPrefix(value, []byte{formatVersion})
		if !ok { // there is none, or it is of another version of hangar
			continue
		}
		var v V
		if json.Unmarshal(text, &v) != nil || !s.isOf(keys[i], v) {
			s.log.Warn("an entry of the cache cannot be read, and is dropped", "key", names[i])
			s.drop(ctx, keys[i])
			continue
		}
		found[keys[i]] = v
	}
	return found
}

func (s *sharing[K, V]) put(ctx context.Context, key K, v V, began time.Time) {
	age := s.maxAge - time.Since(began)
	value, err := json.Marshal(v)
	if err != nil || age <= 0 {
		return
	}
	s.store.Add(ctx, s.name(key), append([]byte{formatVersion}, value...), age) // if not, the next one does
}

func (s *sharing[K, V]) drop(ctx context.Context, key K) {
	if s.store.Drop(context.WithoutCancel(ctx), s.name(key)) != nil {
		s.distrust()
	}
}
