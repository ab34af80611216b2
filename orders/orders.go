// Package orders holds the rules of orders: the steps from a request to a
// confirmed order, what settles one that was left between two steps, and the
// relay that publishes what happened. How orders are stored is up to a Store.
//
// Every change of an order goes the same way: note it in the store, ask the
// stock to hold what the order then needs, settle it in the store. Each step
// may be repeated by anybody, at any time, with the same outcome. So there are
// no locks: whoever meets a change that is under way settles it first.
package orders

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"hangar"
	"hangar/crash"
)

const (
	// KeyRetention is how long an idempotency key is kept after its first use.
	KeyRetention = 24 * time.Hour

	// settleTimeout bounds what a request does once its change is noted; see
	// settleContext.
	settleTimeout = 10 * time.Second

	// attempts bounds how often a change begins anew because others were faster.
	attempts = 20
)

// Service takes orders. It is a hangar.OrderService.
type Service struct {
	store Store
	stock hangar.Stock
	log   *slog.Logger
	live  liveOrders
	full  func() bool // see RefuseWhile
	meter Meter

	creator  Creator                                    // see CreateWith
	announce func(context.Context, hangar.OrderChanged) // see AnnounceTo
	origin   func(context.Context) string               // nil notes none; see NoteOrigin

	recovered atomic.Int64 // the order after which recovery goes on; 0 is the beginning
}

var _ hangar.OrderService = (*Service)(nil)

// NewService returns a service that keeps orders in store and holds their
// products in stock.
func NewService(store Store, stock hangar.Stock, log *slog.Logger) *Service {
	return &Service{
		store:    store,
		stock:    stock,
		log:      log,
		full:     func() bool { return false },
		announce: func(context.Context, hangar.OrderChanged) {},
		meter:    unmeasured{},
	}
}

// RefuseWhile makes the service refuse new orders while full, such as
// Relay.IsFull, reports true. It is asked for each. RefuseWhile must be called
// before the service is used.
func (s *Service) RefuseWhile(full func() bool) { s.full = full }

// CreateWith makes the service create an order in one transaction, where the
// stock that was given to NewService is in the same store. It must be called
// before the service is used.
func (s *Service) CreateWith(c Creator) { s.creator = c }

// AnnounceTo makes the service announce each change of an order, by whomever it is
// carried through, before it takes effect. It waits for announce to return: what
// that does has happened before the change can be seen. AnnounceTo must be called
// before the service is used.
func (s *Service) AnnounceTo(announce func(context.Context, hangar.OrderChanged)) {
	s.announce = announce
}

// NoteOrigin makes the service store with each event what origin returns of the
// context of what it comes from: the relay, which publishes it later, is no part of
// that. It must be called before the service is used.
func (s *Service) NoteOrigin(origin func(context.Context) string) { s.origin = origin }

// Order implements hangar.OrderService.
func (s *Service) Order(ctx context.Context, id int64) (hangar.Order, error) {
	stored, err := s.store.Order(ctx, id)
	stored.Unsettled = stored.Change != nil
	return stored.Order, err
}

// ListOrders implements hangar.OrderService.
func (s *Service) ListOrders(ctx context.Context, q hangar.OrderQuery) (hangar.Page[hangar.Order], error) {
	if err := q.Validate(); err != nil {
		return hangar.Page[hangar.Order]{}, err
	}
	limit := q.Limit
	q.Limit++
	rows, err := s.store.List(ctx, q)
	return hangar.NewPage(rows, limit), err
}

// UpdateOrder implements hangar.OrderService.
func (s *Service) UpdateOrder(ctx context.Context, u hangar.OrderUpdate) (hangar.Order, error) {
	return s.change(ctx, u.ID, func(o hangar.Order) (*Change, error) {
		if o.Status != hangar.Confirmed {
			return nil, notConfirmed(o, "updated")
		}
		details, err := u.Apply(o.Details)
		return &Change{Kind: Update, Details: details}, err
	})
}

// CancelOrder implements hangar.OrderService.
func (s *Service) CancelOrder(ctx context.Context, id int64) (hangar.Order, error) {
	return s.change(ctx, id, func(o hangar.Order) (*Change, error) {
		switch o.Status {
		case hangar.Cancelled:
			return nil, nil
		case hangar.Confirmed:
			return &Change{Kind: Cancel}, nil
		default:
			return nil, notConfirmed(o, "cancelled")
		}
	})
}

