package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"hangar/tracing/otlp"
)

// services are what a process can serve.
var services = [...]string{"gateway", "orders", "products"}

func serveCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "serve [gateway] [orders] [products]",
		Short: "Serve the store",
		Long: `Serve the named services, all three when none is named.

All three together are the whole store, in one process, on SQLite. A service
that is not in the process is called over the message broker, where it may be
another hangar or a Python service. Orders are kept in PostgreSQL and products
in Redis where a URL says so. A broker or a database that is not there yet is
waited for.

GET /livez on the gateway's port is answered as long as the process serves,
GET /readyz with 200 as long as it wants requests, and with the state of what it
needs. GET /metrics is for Prometheus. With --admin-addr, which services apart have
by themselves, it is there instead, with /debug/pprof/ and the two others too.

A signal to end (Ctrl-C, SIGTERM) finishes what was accepted first, within 25 s;
a second one ends it at once. If anybody has asked for /readyz in the 30 s
before, requests are taken on until a second after it was answered with 503, for
3 s at most: ask every second, and stop sending at the first 503. Calls that have
not begun go back to their queue, for another process.`,
		Example: `  hangar serve
  hangar serve --addr 127.0.0.1:0 --data /tmp/try     # on any free port
  PORT=80 HANGAR_DATA=/var/lib/hangar hangar serve --log-format json
  AMQP_URI=amqp://localhost POSTGRES_URI=postgresql://localhost/orders hangar serve orders`,
		ValidArgs: services[:],
		Args:      wrongUsage(cobra.OnlyValidArgs),
	}
	addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := loadConfig(cmd.Flags(), getenv)
		if err != nil {
			return err
		}
		lines := newLines(cmd.ErrOrStderr())
		defer lines.gather()()
		log := slog.New(prompt{c.logger(lines).Handler(), lines})
		return serve(cmd.Context(), c, args, cmd.OutOrStdout(), getenv, log)
	}
	return cmd
}

// serve serves until ctx is done. It writes to out what and where, before it
// begins.
func serve(ctx context.Context, c *Config, names []string, out io.Writer, getenv func(string) string, log *slog.Logger) error {
	if len(names) == 0 {
		names = services[:]
	}
	names = slices.Compact(slices.Sorted(slices.Values(names)))
	if err := errors.Join(checkServices(c, names), checkCache(c)); err != nil {
		return err
	}
	if c.Workers > 0 && c.AMQP == "" {
		log.Warn("workers limits calls over AMQP; in one process it changes nothing", "workers", c.Workers,
			"source", c.Origins["workers"].Source)
	}
	var listener *listener
	if slices.Contains(names, "gateway") {
		var err error
		if listener, err = listen(ctx, c); err != nil {
			return err
		}
		defer listener.Close() // once more after the server did, which is harmless
	}
	monitor := newMonitor(names, log)
	admin, err := startAdmin(ctx, c, names, monitor, log)
	if err != nil {
		return err
	}
	defer admin.stop()
	stores, err := openStores(ctx, c, names, log)
	if ctx.Err() != nil && err != nil { // told to end while it waited for a database
		log.Info("ended before it served", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	monitor.traces = otlp.Start(ctx, traceName(names), version(), getenv, log)
	p, err := newProcess(c, names, stores, monitor, log)
	if err == nil {
		_, err = io.WriteString(out, banner(c, names, listener)+admin.banner())
	}
	if err != nil {
		monitor.traces.Shutdown(ctx)
		return errors.Join(err, stores.close())
	}
	return p.run(ctx, listener)
}

// checkServices returns an error if a service is not in the process and nothing
// reaches it elsewhere.
func checkServices(c *Config, names []string) error {
	var missing []string
	for _, service := range services {
		if !slices.Contains(names, service) {
			missing = append(missing, service)
		}
	}
	if len(missing) == 0 || c.AMQP != "" {
		return nil
	}
	return usagef("without --amqp, nothing connects %s to %s elsewhere; name all services, or none, which is the same",
		strings.Join(names, " and "), strings.Join(missing, " and "))
}

// banner says what is served, where, and where its data is.
func banner(c *Config, names []string, listener *listener) string {
	var b strings.Builder
	if listener != nil {
		fmt.Fprintf(&b, "hangar serves %s\n", servedURL(listener.Addr()))
	}
	if c.AMQP != "" {
		fmt.Fprintf(&b, "hangar serves %s over %s\n", strings.Join(names, ", "), mask(c.AMQP))
	}
	if c.OrdersDB != "" && slices.Contains(names, "orders") {
		fmt.Fprintf(&b, "its orders are in %s\n", mask(c.OrdersDB))
	}
	if c.ProductsDB != "" && slices.Contains(names, "products") {
		fmt.Fprintf(&b, "its products are in %s\n", mask(c.ProductsDB))
	}
	if keptInFile(c, names) {
		fmt.Fprintf(&b, "its data is in %s\n", c.Data)
	}
	return b.String()
}

func listen(ctx context.Context, c *Config) (*listener, error) {
	l, err := listenOn(ctx, c, "addr", c.Addr)
	if err != nil {
		return nil, err
	}
	return &listener{TCPListener: l.(*net.TCPListener)}, nil
}

// listenOn listens on the address that a setting names.
func listenOn(ctx context.Context, c *Config, setting, addr string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	source := c.Origins[setting].Source
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s (%s) is in use by another program; stop that, or listen elsewhere with --%s "+
			"(port 0 is any free one)", addr, source, setting)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", addr, source, err)
	}
	return l, nil
}

// servedURL returns an address as something to click on.
func servedURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.String()
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		return "http://127.0.0.1:" + port + " and on every other interface"
	}
	return "http://" + net.JoinHostPort(host, port)
}
