// Package redis stores products in Redis, as the Python services do, which may
// use the same database at the same time.
//
// A product is the hash products:{id}, with the fields id, title,
// passenger_capacity, maximum_speed and in_stock. The key says what the id is;
// the field id is written for the Python services. A hash that lacks another of
// the fields, or whose numbers are not integers of 64 bits, is no product: it
// is passed over, and told to the log, until a Put makes it whole or a Delete
// removes it. Keys that are not products begin with "hangar:".
//
// A write is one Lua script, and so one atomic step. Holds are kept in one hash.
// The listing has an index, which is compared with the number of keys in the
// database at each List, so that products are listed that the Python services
// have made; where other programs keep keys of theirs in the same database, such
// products may be listed later.
//
// Its limits: one Redis from version 6.0, no cluster, as an order's products are
// taken in one step. What is answered is as durable as Redis is set up to make
// it: OpenProducts warns where it may be lost.
package redis

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"hangar"
	"hangar/products"
)

// ProductStore is a products.Store in a Redis database. Its methods repeat what
// a lost connection has left open, within their context and at most for 10
// seconds. Beside the errors that products.Store names, they return Unavailable.
type ProductStore struct {
	link    *link
	index   *index
	scripts *scripts
	broken  *reporter
}

var _ products.Store = (*ProductStore)(nil)

// OpenProducts connects to the Redis at a URL as redis-py reads it:
//
//	redis://[user[:password]@]host[:port][/db]
//	rediss://…                                  with TLS
//	unix://[user[:password]@]/path[?db=…]
//
// A db that is no number is 0. With TLS, ssl_ca_certs=FILE names further
// authorities and ssl_cert_reqs=none trusts any certificate.
//
// It waits for a Redis that cannot be reached or is loading, until ctx is done.
// A wrong password, a db that does not exist, a cluster, or a Redis before 6.0
// is an error at once. No error shows the password.
func OpenProducts(ctx context.Context, url string, log *slog.Logger) (*ProductStore, error) {
	option, err := parseURL(url)
	if err != nil {
		return nil, err
	}
	client, err := connect(ctx, option, log)
	if err != nil {
		return nil, fmt.Errorf("the products' Redis at %s: %w", option.InitAddress[0], err)
	}
	warn(ctx, client, log)
	l, scripts := newLink(client, log), newScripts()
	s := &ProductStore{
		link:    l,
		scripts: scripts,
		index:   &index{link: l, scripts: scripts, log: log},
		broken:  &reporter{log: log},
	}
	s.index.open(ctx)
	return s, nil
}

// Close lets go of the connections. It may be called twice.
func (s *ProductStore) Close() error {
	s.link.close()
	return nil
}

// maxReported bounds the products that a reporter names.
const maxReported = 100

// reporter tells the log of hashes that are no products, of each once.
type reporter struct {
	log      *slog.Logger
	mu       sync.Mutex
	reported map[string]bool
}

func (r *reporter) report(id string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.reported[id] || len(r.reported) > maxReported {
		return
	}
	if r.reported == nil {
		r.reported = make(map[string]bool)
	}
	r.reported[id] = true
	if len(r.reported) > maxReported {
		r.log.Warn("more products are not whole, which are not named any more")
		return
	}
	r.log.Warn("a product is not whole in Redis and is passed over", "key", keyPrefix+id)
}

// notFound is the error for a product, and reports one that is there in part.
func (s *ProductStore) notFound(id string, isBroken bool) error {
	if isBroken {
		s.broken.report(id)
	}
	return hangar.NewProductNotFound(id)
}
