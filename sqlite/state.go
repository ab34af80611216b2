package sqlite

import (
	"context"
	"time"

	"hangar"
)

// slowWrite is how long a transaction takes that is not well.
const slowWrite = time.Second

// State is what the connections of a store do at the moment.
type State struct {
	Readers int // connections that read, at most so many at once
	Reading int // of those, in use
	Waiting int // writes that wait for the next transaction
}

// State returns what the store does at the moment.
func (s *Store) State() State {
	return State{
		Readers: s.readers.opened,
		Reading: s.readers.opened - len(s.readers.turns),
		Waiting: len(s.writer.waiting),
	}
}

// Ping returns nil if the file can be read and writes go on. It writes nothing.
// While the disk hangs, it returns when its context is done. Error: Unavailable.
func (s *Store) Ping(ctx context.Context) error {
	if began := s.writer.began.Load(); began != 0 && time.Since(time.Unix(0, began)) > slowWrite {
		return hangar.Errorf(hangar.Unavailable, "A transaction does not end.")
	}
	read := make(chan error, 1)
	go func() { // which nobody can end
		read <- s.readers.query(ctx, "SELECT count(*) FROM outbox WHERE id = 0", nil, nil)
	}()
	select {
	case err := <-read:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
