package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// task works until its context is done.
type task func(context.Context) error

// stage is a number of tasks that start and stop together.
type stage struct {
	stop    context.CancelFunc
	running sync.WaitGroup

	mu   sync.Mutex
	errs []error
}

// startStage starts tasks. If one ends before it is told to, failed says so.
func startStage(ctx context.Context, failed chan<- struct{}, tasks []task) *stage {
	ctx, stop := context.WithCancel(ctx)
	s := &stage{stop: stop}
	for _, t := range tasks {
		s.running.Go(func() {
			err := t(ctx)
			s.mu.Lock()
			s.errs = append(s.errs, err)
			s.mu.Unlock()
			select {
			case failed <- struct{}{}:
			default: // another one has failed, or all of them are ending
			}
		})
	}
	return s
}

// end stops the tasks and waits for them, for at most that long.
func (s *stage) end(timeout time.Duration) error {
	s.stop()
	ended := make(chan struct{})
	go func() {
		s.running.Wait()
		close(ended)
	}()
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-ended:
	case <-timer.C:
		return fmt.Errorf("a part of the process did not stop within %v", timeout)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.errs...)
}
