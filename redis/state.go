package redis

import (
	"context"

	"github.com/redis/rueidis"
)

// Ping returns nil if Redis answers and takes commands.
func (s *ProductStore) Ping(ctx context.Context) error {
	client := s.link.client
	return translate(client.Do(ctx, client.B().Ping().Build()).Error())
}

// Ping returns nil if the cache can be used. While it was away a moment ago, that
// is not tried.
func (c *Cache) Ping(ctx context.Context) error {
	return translate(c.do(ctx, func(ctx context.Context, client rueidis.Client) error {
		return client.Do(ctx, client.B().Ping().Build()).Error()
	}))
}
