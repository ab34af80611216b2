package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"

	"hangar"
	"hangar/cache"
	"hangar/nameko"
	"hangar/redis"
	"hangar/rpc"
)

// caches stand between a gateway and the services. A process without a gateway
// has them to drop what others share with it.
type caches struct {
	orders   *cache.Orders
	products *cache.Products // nil reads products through
	through  hangar.ProductService
	shared   *redis.Cache // nil keeps everything in the process
	log      *slog.Logger
}

var _ rpc.Audience = (*caches)(nil)

// newCaches returns nil if nothing is cached.
func newCaches(c *Config, orders hangar.OrderService, products hangar.ProductService, log *slog.Logger) (*caches, error) {
	if c.Cache == "off" {
		return nil, nil
	}
	config := cache.Config{MaxAge: c.CacheTTL, Size: c.CacheSize, Log: log}
	made := &caches{through: products, log: log}
	if c.Cache == "redis" {
		shared, err := newShared(c, log)
		if err != nil {
			return nil, err
		}
		config.Shared, made.shared = shared, shared
	}
	made.orders = cache.NewOrders(orders, config)
	if config.MaxAge = min(config.MaxAge, c.CacheStockAge); config.MaxAge > 0 {
		made.products = cache.NewProducts(products, config)
	}
	return made, nil
}

// checkCache refuses a cache that would not hear of all changes, or that has no
// place.
func checkCache(c *Config) error {
	switch c.Cache {
	case "ttl":
		if c.AMQP == "" && c.OrdersDB != "" {
			return usagef("--cache ttl with --orders-db needs --amqp: another process may change orders there, and nothing else " +
				"would tell this one; or use --cache redis")
		}
	case "redis":
		_, err := newShared(c, slog.Default())
		return err
	}
	return nil
}

// newShared does not connect yet.
func newShared(c *Config, log *slog.Logger) (*redis.Cache, error) {
	if c.CacheRedis == "" {
		return nil, usagef("--cache redis needs a database to cache in; name it with --cache-redis")
	}
	shared, err := redis.NewCache(c.CacheRedis, log)
	if err != nil {
		return nil, usagef("cache-redis is %q (%s): %w", mask(c.CacheRedis), c.Origins["cache-redis"].Source, err)
	}
	if shared.IsIn(c.ProductsDB) {
		return nil, usagef("cache-redis (%s) names the products' own database, whose listings the cache would slow down; "+
			"give it another one, such as redis://host:port/1", c.Origins["cache-redis"].Source)
	}
	return shared, nil
}

// services returns what the gateway talks to.
func (c *caches) services() (hangar.OrderService, hangar.ProductService) {
	if c.products == nil {
		return c.orders, c.through
	}
	return c.orders, c.products
}

// Listening implements rpc.Audience.
func (c *caches) Listening() {
	c.orders.Listening()
	if c.products != nil {
		c.products.Listening()
	}
}

// Deaf implements rpc.Audience.
func (c *caches) Deaf() {
	c.orders.Deaf()
	if c.products != nil {
		c.products.Deaf()
	}
}

// OrderChanged implements rpc.Audience.
func (c *caches) OrderChanged(ctx context.Context, e hangar.OrderChanged) {
	c.orders.OrderChanged(ctx, e)
}

// ProductChanged implements rpc.Audience.
func (c *caches) ProductChanged(ctx context.Context, e hangar.ProductChanged) {
	if c.products != nil {
		c.products.ProductChanged(ctx, e)
	}
}

// run returns nil when ctx is done and nothing is read for the caches any more. It
// logs what they were good for.
func (c *caches) run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { c.orders.Run(ctx) }) // returns nil, always
	if c.products != nil {
		running.Go(func() { c.products.Run(ctx) })
	}
	running.Wait()
	c.report("orders", c.orders.Stats())
	if c.products != nil {
		c.report("products", c.products.Stats())
	}
	return nil
}

func (c *caches) report(what string, s cache.Stats) {
	if s.Hits+s.Misses == 0 {
		return
	}
	c.log.Info("the cache was used", "of", what, "hits", s.Hits, "misses", s.Misses, "loads", s.Loads, "refused", s.Refused)
}

// holdShared lets go of what is shared when ctx is done.
func (c *caches) holdShared(ctx context.Context) error {
	<-ctx.Done()
	return c.shared.Close()
}

// announcements is who is told of changes by the services of this process, one
// after the other.
type announcements struct {
	orders   []func(context.Context, hangar.OrderChanged)
	products []func(context.Context, hangar.ProductChanged)
}

func (a *announcements) orderChanged(ctx context.Context, e hangar.OrderChanged) {
	for _, tell := range a.orders {
		tell(ctx, e)
	}
}

func (a *announcements) productChanged(ctx context.Context, e hangar.ProductChanged) {
	for _, tell := range a.products {
		tell(ctx, e)
	}
}

// announce settles who is told of changes: the caches of this process, which may
// be nil, and those of others. Changes of orders are always announced to others,
// because this process cannot know whether they cache. Those of products are
// announced if it caches products itself: they are many, and without one of them a
// stock is shown that is no older than it may be.
func (p *process) announce(c *Config, names []string, r *remote, told *announcements, caches *caches) {
	if caches != nil {
		told.orders = append(told.orders, caches.OrderChanged)
		told.products = append(told.products, caches.ProductChanged)
		p.background = append(p.background, caches.run)
		if caches.shared != nil {
			p.callers = append(p.callers, caches.holdShared)
		}
	}
	if r == nil {
		return
	}
	if slices.Contains(names, "orders") {
		told.orders = append(told.orders, rpc.AnnounceOrders(nameko.NewPublisher(r.broker, hangar.OrdersService), p.log))
	}
	if slices.Contains(names, "products") && caches != nil && caches.products != nil {
		told.products = append(told.products, rpc.AnnounceProducts(nameko.NewPublisher(r.broker, hangar.ProductsService), p.log))
	}
}

// listen lets caches be used while all changes can be heard. In one process they
// always can.
func (p *process) listen(r *remote, c *caches) {
	if r == nil {
		c.Listening()
		return
	}
	p.background = append(p.background, rpc.Listen(r.broker, "gateway", c).Run)
}
