package main

import (
	"context"

	"hangar"
	"hangar/orders"
)

// countingCreator counts the holds that come with new orders: the products service,
// which counts its own, is not asked for these.
type countingCreator struct {
	next  orders.Creator
	count func(error)
}

// Create implements orders.Creator.
func (c countingCreator) Create(ctx context.Context, o hangar.Order, key *orders.Key, outcome orders.Outcome) (hangar.Order, error) {
	created, err := c.next.Create(ctx, o, key, outcome)
	if hangar.CodeOf(err) != hangar.Conflict { // then the key is known, and nothing was to be held
		c.count(err)
	}
	return created, err
}