// DeleteOrder implements hangar.OrderService.
func (s *Service) DeleteOrder(ctx context.Context, id int64) error {
	_, err := s.change(ctx, id, func(hangar.Order) (*Change, error) {
		return &Change{Kind: Delete}, nil
	})
	return err
}

func notConfirmed(o hangar.Order, what string) error {
	return hangar.Errorf(hangar.OrderNotConfirmed,
		"Order %d is %s; only a confirmed order can be %s.", o.ID, o.Status, what)
}

// change carries out what decide makes of the order. Decide sees an order with
// no change under way, and returns nil to leave it so.
func (s *Service) change(ctx context.Context, id int64, decide func(hangar.Order) (*Change, error)) (hangar.Order, error) {
	o, err := s.tryToChange(ctx, id, decide)
	return o, advise(err, "Look at the order before you try again.")
}

func (s *Service) tryToChange(ctx context.Context, id int64, decide func(hangar.Order) (*Change, error)) (hangar.Order, error) {
	for range attempts {
		stored, err := s.store.Order(ctx, id)
		if err != nil {
			return hangar.Order{}, err
		}
		if stored.Change != nil {
			if _, err := s.settle(ctx, stored); err != nil && !isRefusal(err) && !overtaken(err) {
				return hangar.Order{}, err
			}
			continue
		}
		c, err := decide(stored.Order)
		if c == nil || err != nil {
			return stored.Order, err
		}
		// Late enough that no event of the order can still be on its way to the
		// stock, early enough that the stock knows all younger holds.
		c.HoldIsOld = stored.Status == hangar.Confirmed && time.Since(stored.ChangedAt) > hangar.HoldRetention/2
		err = s.store.Begin(ctx, id, stored.Version, *c)
		if overtaken(err) {
			continue
		}
		if err != nil {
			return hangar.Order{}, fmt.Errorf("begin to %s order %d: %w", c.Kind, id, err)
		}
		crash.At("orders.begun")
		stored.Version++
		stored.Change = c
		return s.settle(ctx, stored)
	}
	return hangar.Order{}, hangar.Errorf(hangar.Conflict,
		"Order %d is being changed by others. Get it, and try again.", id)
}

func overtaken(err error) bool { return hangar.CodeOf(err) == hangar.Conflict }

// isRefusal reports whether the stock has said no, for good. A ValidationError
// is such an answer too: lines that a Python service stored may hold what cannot
// be held, and asking again would keep all later orders from being settled.
func isRefusal(err error) bool {
	switch hangar.CodeOf(err) {
	case hangar.OutOfStock, hangar.ProductNotFound, hangar.ValidationError:
		return true
	}
	return false
}

// settle carries a noted change through: it asks the stock, and writes what
// comes of it. The order it returns is as it is then; the error is the refusal.
func (s *Service) settle(ctx context.Context, stored Stored) (hangar.Order, error) {
	ctx, cancel := settleContext(ctx)
	defer cancel()
	defer s.live.enter(stored.ID)()
	if stored.Change.Kind == unreadable {
		return hangar.Order{}, fmt.Errorf("order %d has a change that cannot be read: it is damaged, or of a later version", stored.ID)
	}
	if stored.Change.Kind != Create { // which nobody has stored yet
		s.announce(ctx, hangar.OrderChanged{ID: stored.ID, Version: stored.Version})
	}
	err := s.stock.Hold(ctx, holdFor(stored))
	crash.At("orders.held")
	if overtaken(err) {
		return s.overtaken(ctx, stored)
	}
	if err != nil && !isRefusal(err) {
		return hangar.Order{}, unknown(stored, err)
	}
	refusal, _ := errors.AsType[*hangar.Error](err)
	settled, settlement, err := s.outcome(ctx, stored, refusal)
	if err != nil {
		return hangar.Order{}, err
	}
	crash.At("orders.settle")
	// Whether this or another call writes it, what is written is the same.
	if _, err := s.store.Settle(ctx, stored.ID, stored.Version, settlement); err != nil {
		return hangar.Order{}, unknown(stored, err)
	}
	crash.At("orders.settled")
	if refusal != nil {
		return settled, refusal
	}
	return settled, nil
}

