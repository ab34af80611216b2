package main

import "fmt"

// turns are samples of two things that were measured in turn.
type turns struct {
	ratios []float64 // a/b of each round
	a, b   float64   // medians
}

// inTurn measures a and b one after the other, so that what disturbs the machine
// disturbs both, and does that several times. The first time warms up and is
// dropped.
func inTurn(rounds int, a, b func() (float64, error)) (turns, error) {
	var t turns
	var as, bs []float64
	for i := range rounds + 1 {
		x, err := a()
		if err != nil {
			return turns{}, err
		}
		y, err := b()
		if err != nil {
			return turns{}, err
		}
		if i > 0 {
			t.ratios, as, bs = append(t.ratios, x/y), append(as, x), append(bs, y)
		}
	}
	t.a, t.b = median(as), median(bs)
	return t, nil
}

// rates tells the medians, which are of something per second.
func (t turns) rates() string { return fmt.Sprintf("%.0f/s against %.0f/s", t.a, t.b) }

// times tells the medians, which are in microseconds.
func (t turns) times() string { return fmt.Sprintf("%.0f µs against %.0f µs", t.a, t.b) }
