// Package cache answers reads of orders and products from memory or from Redis.
// Orders and Products are decorators: each is the service that it stands before.
//
// What it guarantees. An order is not answered from a cache after a change of it
// was announced here: each change is announced before it takes effect, what is read
// while it is under way is not kept, and a read that was under way when the
// announcement came is neither kept nor given to those who ask later. While
// announcements may be missed, nothing is answered from a cache, and afterwards
// nothing that was kept before. A product was read at most Config.MaxAge before it
// was asked for. Each caller gets a copy of its own. However many ask for something
// that is not kept, it is read once, and a caller that leaves takes nothing from
// the others. Only what was found is kept: no errors, and nothing that is missing.
//
// Its limits. Listings are not cached. What nobody announces is noticed after
// Config.MaxAge: changes by a Python service, or by hand in the database. An order
// that a Python service answers, which has no version, is not kept.
package cache
