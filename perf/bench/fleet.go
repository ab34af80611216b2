package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"hangar/backing"
)

// fleet is the three services on servers of their own.
type fleet struct {
	dir                       string
	postgres, redis, rabbitmq *backing.Server
	services                  []*process
	url                       string // of the gateway
}

// startServers starts the servers of a fleet, and no service yet.
func startServers(ctx context.Context, dir string) (_ *fleet, err error) {
	f := &fleet{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.stop())
		}
	}()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if f.postgres, err = backing.StartPostgres(ctx, filepath.Join(dir, "postgres"), backing.WithParent); err != nil {
		return nil, err
	}
	if f.redis, err = backing.StartRedis(ctx, filepath.Join(dir, "redis"), backing.WithParent); err != nil {
		return nil, err
	}
	f.rabbitmq, err = backing.StartRabbitMQ(ctx, filepath.Join(dir, "rabbitmq"), backing.WithParent)
	return f, err
}

// serve starts the services, and waits until the gateway reaches them.
func (f *fleet) serve(ctx context.Context, binary string) error {
	for _, service := range []string{"products", "orders", "gateway"} {
		p, err := start(ctx, filepath.Join(f.dir, service+".log"), binary, "serve", service, "--addr", "127.0.0.1:0",
			"--amqp", f.rabbitmq.URL, "--orders-db", f.postgres.URL, "--products-db", f.redis.URL)
		if err != nil {
			return err
		}
		f.services = append(f.services, p)
		f.url = p.url
	}
	const patience = 2 * time.Minute
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(50 * time.Millisecond) {
		if f.answers("/products?limit=1") && f.answers("/orders?limit=1") {
			return nil
		}
	}
	return fmt.Errorf("the gateway did not reach its services within %v; see the logs in %s", patience, f.dir)
}

func (f *fleet) answers(path string) bool {
	resp, err := http.Get(f.url + path)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

func (f *fleet) stop() error {
	var errs []error
	for _, p := range f.services {
		errs = append(errs, p.stop())
	}
	for _, s := range []*backing.Server{f.rabbitmq, f.redis, f.postgres} {
		if s != nil {
			errs = append(errs, s.Stop())
		}
	}
	return errors.Join(errs...)
}
