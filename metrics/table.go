package metrics

import (
	"maps"
	"sync"
	"sync/atomic"
)

// maxRows bounds a table, in case something that clients choose gets into its
// keys after all.
const maxRows = 1000

// table is a map that makes what it does not have. To look up what it has allocates
// nothing and waits for nobody.
type table[K comparable, V any] struct {
	make func(K) V
	rows atomic.Pointer[map[K]V]
	mu   sync.Mutex // held to add a row
}

func newTable[K comparable, V any](make func(K) V) *table[K, V] {
	t := &table[K, V]{make: make}
	t.rows.Store(new(map[K]V))
	return t
}

// get returns the row of a key; that of the key without a value when the table is
// full.
func (t *table[K, V]) get(key K) V {
	if row, ok := (*t.rows.Load())[key]; ok {
		return row
	}
	return t.add(key)
}

func (t *table[K, V]) add(key K) V {
	t.mu.Lock()
	defer t.mu.Unlock()
	rows := *t.rows.Load()
	if len(rows) >= maxRows {
		key = *new(K)
	}
	if row, ok := rows[key]; ok {
		return row
	}
	rows = maps.Clone(rows)
	if rows == nil {
		rows = make(map[K]V)
	}
	rows[key] = t.make(key)
	t.rows.Store(&rows)
	return rows[key]
}
