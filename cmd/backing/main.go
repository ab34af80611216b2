// Command backing starts and stops private instances of PostgreSQL, Redis and
// RabbitMQ for hangar's development and tests; see package backing.
//
//	backing start          start all three in .backing/, unless they run
//	backing stop           end them; their data stays
//	backing exec -- CMD…   run a command beside servers that its tests share
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"

	"hangar/backing"
	"hangar/hangartest"
)

const folder = ".backing"

// server is what hangar is told of one.
type server struct {
	name     string
	variable string
	start    func(context.Context, string, backing.Life) (*backing.Server, error)
}

var servers = []server{
	{"postgres", "POSTGRES_URI", backing.StartPostgres},
	{"redis", "REDIS_URI", backing.StartRedis},
	{"rabbitmq", "AMQP_URI", backing.StartRabbitMQ},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout)
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(max(1, exit.ExitCode()))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "backing:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "start":
		return start(ctx, out)
	case len(args) == 1 && args[0] == "stop":
		return stopAll()
	case len(args) > 2 && args[0] == "exec" && args[1] == "--":
		return execute(ctx, args[2:])
	}
	return errors.New("want start, stop, or exec -- COMMAND")
}

// start also writes the URLs to a file that a shell can read.
func start(ctx context.Context, out io.Writer) error {
	var env string
	for _, s := range servers {
		dir := filepath.Join(folder, s.name)
		running, err := backing.Attach(ctx, dir, backing.BeyondCommand)
		if errors.Is(err, fs.ErrNotExist) {
			running, err = s.start(ctx, dir, backing.BeyondCommand)
		}
		if err != nil {
			return err
		}
		env += s.variable + "=" + running.URL + "\n"
	}
	if err := os.WriteFile(filepath.Join(folder, "env"), []byte(env), 0o600); err != nil {
		return err
	}
	_, err := io.WriteString(out, env)
	return err
}

func stopAll() error {
	var errs []error
	for _, s := range servers {
		err := backing.Stop(filepath.Join(folder, s.name))
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// execute runs a command whose tests share the servers that are slow to start.
func execute(ctx context.Context, args []string) (err error) {
	dir, err := os.MkdirTemp("", "hangar-servers-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for _, s := range servers {
		if s.name == "redis" || backing.Missing(s.name) != nil { // the tests say what is missing
			continue
		}
		running, err := s.start(ctx, filepath.Join(dir, s.name), backing.WithParent)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, running.Kill(), running.Remove()) }()
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), hangartest.SharedServers+"="+dir)
	return cmd.Run()
}