// settleContext returns the context of what a request does once its change is
// noted. A client that goes away does not end it, but the request's deadline
// does, a little early: a tenth of the time that is left is for the answer.
func settleContext(ctx context.Context) (context.Context, context.CancelFunc) {
	timeout := settleTimeout
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)*9/10)
	}
	return context.WithTimeout(context.WithoutCancel(ctx), timeout)
}

// holdFor returns what the stock must hold for the order to be as its change
// wants it.
func holdFor(stored Stored) hangar.Hold {
	h := hangar.Hold{ID: stored.HoldID(), Version: stored.Version}
	switch stored.Change.Kind {
	case Create:
		h.Quantities = hangar.Quantities(stored.Details)
	case Update:
		h.Quantities = hangar.Quantities(stored.Change.Details)
	}
	if stored.Change.HoldIsOld {
		h.Before = hangar.Quantities(stored.Details)
	}
	return h
}

// outcome returns the order as it is after its change, and how to write that.
// The refusal is nil if the stock holds what the change wants.
func outcome(stored Stored, refusal *hangar.Error) (hangar.Order, Settlement, error) {
	o := stored.Order
	s := Settlement{Status: o.Status}
	switch {
	case stored.Change.Kind == Create && refusal != nil:
		s.Status, s.Refusal = hangar.Rejected, refusal
	case stored.Change.Kind == Create:
		s.Status = hangar.Confirmed
	case stored.Change.Kind == Update && refusal == nil:
		s.Details = stored.Change.Details
		o.Details = s.Details
	case stored.Change.Kind == Cancel:
		s.Status = hangar.Cancelled
	case stored.Change.Kind == Delete:
		s.Delete = true
	}
	o.Status = s.Status
	if stored.Change.Kind == Create && refusal == nil {
		payload, err := json.Marshal(hangar.OrderCreated{Order: o})
		if err != nil {
			return o, s, fmt.Errorf("encode event of order %d: %w", o.ID, err)
		}
		s.Event = &Event{Type: hangar.OrderCreatedEvent, Payload: payload}
	}
	return o, s, nil
}

// outcome is outcome with the event's origin.
func (s *Service) outcome(ctx context.Context, stored Stored, refusal *hangar.Error) (hangar.Order, Settlement, error) {
	o, settlement, err := outcome(stored, refusal)
	if settlement.Event != nil && s.origin != nil {
		settlement.Event.Origin = s.origin(ctx)
	}
	return o, settlement, err
}

// overtaken returns the order after others have settled its change and begun
// a later one.
func (s *Service) overtaken(ctx context.Context, stored Stored) (hangar.Order, error) {
	now, err := s.store.Order(ctx, stored.ID)
	gone := hangar.CodeOf(err) == hangar.OrderNotFound
	if err != nil && !gone {
		return hangar.Order{}, unknown(stored, err)
	}
	// Only a confirmed order is changed further: a creation that was overtaken
	// has succeeded, and nothing refuses a cancellation or a deletion.
	switch {
	case stored.Change.Kind == Update:
		return hangar.Order{}, hangar.Errorf(hangar.Conflict,
			"Order %d was changed by others meanwhile. Get it, and try again.", stored.ID)
	case gone:
		return stored.Order, nil
	default:
		return now.Order, nil
	}
}

// unknown returns the error for a change that is noted and whose outcome is
// open. Recovery settles it.
func unknown(stored Stored, cause error) error {
	what := fmt.Sprintf("A change of order %d", stored.ID)
	if stored.Change.Kind == Create {
		what = fmt.Sprintf("Order %d", stored.ID)
	}
	return &hangar.Error{
		Code:    hangar.Unavailable,
		Message: what + " is stored, but whether it could be carried through is not known yet.",
		Err:     fmt.Errorf("%s order %d: %w", stored.Change.Kind, stored.ID, cause),
	}
}

// advise adds to an error with the code Unavailable what to do, as the outcome of
// a write may be open.
func advise(err error, advice string) error {
	if hangar.CodeOf(err) != hangar.Unavailable {
		return err
	}
	e, ok := errors.AsType[*hangar.Error](err)
	if !ok {
		e = &hangar.Error{Message: "The request took too long.", Err: err}
	}
	message := strings.TrimSuffix(e.Message, " Try again.")
	return &hangar.Error{Code: hangar.Unavailable, Message: message + " " + advice, Details: e.Details, Err: e.Err}
}
