package hangar

import "time"

// OutboxStatistics is how far the delivery of events has come.
type OutboxStatistics struct {
	Waiting int64         // events in the outbox; where some were taken out of its middle, these count too
	Oldest  time.Duration // how long the first of them has waited, 0 if there is none
	Parked  int64         // events that could not be delivered; from MaxParkedCount on they are not counted
}

// MaxParkedCount is up to how many parked events are counted.
const MaxParkedCount = 10_000

// StockStatistics is what one instance of the products service was asked to hold
// since it started. Of several instances, one answers: Instance tells them apart.
type StockStatistics struct {
	Instance string // random, another one after each start
	Holds    int64  // that were granted, of one unit at least; repeated ones count again
	Refusals int64  // for want of stock, or of a product
}
