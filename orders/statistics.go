package orders

import (
	"context"

	"hangar"
)

// OutboxStatistics implements hangar.OrderService.
func (s *Service) OutboxStatistics(ctx context.Context) (hangar.OutboxStatistics, error) {
	return s.store.OutboxStatistics(ctx)
}
