package rpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"hangar"
	"hangar/nameko"
)

const (
	// announcePatience bounds what an announcement adds to the change that it is of.
	announcePatience = 2 * time.Second

	// awayPatience is that while the broker is away, and was when the announcement
	// before was made: nobody who could hear it would be served.
	awayPatience = 100 * time.Millisecond

	// announceAgain is the pause before an announcement whose outcome is in doubt is
	// made again.
	announceAgain = 50 * time.Millisecond
)

// AnnounceOrders returns what announces changes of orders to every Audience. It
// returns when the broker has passed the announcement on to all that listen. If
// that takes more than two seconds, the log says so, and the change goes on without.
func AnnounceOrders(p *nameko.Publisher, log *slog.Logger) func(context.Context, hangar.OrderChanged) {
	a := &announcer{publisher: p}
	return func(ctx context.Context, e hangar.OrderChanged) {
		if err := a.announce(ctx, hangar.OrderChangedEvent, e); err != nil {
			log.Warn("a change of an order could not be announced to caches", "order", e.ID, "error", err)
		}
	}
}

// AnnounceProducts is AnnounceOrders for products.
func AnnounceProducts(p *nameko.Publisher, log *slog.Logger) func(context.Context, hangar.ProductChanged) {
	a := &announcer{publisher: p}
	return func(ctx context.Context, e hangar.ProductChanged) {
		if err := a.announce(ctx, hangar.ProductChangedEvent, e); err != nil {
			log.Warn("a change of a product could not be announced to caches", "product", e.ID, "error", err)
		}
	}
}

type announcer struct {
	publisher *nameko.Publisher
	away      atomic.Bool // the last announcement found no broker
}

// announce publishes an event as often as it takes. A caller who leaves does not
// end it: the change may happen, or has.
func (a *announcer) announce(ctx context.Context, event string, e any) error {
	payload, err := json.Marshal(e)
	if err != nil {
		return err
	}
	patience := announcePatience
	if a.away.Load() {
		patience = awayPatience
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	for {
		err := a.publisher.Publish(ctx, nameko.Event{Type: event, Payload: payload, Transient: true})
		a.away.Store(errors.Is(err, nameko.ErrNoBroker))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(announceAgain):
		}
	}
}

// Audience is told of changes. Its methods may be called at the same time, and
// must be quick.
type Audience interface {
	// Listening says that from now on no change is missed.
	Listening()
	OrderChanged(context.Context, hangar.OrderChanged)
	ProductChanged(context.Context, hangar.ProductChanged)
	// Deaf says that changes may have been missed, and will be until Listening.
	Deaf()
}

// Listen returns a listener that tells an audience of what is announced, on
// behalf of an instance of a service.
func Listen(b *nameko.Broker, service string, a Audience) *nameko.Listener {
	return nameko.NewListener(b, service, audience{a},
		nameko.Subscription{Source: hangar.OrdersService, Event: hangar.OrderChangedEvent, Method: "forget_order"},
		nameko.Subscription{Source: hangar.ProductsService, Event: hangar.ProductChangedEvent, Method: "forget_product"},
	)
}

// audience is an Audience of events.
type audience struct{ Audience }

// Hear implements nameko.Audience.
func (a audience) Hear(ctx context.Context, e nameko.Event) error {
	switch e.Type {
	case hangar.OrderChangedEvent:
		var changed hangar.OrderChanged
		if err := json.Unmarshal(e.Payload, &changed); err != nil || changed.ID == 0 {
			return fmt.Errorf("%w: it names no order", nameko.ErrUnusable)
		}
		a.OrderChanged(ctx, changed)
	case hangar.ProductChangedEvent:
		var changed hangar.ProductChanged
		if err := json.Unmarshal(e.Payload, &changed); err != nil || changed.ID == "" {
			return fmt.Errorf("%w: it names no product", nameko.ErrUnusable)
		}
		a.ProductChanged(ctx, changed)
	}
	return nil
}
