package products

import (
	"context"
	"sync/atomic"

	"hangar"
)

// counts is what a service was asked to hold.
type counts struct {
	instance        string
	holds, refusals atomic.Int64
}

// StockStatistics implements hangar.ProductService. It asks no store.
func (s *Service) StockStatistics(context.Context) (hangar.StockStatistics, error) {
	return hangar.StockStatistics{
		Instance: s.counts.instance,
		Holds:    s.counts.holds.Load(),
		Refusals: s.counts.refusals.Load(),
	}, nil
}

// CountHold counts a hold by how it ended. Hold does that itself; it is for holds
// that were made past the service, in the store.
func (s *Service) CountHold(err error) {
	switch hangar.CodeOf(err) {
	case "":
		s.counts.holds.Add(1)
	case hangar.OutOfStock, hangar.ProductNotFound:
		s.counts.refusals.Add(1)
	}
}
