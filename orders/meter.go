package orders

import "hangar"

// Meter is told what becomes of orders, to count it, by many at the same time. It
// must be quick.
type Meter interface {
	// OrderCreated tells of an order that was placed. A request whose idempotency
	// key brings back an earlier outcome is not told of.
	OrderCreated()

	// OrderRefused tells of an order that was not, or not as far as is known.
	OrderRefused(code hangar.Code)

	// OrderRecovered tells of an order that was left between two steps: that it is
	// settled now, or why not.
	OrderRecovered(err error)
}

// MeasureWith makes the service tell a meter what it does. It must be called
// before the service is used.
func (s *Service) MeasureWith(m Meter) { s.meter = m }

func (s *Service) measure(created hangar.OrderCreation, err error) {
	switch {
	case created.Replayed:
	case err != nil:
		s.meter.OrderRefused(hangar.CodeOf(err))
	default:
		s.meter.OrderCreated()
	}
}

// unmeasured is the Meter of who measures nothing.
type unmeasured struct{}

func (unmeasured) OrderCreated()            {}
func (unmeasured) OrderRefused(hangar.Code) {}
func (unmeasured) OrderRecovered(error)     {}
