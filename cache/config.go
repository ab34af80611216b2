package cache

import (
	"context"
	"log/slog"
	"time"
)

// Config is how a cache keeps what it has read.
type Config struct {
	// MaxAge is how long after it was read something is still answered. It must be
	// above 0.
	MaxAge time.Duration

	// Size bounds what is kept in the process, in entries of up to 1 KiB; a larger
	// one counts as several. With keys and bookkeeping that is at most 1.5 KiB each.
	Size int

	// Shared keeps the entries instead of the process, for all that have the same
	// one. nil keeps them in the process.
	Shared Shared

	Log *slog.Logger
}

// Shared keeps bytes under keys for several processes. Its methods return soon,
// whatever has become of what they need; an error says that it is not known
// whether they did what they should.
type Shared interface {
	// Get returns what is kept under each key, nil for nothing.
	Get(ctx context.Context, keys []string) ([][]byte, error)

	// Add keeps a value for so long, unless there is one, or it was dropped in the
	// last DropTime.
	Add(ctx context.Context, key string, value []byte, age time.Duration) error

	// Drop forgets what is under a key.
	Drop(ctx context.Context, key string) error
}

// DropTime is for how long a Shared refuses to Add what was dropped: longer than a
// read can take that began before.
const DropTime = 3 * loadTimeout
