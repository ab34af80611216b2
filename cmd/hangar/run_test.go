package main

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"hangar/gateway"
)

// slowStore takes long to close.
type slowStore struct{}

func (slowStore) Close() error {
	time.Sleep(time.Hour)
	return nil
}

// However many parts hang, draining as a whole ends before a process is killed,
// and each part has been told to end.
func TestDrainEndsInTimeWhateverHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		hang := func(name string) []task {
			return []task{func(ctx context.Context) error {
				<-ctx.Done()
				mu.Lock()
				told = append(told, name)
				mu.Unlock()
				time.Sleep(time.Hour)
				return nil
			}}
		}
		p := &process{
			calls:      hang("calls"),
			background: hang("background"),
			callers:    hang("callers"),
			transport:  hang("transport"),
			readiness:  new(gateway.Readiness),
			stores:     &stores{open: []io.Closer{slowStore{}}},
			log:        slog.New(slog.DiscardHandler),
		}
		drained, drain := context.WithCancel(t.Context())
		drain()
		begin := time.Now()
		err := p.run(drained, nil)
		if took := time.Since(begin); took > 25*time.Second { // of the bubble's clock
			t.Errorf("draining took %v, want at most 25 s", took)
		}
		if err == nil {
			t.Error("draining cut off all parts and says nothing")
		}
		mu.Lock()
		if got, want := strings.Join(told, ", "), "calls, background, callers, transport"; got != want {
			t.Errorf("these were told to end: %s; want %s", got, want)
		}
		mu.Unlock()
		time.Sleep(time.Hour) // until all that hangs has ended
	})
}
