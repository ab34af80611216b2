// Package products holds the rules of the catalogue and of the stock: what may
// be stored, and what happens to the stock when orders come in. How products
// are stored is up to a Store.
package products

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"

	"hangar"
	"hangar/crash"
)

// Store keeps products and the holds on them. A store only stores, with one
// exception: a hold's marker and the stock change in one atomic step, so that
// step is the store's; hangartest.TestProductStore says what it must do.
type Store interface {
	// Put creates or replaces a product.
	Put(ctx context.Context, p hangar.Product) error

	// Insert creates a product. Error: ProductExists.
	Insert(ctx context.Context, p hangar.Product) error

	// Edit changes a product but for its stock, in one atomic step, and returns
	// it as it is then. Error: ProductNotFound.
	Edit(ctx context.Context, e hangar.ProductEdit) (hangar.Product, error)

	// Product returns one product. Error: ProductNotFound.
	Product(ctx context.Context, id string) (hangar.Product, error)

	// Products returns those of the ids that exist, in the order of the ids.
	Products(ctx context.Context, ids []string) ([]hangar.Product, error)

	// List returns up to q.Limit products, by id in byte order.
	List(ctx context.Context, q hangar.ProductQuery) ([]hangar.Product, error)

	// Delete removes a product. Error: ProductNotFound.
	Delete(ctx context.Context, id string) error

	// Hold does what hangar.Stock says.
	Hold(ctx context.Context, h hangar.Hold) error

	// Take is Hold for what is sold already: it refuses nothing, goes below
	// zero where it must, and passes over products that do not exist. A version
	// that is not newer than the last changes nothing and is no error.
	Take(ctx context.Context, h hangar.Hold) error

	// Restock adds units of a product to its stock and keeps that under the
	// marker, in one atomic step. A marker that is kept with the same product
	// and quantity adds nothing, and is Replayed. Errors, which add and keep
	// nothing: ProductNotFound, IdempotencyKeyReused for a marker of something
	// else, and ValidationError for more than hangar.MaxInteger in stock.
	Restock(ctx context.Context, marker, id string, quantity int64) (hangar.Restocked, error)

	// SweepHolds forgets holds, and markers of restocks, that have not changed
	// since before.
	SweepHolds(ctx context.Context, before time.Time) error
}

// Service is the catalogue and the stock. It is a hangar.ProductService, a
// hangar.Stock and a handler of hangar.OrderEvents.
type Service struct {
	store    Store
	log      *slog.Logger
	announce func(context.Context, hangar.ProductChanged) // see AnnounceTo
	counts   counts
}

var (
	_ hangar.ProductService = (*Service)(nil)
	_ hangar.Stock          = (*Service)(nil)
	_ hangar.OrderEvents    = (*Service)(nil)
)

// NewService returns a service on a store. It logs what it must pass over.
func NewService(store Store, log *slog.Logger) *Service {
	return &Service{
		store:    store,
		log:      log,
		announce: func(context.Context, hangar.ProductChanged) {},
		counts:   counts{instance: uuid.NewString()},
	}
}

// AnnounceTo makes the service announce each product that was created, replaced,
// restocked or deleted, before it answers. It waits for announce to return. AnnounceTo must be
// called before the service is used.
func (s *Service) AnnounceTo(announce func(context.Context, hangar.ProductChanged)) {
	s.announce = announce
}

// sweepEvery is how often old holds are looked for.
const sweepEvery = time.Hour

// Run forgets holds after hangar.HoldRetention, until ctx is done.
func (s *Service) Run(ctx context.Context) error {
	tick := time.NewTicker(sweepEvery)
	defer tick.Stop()
	for {
		err := s.store.SweepHolds(ctx, time.Now().Add(-hangar.HoldRetention))
		if err != nil && ctx.Err() == nil {
			s.log.Warn("sweeping old holds failed, will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// PutProduct implements hangar.ProductService.
func (s *Service) PutProduct(ctx context.Context, p hangar.Product) error {
	if err := p.Validate(); err != nil {
		return err
	}
	return s.announced(ctx, p.ID, s.store.Put(ctx, p))
}

// CreateProduct implements hangar.ProductService.
func (s *Service) CreateProduct(ctx context.Context, p hangar.Product) error {
	if err := p.Validate(); err != nil {
		return err
	}
	return s.announced(ctx, p.ID, s.store.Insert(ctx, p))
}

// Product implements hangar.ProductService.
func (s *Service) Product(ctx context.Context, id string) (hangar.Product, error) {
	return s.store.Product(ctx, id)
}

// Products implements hangar.ProductService.
func (s *Service) Products(ctx context.Context, ids []string) ([]hangar.Product, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	return s.store.Products(ctx, ids)
}

// ListProducts implements hangar.ProductService.
func (s *Service) ListProducts(ctx context.Context, q hangar.ProductQuery) (hangar.Page[hangar.Product], error) {
	if err := q.Validate(); err != nil {
		return hangar.Page[hangar.Product]{}, err
	}
	limit := q.Limit
	q.Limit++
	items, err := s.store.List(ctx, q)
	return hangar.NewPage(items, limit), err
}

// DeleteProduct implements hangar.ProductService.
func (s *Service) DeleteProduct(ctx context.Context, id string) error {
	return s.announced(ctx, id, s.store.Delete(ctx, id))
}

// announced announces a change that has come out so, unless it was refused, and
// returns err. One whose outcome is open may have changed the product.
func (s *Service) announced(ctx context.Context, id string, err error) error {
	switch hangar.CodeOf(err) {
	case hangar.ProductExists, hangar.ProductNotFound, hangar.ValidationError, hangar.IdempotencyKeyReused:
	default:
		s.announce(ctx, hangar.ProductChanged{ID: id})
	}
	return err
}

// Hold implements hangar.Stock.
func (s *Service) Hold(ctx context.Context, h hangar.Hold) error {
	if err := h.Validate(); err != nil {
		return err
	}
	crash.At("products.hold")
	if crash.Off("marker") {
		h.ID = uuid.NewString()
	}
	err := s.store.Hold(ctx, h)
	if len(h.Quantities) > 0 {
		s.CountHold(err)
	}
	crash.At("products.held")
	return err
}

// HandleOrderCreated takes what the order was confirmed with out of the stock,
// once, where no hold has done so. For hangar's own orders a hold has, unless
// the products service was a Python one when they were placed; for those of the
// Python orders service none ever has.
func (s *Service) HandleOrderCreated(ctx context.Context, e hangar.OrderCreated) error {
	h := hangar.Hold{
		ID:         e.Order.HoldID(),
		Version:    max(1, e.Order.Version),
		Quantities: hangar.Quantities(e.Order.Details),
	}
	crash.At("products.take")
	if crash.Off("marker") {
		h.ID = uuid.NewString()
	}
	if err := s.store.Take(ctx, h); err != nil {
		return fmt.Errorf("take the stock of order %d: %w", e.Order.ID, err)
	}
	crash.At("products.taken")
	return nil
}
