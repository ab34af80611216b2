package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"hangar/gateway"
	"hangar/orders"
	"hangar/products"
)

// Together they stay under the 30 s that orchestrators wait before they kill.
const (
	requestsTimeout = 25 * time.Second // for the requests that were accepted
	outboxTimeout   = 3 * time.Second  // for their events
)

// process is what runs in one: a server, and what works in the background.
type process struct {
	server     *http.Server
	clients    *clients
	background []func(context.Context) error // each blocks until its context is done
	relay      *orders.Relay
	log        *slog.Logger
}

// newProcess wires all services on the stores.
func newProcess(c *Config, s *stores, log *slog.Logger) *process {
	productService := products.NewService(s.products, log)
	orderService := orders.NewService(s.orders, productService, log)
	relay := orders.NewRelay(s.orders, orders.PublishTo(productService), log)
	handler := gateway.New(gateway.Config{
		Orders:    orderService,
		Products:  productService,
		ImageRoot: c.ImageRoot,
		Log:       log,
	})
	server := gateway.NewServer(handler, log)
	return &process{
		server:     server,
		clients:    watchClients(server),
		background: []func(context.Context) error{productService.Run, orderService.Run, relay.Run},
		relay:      relay,
		log:        log,
	}
}

// run serves until ctx is done or something fails, and then drains: first the
// requests, because they still make work for the background, then that, then
// the outbox. It returns when nothing runs any more.
func (p *process) run(ctx context.Context, listener net.Listener) error {
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	ended := make(chan error, len(p.background)+1)
	var running sync.WaitGroup
	for _, task := range p.background {
		running.Go(func() { ended <- task(background) })
	}
	running.Go(func() {
		err := p.server.Serve(listener)
		if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
			err = nil
		}
		ended <- err
	})

	var errs []error
	select {
	case <-ctx.Done():
		p.log.Info("draining: requests that were accepted are finished, a second signal ends at once")
	case err := <-ended:
		errs = append(errs, errors.New("a part of the process ended by itself"), err)
	}
	listener.Close() // says no more than that it is closed
	p.clients.leave()
	errs = append(errs, p.finishRequests(background))
	stop()
	running.Wait()
	close(ended)
	for err := range ended {
		errs = append(errs, err)
	}
	p.drainOutbox(context.WithoutCancel(ctx))
	return errors.Join(errs...)
}

func (p *process) finishRequests(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestsTimeout)
	defer cancel()
	if err := p.server.Shutdown(ctx); err != nil {
		return fmt.Errorf("requests were cut off after %v: %w", requestsTimeout, errors.Join(err, p.server.Close()))
	}
	return nil
}

// drainOutbox publishes what the last requests left. What remains is stored,
// and published at the next start: that is no failure.
func (p *process) drainOutbox(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, outboxTimeout)
	defer cancel()
	if err := p.relay.Drain(ctx); err != nil {
		p.log.Warn("events are left in the outbox, and go out after the next start", "error", err)
	}
}
