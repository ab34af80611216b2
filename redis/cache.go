package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"hangar/cache"
)

const (
	// cacheTimeout bounds what a request waits for the cache: a few times what it
	// waits for the service, where that is busy.
	cacheTimeout = 200 * time.Millisecond

	// cachePause is how long a cache that failed is left alone. Then one call tries.
	cachePause = time.Second

	// cacheWarnEvery is the least time between two warnings.
	cacheWarnEvery = time.Minute

	cachePrefix = "hangar:cache:"
)

// errAway is of calls that are not made, because Redis was away a moment ago.
var errAway = errors.New("the cache's Redis is away")

// Cache is a cache.Shared: each entry is the string hangar:cache:{key}, which
// expires. One that was dropped is an empty string for cache.DropTime, so that what
// was read before is not added after.
//
// A Redis that is away or slow costs one call a second up to 400 ms, and all others
// nothing. Redis may evict entries; if it evicts what was dropped within seconds,
// old entries may come back for as long as they live.
//
// It should have a database of its own: in that of the products its keys would make
// each listing look for products that others have made.
type Cache struct {
	option rueidis.ClientOption
	log    *slog.Logger
	client atomic.Pointer[rueidis.Client] // nil until Redis was reached
	next   atomic.Int64                   // when to try again, in Unix nanoseconds; 0 while all is well
	warned atomic.Int64                   // when the log last said that it cannot be used, likewise

	connecting sync.Mutex
	closed     bool
}

var _ cache.Shared = (*Cache)(nil)

// NewCache returns a cache in the Redis at a URL, which is read as OpenProducts
// does. It is not connected before it is needed. The error is about the URL, and
// does not show the password.
func NewCache(url string, log *slog.Logger) (*Cache, error) {
	option, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	option.Dialer.Timeout = cacheTimeout
	return &Cache{option: option, log: log.With("address", option.InitAddress[0])}, nil
}

// IsIn reports whether the cache is in the database that a URL names. It is not if
// the URL cannot be read.
func (c *Cache) IsIn(url string) bool {
	option, err := parseURL(url)
	return err == nil && option.InitAddress[0] == c.option.InitAddress[0] && option.SelectDB == c.option.SelectDB
}

// Close lets go of the connections. It may be called twice.
func (c *Cache) Close() error {
	c.connecting.Lock()
	defer c.connecting.Unlock()
	c.closed = true
	if client := c.client.Load(); client != nil {
		(*client).Close()
	}
	return nil
}

// Get implements cache.Shared.
func (c *Cache) Get(ctx context.Context, keys []string) ([][]byte, error) {
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = cachePrefix + key
	}
	values := make([][]byte, len(keys))
	err := c.do(ctx, func(ctx context.Context, client rueidis.Client) error {
		replies, err := client.Do(ctx, client.B().Mget().Key(names...).Build()).ToArray()
		if err != nil || len(replies) != len(keys) {
			return errors.Join(err, fmt.Errorf("%d values of %d keys", len(replies), len(keys)))
		}
		for i, reply := range replies {
			value, err := reply.AsBytes()
			if err == nil && len(value) > 0 { // an empty one was dropped
				values[i] = value
			}
		}
		return nil
	})
	return values, err
}

// Add implements cache.Shared.
func (c *Cache) Add(ctx context.Context, key string, value []byte, age time.Duration) error {
	return c.do(ctx, func(ctx context.Context, client rueidis.Client) error {
		set := client.B().Set().Key(cachePrefix + key).Value(rueidis.BinaryString(value)).Nx().PxMilliseconds(max(1, age.Milliseconds()))
		err := client.Do(ctx, set.Build()).Error()
		if rueidis.IsRedisNil(err) { // there is one
			return nil
		}
		return err
	})
}

// Drop implements cache.Shared.
func (c *Cache) Drop(ctx context.Context, key string) error {
	return c.do(ctx, func(ctx context.Context, client rueidis.Client) error {
		set := client.B().Set().Key(cachePrefix + key).Value("").PxMilliseconds(cache.DropTime.Milliseconds())
		return client.Do(ctx, set.Build()).Error()
	})
}

// do calls Redis, unless it was away a moment ago. The call has a time of its own:
// its caller may have none left, and has changed what is to be dropped.
func (c *Cache) do(ctx context.Context, call func(context.Context, rueidis.Client) error) error {
	if !c.admit(time.Now().UnixNano()) {
		return errAway
	}
	client := c.client.Load()
	if client == nil {
		if !c.connecting.TryLock() {
			return errAway
		}
		err := c.connect()
		c.connecting.Unlock()
		if err != nil {
			c.note(err)
			return err
		}
		client = c.client.Load()
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cacheTimeout)
	defer cancel()
	err := call(ctx, *client)
	c.note(err)
	return err
}

// connect makes the client, which keeps its connection up by itself from then on.
func (c *Cache) connect() error {
	if c.closed {
		return errClosed
	}
	if c.client.Load() != nil {
		return nil
	}
	client, err := rueidis.NewClient(c.option)
	if err == nil {
		c.client.Store(&client)
		return nil
	}
	if client != nil {
		client.Close()
	}
	return explain(err, c.option)
}

// admit reports whether a call may be made: during an outage one in each pause.
func (c *Cache) admit(now int64) bool {
	next := c.next.Load()
	return next == 0 || now >= next && c.next.CompareAndSwap(next, now+int64(cachePause))
}

// note notes what became of a call, and logs the beginning and the end of an
// outage. One that comes and goes is not logged each time.
func (c *Cache) note(err error) {
	if err == nil {
		if c.next.Load() != 0 && c.next.Swap(0) != 0 {
			c.log.Debug("the cache's Redis answers")
		}
		return
	}
	now := time.Now().UnixNano()
	if !c.next.CompareAndSwap(0, now+int64(cachePause)) {
		return
	}
	if warned := c.warned.Load(); warned == 0 || now-warned > int64(cacheWarnEvery) {
		c.warned.Store(now)
		c.log.Warn("the cache's Redis cannot be used; what it would answer is read from the services until it can", "error", err)
	}
}
