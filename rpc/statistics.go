package rpc

import (
	"context"
	"time"

	"hangar"
	"hangar/nameko"
)

// The statistics of services as they travel.
type (
	outboxStatistics struct {
		Waiting  int64 `json:"waiting"`
		OldestMS int64 `json:"oldest_ms"`
		Parked   int64 `json:"parked"`
	}
	stockStatistics struct {
		Instance string `json:"instance"`
		Holds    int64  `json:"holds"`
		Refusals int64  `json:"refusals"`
	}
)

// OutboxStatistics implements hangar.OrderService.
func (o *Orders) OutboxStatistics(ctx context.Context) (hangar.OutboxStatistics, error) {
	var found outboxStatistics
	err := o.peer.statistics(ctx, "outbox_statistics", "tell how far its events are", &found)
	return hangar.OutboxStatistics{
		Waiting: found.Waiting,
		Oldest:  time.Duration(found.OldestMS) * time.Millisecond,
		Parked:  found.Parked,
	}, err
}

// StockStatistics implements hangar.ProductService.
func (p *Products) StockStatistics(ctx context.Context) (hangar.StockStatistics, error) {
	var found stockStatistics
	err := p.peer.statistics(ctx, "stock_statistics", "tell what it was asked to hold", &found)
	return hangar.StockStatistics(found), err
}

// statistics calls a method that a Python service has no other for.
func (p *peer) statistics(ctx context.Context, method, what string, result any) error {
	ctx, cancel := p.begin(ctx, method, readTimeout)
	defer cancel()
	known, err := p.callNew(ctx, nameko.Call{Method: method, Repeatable: true}, result, tryAgain)
	if !known {
		return p.cannot(what)
	}
	return err
}

func (m orderMethods) outboxStatistics(ctx context.Context, _ nameko.Args) (any, error) {
	s, err := m.orders.OutboxStatistics(ctx)
	return outboxStatistics{s.Waiting, s.Oldest.Milliseconds(), s.Parked}, err
}

func (m productMethods) stockStatistics(ctx context.Context, _ nameko.Args) (any, error) {
	s, err := m.products.StockStatistics(ctx)
	return stockStatistics(s), err
}
