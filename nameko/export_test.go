package nameko

import "time"

// SetPatience makes those who use the broker wait for so long at most. The machine
// that tests run on may be slow.
func (b *Broker) SetPatience(d time.Duration) {
	b.patience = patience{call: d, connection: d, publish: d}
}
