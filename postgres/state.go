package postgres

import "context"

// Connections are those of a store to its database.
type Connections struct {
	Used, Idle, Opening int
	Most                int // there may be
}

// Connections returns what the store's connections do at the moment, but for the
// one that listens.
func (s *OrderStore) Connections() Connections {
	stat := s.pool.Stat()
	return Connections{
		Used:    int(stat.AcquiredConns()),
		Idle:    int(stat.IdleConns()),
		Opening: int(stat.ConstructingConns()),
		Most:    int(stat.MaxConns()),
	}
}

// Ping returns nil if the database answers. It waits for no call's turn.
func (s *OrderStore) Ping(ctx context.Context) error { return s.pool.Ping(ctx) }
