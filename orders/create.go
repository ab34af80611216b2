package orders

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"github.com/google/uuid"

	"hangar"
	"hangar/crash"
)

// CreateOrder implements hangar.OrderService. While the first request with an
// idempotency key is worked on, others with it wait for the same outcome; when
// their time is up before, there is one more error: Conflict.
func (s *Service) CreateOrder(ctx context.Context, n hangar.NewOrder) (hangar.OrderCreation, error) {
	created, err := s.createOrReplay(ctx, n)
	s.measure(created, err)
	return created, err
}

func (s *Service) createOrReplay(ctx context.Context, n hangar.NewOrder) (hangar.OrderCreation, error) {
	if err := n.Validate(); err != nil {
		return hangar.OrderCreation{}, err
	}
	key := newKey(n)
	if s.full() {
		return s.replayOnly(ctx, key)
	}
	if key == nil {
		created, err := s.create(ctx, n, nil)
		return created, advise(err, "Look at the order, or for it, before you ask for another.")
	}
	created, err := s.create(ctx, n, key)
	return created, advise(err, sameKey)
}

const sameKey = "Ask again with the same Idempotency-Key."

func (s *Service) create(ctx context.Context, n hangar.NewOrder, key *Key) (hangar.OrderCreation, error) {
	order, err := newOrder(n.Details)
	if err != nil {
		return hangar.OrderCreation{}, err
	}
	crash.At("orders.insert")
	if s.creator != nil {
		return s.createAtOnce(ctx, order, key)
	}
	stored, err := s.store.Insert(ctx, order, key)
	if key != nil && hangar.CodeOf(err) == hangar.Conflict {
		return s.replay(ctx, key)
	}
	if err != nil {
		return hangar.OrderCreation{}, fmt.Errorf("insert order: %w", err)
	}
	crash.At("orders.inserted")
	created, err := s.settle(ctx, stored)
	return hangar.OrderCreation{Order: created}, err
}

// createAtOnce is create in one transaction: there is no change that is under way.
func (s *Service) createAtOnce(ctx context.Context, order hangar.Order, key *Key) (hangar.OrderCreation, error) {
	if err := holdFor(Stored{Order: order, Change: &Change{Kind: Create}}).Validate(); err != nil {
		return hangar.OrderCreation{}, err
	}
	creation := outcomeOfCreation
	if s.origin != nil {
		creation = func(o hangar.Order, refusal *hangar.Error) (hangar.Order, Settlement, error) {
			return s.outcome(ctx, Stored{Order: o, Change: &Change{Kind: Create}}, refusal)
		}
	}
	created, err := s.creator.Create(ctx, order, key, creation)
	crash.At("orders.settled")
	switch {
	case key != nil && hangar.CodeOf(err) == hangar.Conflict:
		return s.replay(ctx, key)
	case err != nil && !isRefusal(err):
		return hangar.OrderCreation{}, fmt.Errorf("create order: %w", err)
	}
	return hangar.OrderCreation{Order: created}, err
}

func outcomeOfCreation(o hangar.Order, refusal *hangar.Error) (hangar.Order, Settlement, error) {
	return outcome(Stored{Order: o, Change: &Change{Kind: Create}}, refusal)
}

func newOrder(details []hangar.OrderDetail) (hangar.Order, error) {
	// Version 7: keys that are made one after the other lie side by side in an
	// index, which keeps its cost the same however many there are.
	hold, err := uuid.NewV7()
	if err != nil {
		return hangar.Order{}, fmt.Errorf("make a hold key: %w", err)
	}
	return hangar.Order{
		Details:   details,
		Status:    hangar.Pending,
		Version:   1,
		Hold:      hold.String(),
		CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}, nil
}

// newKey returns the idempotency key of a request, or nil. The hash is of what
// was asked for, not of how it was spelled.
func newKey(n hangar.NewOrder) *Key {
	if n.IdempotencyKey == "" || crash.Off("key") {
		return nil
	}
	var body bytes.Buffer
	for _, d := range n.Details {
		fmt.Fprintf(&body, "%q %d %d\n", d.ProductID, d.Price, d.Quantity)
	}
	hash := sha256.Sum256(body.Bytes())
	return &Key{Key: n.IdempotencyKey, BodyHash: hash[:]}
}

// replayOnly answers a request that is not new; others are refused.
func (s *Service) replayOnly(ctx context.Context, key *Key) (hangar.OrderCreation, error) {
	if key != nil {
		first, err := s.store.Key(ctx, key.Key)
		if err != nil {
			return hangar.OrderCreation{}, fmt.Errorf("look up idempotency key: %w", err)
		}
		if first != nil {
			created, err := s.replay(ctx, key)
			return created, advise(err, sameKey)
		}
	}
	return hangar.OrderCreation{}, hangar.Errorf(hangar.Unavailable,
		"No orders are taken now: the events of earlier orders cannot be delivered. Nothing was stored; try again later.")
}

// replay answers a request whose key was used before with the first outcome,
// which it brings about if it is still open.
func (s *Service) replay(ctx context.Context, key *Key) (hangar.OrderCreation, error) {
	first, err := s.store.Key(ctx, key.Key)
	switch {
	case err != nil:
		return hangar.OrderCreation{}, fmt.Errorf("look up idempotency key: %w", err)
	case first == nil:
		return hangar.OrderCreation{}, hangar.Errorf(hangar.Unavailable, "The idempotency key has just expired. Try again.")
	case !bytes.Equal(first.BodyHash, key.BodyHash):
		return hangar.OrderCreation{}, hangar.Errorf(hangar.IdempotencyKeyReused,
			"The idempotency key was used with another order. Use a new key for a new order.")
	}
	replayed := hangar.OrderCreation{Order: hangar.Order{ID: first.OrderID}, Replayed: true}
	if first.Refusal != nil {
		return replayed, first.Refusal
	}
	stored, err := s.store.Order(ctx, first.OrderID)
	if hangar.CodeOf(err) == hangar.OrderNotFound {
		return replayed, nil // it was confirmed, and deleted since
	}
	if err != nil {
		return hangar.OrderCreation{}, fmt.Errorf("get order %d: %w", first.OrderID, err)
	}
	replayed.Order = stored.Order
	if stored.Change != nil && stored.Status == hangar.Pending {
		return s.replayUnsettled(ctx, stored)
	}
	if stored.Status == hangar.Rejected { // since the key was read: now it has the refusal
		first, err = s.store.Key(ctx, key.Key)
		if err == nil && (first == nil || first.Refusal == nil) {
			err = fmt.Errorf("order %d is rejected, but its idempotency key has no refusal", stored.ID)
		}
		if err != nil {
			return hangar.OrderCreation{}, err
		}
		return replayed, first.Refusal
	}
	return replayed, nil
}

// replayUnsettled does with the first request what that does by itself. Both come
// to the same end.
func (s *Service) replayUnsettled(ctx context.Context, stored Stored) (hangar.OrderCreation, error) {
	settled, err := s.settle(ctx, stored)
	if hangar.CodeOf(err) != hangar.Unavailable {
		return hangar.OrderCreation{Order: settled, Replayed: err == nil || isRefusal(err)}, err
	}
	if s.live.has(stored.ID) {
		err = &hangar.Error{
			Code: hangar.Conflict,
			Message: "The first request with this Idempotency-Key is still being worked on. " +
				"Ask again with the same key to learn what came of it.",
			Err: err,
		}
	}
	return hangar.OrderCreation{}, err
}
