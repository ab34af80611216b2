package orders

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"hangar/crash"
)

const (
	recoverEvery = 2 * time.Second
	recoverBatch = 100

	// recoverPatience bounds the settling of one order: whoever stops the service
	// waits for it.
	recoverPatience = 4 * time.Second
	sweepKeyEvery   = 10 * time.Minute
)

// Run settles what was left between two steps, at the start and then every few
// seconds: what this process gave up on, and what another one left behind. It
// also forgets idempotency keys after KeyRetention, at the start and then every
// few minutes. It returns nil when ctx is done.
func (s *Service) Run(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { repeat(ctx, recoverEvery, s.recover) })
	running.Go(func() { repeat(ctx, sweepKeyEvery, s.sweepKeys) }) // which may take long after a long rest
	running.Wait()
	return nil
}

// repeat does something now and then at intervals, until ctx is done.
func repeat(ctx context.Context, every time.Duration, do func(context.Context)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		do(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Recover settles every change that no request of this service works on. A
// request of another process may: both then do the same, and the first one to
// write it wins. It returns how many it settled, and the
// first error that says it is no use to go on; the next call goes on after the
// order that gave it, so that none keeps the others from being settled.
func (s *Service) Recover(ctx context.Context) (int, error) {
	settled := 0
	if crash.Off("recovery") {
		return settled, nil
	}
	for after := s.recovered.Load(); ; {
		batch, err := s.store.Unsettled(ctx, after, recoverBatch)
		if err != nil {
			return settled, err
		}
		for _, stored := range batch {
			if ctx.Err() != nil {
				return settled, ctx.Err()
			}
			after = stored.ID
			if s.live.has(stored.ID) {
				continue
			}
			err := s.settleForRecovery(ctx, stored)
			if err != nil && !isRefusal(err) && !overtaken(err) {
				s.meter.OrderRecovered(err)
				s.recovered.Store(stored.ID)
				return settled, err
			}
			s.meter.OrderRecovered(nil)
			settled++
		}
		if len(batch) < recoverBatch {
			s.recovered.Store(0)
			return settled, nil
		}
	}
}

// settleForRecovery is settle where nobody else would catch a panic: it is an
// error of that order, and must not end all others.
func (s *Service) settleForRecovery(ctx context.Context, stored Stored) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic while settling order %d: %v\n%s", stored.ID, p, debug.Stack())
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, recoverPatience)
	defer cancel()
	_, err = s.settle(ctx, stored)
	return err
}

func (s *Service) recover(ctx context.Context) {
	settled, err := s.Recover(ctx)
	if err != nil && ctx.Err() == nil {
		s.log.Warn("recovery of unsettled orders was interrupted, will try again", "error", err)
	}
	if settled > 0 {
		s.log.Info("settled orders that were left unsettled", "orders", settled)
	}
}

func (s *Service) sweepKeys(ctx context.Context) {
	err := s.store.SweepKeys(ctx, time.Now().Add(-KeyRetention))
	if err != nil && ctx.Err() == nil {
		s.log.Warn("sweeping old idempotency keys failed, will try again", "error", err)
	}
}

// liveOrders counts, by order, the calls that work on it.
type liveOrders struct {
	mu    sync.Mutex
	calls map[int64]int
}

// enter counts a call until the function that it returns is called.
func (l *liveOrders) enter(id int64) (leave func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.calls == nil {
		l.calls = make(map[int64]int)
	}
	l.calls[id]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.calls[id]--; l.calls[id] == 0 {
			delete(l.calls, id)
		}
	}
}

func (l *liveOrders) has(id int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[id] > 0
}
