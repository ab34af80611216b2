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
GET /readyz with 200 as long as it wants requests.

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
		log := c.logger(cmd.ErrOrStderr())
		return serve(cmd.Context(), c, args, cmd.OutOrStdout(), log)
	}
	return cmd
}

// serve serves until ctx is done. It writes to out what and where, before it
// begins.
func serve(ctx context.Context, c *Config, names []string, out io.Writer, log *slog.Logger) error {
	if len(names) == 0 {
		names = services[:]
	}
	if err := checkServices(c, names); err != nil {
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
	stores, err := openStores(ctx, c, names, log)
	if ctx.Err() != nil && err != nil { // told to end while it waited for a database
		log.Info("ended before it served", "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	p, err := newProcess(c, names, stores, log)
	if err == nil {
		_, err = io.WriteString(out, banner(c, names, listener))
	}
	if err != nil {
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
	if keptInFiles(c, names) {
		fmt.Fprintf(&b, "its data is in %s\n", c.Data)
	}
	return b.String()
}

func listen(ctx context.Context, c *Config) (*listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", c.Addr)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s (%s) is in use by another program; stop that, or listen elsewhere with --addr "+
			"(port 0 is any free one)", c.Addr, c.Origins["addr"].Source)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s (%s): %w", c.Addr, c.Origins["addr"].Source, err)
	}
	return &listener{TCPListener: l.(*net.TCPListener)}, nil
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
