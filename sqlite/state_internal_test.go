package sqlite

import (
	"path/filepath"
	"testing"
	"time"

	"hangar"
)

func TestPingAndState(t *testing.T) {
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping: %v, want no error", err)
	}
	if got := s.State(); got.Readers < 4 || got.Reading != 0 || got.Waiting != 0 {
		t.Errorf("State: %+v, want four readers or more, and nothing to do", got)
	}
	began, goOn := make(chan struct{}), make(chan struct{})
	written := make(chan error, 2)
	write := func(fn func(*tx) error) { written <- s.writer.do(t.Context(), fn) }
	go write(func(*tx) error {
		close(began)
		<-goOn
		return nil
	})
	<-began
	go write(func(*tx) error { return nil })
	for s.State().Waiting != 1 { // or the test's own time limit ends it
		time.Sleep(time.Millisecond)
	}
	noted := s.writer.began.Load()
	if noted == 0 {
		t.Error("it is not noted when a transaction began")
	}
	s.writer.began.Store(noted + int64(time.Hour)) // not slow, however slow the test is
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("Ping during a write: %v, want no error", err)
	}
	s.writer.began.Store(noted - int64(slowWrite)) // as if it had begun then
	if err := s.Ping(t.Context()); hangar.CodeOf(err) != hangar.Unavailable {
		t.Errorf("Ping during a write that does not end: %v, want UNAVAILABLE", err)
	}
	close(goOn)
	for range 2 {
		if err := <-written; err != nil {
			t.Error(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); hangar.CodeOf(err) != hangar.Unavailable {
		t.Errorf("Ping of a closed store: %v, want UNAVAILABLE", err)
	}
}
