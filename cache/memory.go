package cache

import (
	"time"

	"github.com/maypok86/otter/v2"
)

// unit is how much an entry holds that counts as one, in bytes.
const unit = 1 << 10

// memory keeps entries in the process. It is full when they hold so many units; then
// those go that are asked for least.
type memory[K comparable, V any] struct {
	entries *otter.Cache[K, entry[V]]
	maxAge  time.Duration
}

type entry[V any] struct {
	value V
	began time.Time // when the load began that brought it
}

func newMemory[K comparable, V any](c Config, bytes func(V) int) *memory[K, V] {
	return &memory[K, V]{
		maxAge: c.MaxAge,
		entries: otter.Must(&otter.Options[K, entry[V]]{
			MaximumWeight: uint64(c.Size),
			Weigher:       func(_ K, e entry[V]) uint32 { return uint32(1 + bytes(e.value)/unit) },
		}),
	}
}

// get returns what is not too old. What is stays until others push it out, which
// spares a goroutine that looks for it.
func (m *memory[K, V]) get(key K) (v V, ok bool) {
	e, ok := m.entries.GetIfPresent(key)
	if !ok || time.Since(e.began) >= m.maxAge {
		return v, false
	}
	return e.value, true
}

func (m *memory[K, V]) put(key K, v V, began time.Time) { m.entries.Set(key, entry[V]{v, began}) }
func (m *memory[K, V]) drop(key K)                      { m.entries.Invalidate(key) }
func (m *memory[K, V]) clear()                          { m.entries.InvalidateAll() }
