package nameko

import (
	"context"
	"fmt"
	"sync"
)

// current is something that comes and goes with the broker, and that others
// wait for.
type current[T any] struct {
	mu      sync.Mutex
	value   *T            // nil while there is none
	cause   error         // why there is none
	changed chan struct{} // closed when there is one; nil while nobody waits
}

// set notes what there is now, or with nil, why there is nothing.
func (c *current[T]) set(value *T, cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.value, c.cause = value, cause
	if value != nil && c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// get returns nil if there is none.
func (c *current[T]) get() *T {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.value
}

// present returns what there is, without waiting. The error is ErrNoBroker, with the
// cause.
func (c *current[T]) present() (*T, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.value != nil:
		return c.value, nil
	case c.cause != nil:
		return nil, noBroker(c.cause)
	}
	return nil, ErrNoBroker
}

// wait waits until there is one. The error is ErrNoBroker, with the cause.
func (c *current[T]) wait(ctx context.Context) (*T, error) {
	for {
		c.mu.Lock()
		if c.value != nil {
			defer c.mu.Unlock()
			return c.value, nil
		}
		if c.changed == nil {
			c.changed = make(chan struct{})
		}
		changed := c.changed
		c.mu.Unlock()
		select {
		case <-ctx.Done():
			return nil, noBroker(c.why(ctx))
		case <-changed:
		}
	}
}

// why returns why there is nothing.
func (c *current[T]) why(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause == nil {
		return ctx.Err()
	}
	return c.cause
}

func noBroker(cause error) error { return fmt.Errorf("%w: %w", ErrNoBroker, cause) }
