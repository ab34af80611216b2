package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// drainTimeout bounds draining as a whole: orchestrators kill after 30 s.
const drainTimeout = 25 * time.Second

// What each part of draining leaves to those that come after it, however long it
// would like to take. Requests end by themselves within 10 s.
const (
	afterRequests   = 8 * time.Second
	afterCalls      = 7 * time.Second
	afterBackground = 6 * time.Second
	afterOutbox     = 4 * time.Second
	afterCallers    = 3 * time.Second
	afterTransport  = time.Second
)

const (
	stopTimeout   = 5 * time.Second // of a part that has nothing to finish
	outboxTimeout = 3 * time.Second // of the events: they are stored, and may wait for the next start
	tracesTimeout = 2 * time.Second // of the last traces, of which some may be lost
)

// running is a process in stages, each of which needs those below it.
type running struct {
	requests   *stage // accepts connections
	calls      *stage
	background *stage
	callers    *stage
	transport  *stage
}

// run serves until ctx is done or something fails, and then drains. It returns
// when nothing runs any more, and the stores are closed. The listener is nil
// without a gateway.
func (p *process) run(ctx context.Context, listener *listener) error {
	working := context.WithoutCancel(ctx)
	failed := make(chan struct{}, 1)
	var r running
	r.transport = startStage(working, failed, p.transport)
	r.callers = startStage(working, failed, p.callers)
	r.background = startStage(working, failed, p.background)
	r.calls = startStage(working, failed, p.calls)
	if p.server != nil {
		r.requests = startStage(working, failed, []task{func(context.Context) error { return p.serve(listener) }})
	}
	var failure error
	select {
	case <-ctx.Done():
		p.log.Info("draining: what was accepted is finished, a second signal ends at once")
	case <-failed: // the stage has the error
		failure = errors.New("a part of the process ended by itself")
	}
	return errors.Join(failure, p.drain(working, &r, listener))
}

func (p *process) serve(listener *listener) error {
	err := p.server.Serve(listener)
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// drain ends the stages from the top: the requests, because they still make
// calls; calls, because they still make work for the background, and events;
// then these, and at last the connection that all of them use. They share the
// time that there is.
func (p *process) drain(ctx context.Context, r *running, listener *listener) error {
	deadline := time.Now().Add(drainTimeout)
	left := func(most, reserve time.Duration) time.Duration {
		return min(most, time.Until(deadline.Add(-reserve)))
	}
	errs := []error{p.drainRequests(ctx, r.requests, listener, deadline.Add(-afterRequests))}
	errs = append(errs, r.calls.end(left(drainTimeout, afterCalls)))
	errs = append(errs, r.background.end(left(stopTimeout, afterBackground)))
	p.drainOutbox(ctx, left(outboxTimeout, afterOutbox))
	errs = append(errs, r.callers.end(left(stopTimeout, afterCallers)))
	errs = append(errs, r.transport.end(left(stopTimeout, afterTransport)))
	last := left(stopTimeout, 0)
	closing := startStage(ctx, make(chan struct{}, 1), []task{
		func(context.Context) error { return p.stores.close() },
		func(ctx context.Context) error { return p.sendTraces(ctx, min(tracesTimeout, last*9/10)) },
	})
	return errors.Join(append(errs, closing.end(last))...)
}

// drainRequests first lets load balancers and clients go elsewhere, while it
// still serves them, then accepts no more, and finishes what it has. Without a
// gateway there are none, and it only says that it ends.
func (p *process) drainRequests(ctx context.Context, accepting *stage, listener *listener, deadline time.Time) error {
	if p.server == nil {
		p.readiness.Refuse()
		return nil
	}
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	p.clients.ask()
	p.readiness.Drain(ctx)
	listener.stop()
	// Shutdown overlooks a connection that was accepted and is not served yet.
	err := accepting.end(time.Until(deadline))
	p.clients.wait(ctx)
	if e := p.server.Shutdown(ctx); e != nil {
		err = errors.Join(err, fmt.Errorf("requests were cut off: %w", errors.Join(e, p.server.Close())))
	}
	return err
}

// drainOutbox publishes what the last requests left. What remains is stored,
// and published at the next start: that is no failure.
func (p *process) drainOutbox(ctx context.Context, timeout time.Duration) {
	if p.relay == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := p.relay.Drain(ctx); err != nil {
		p.log.Warn("events are left in the outbox, and go out after the next start", "error", err)
	}
}
