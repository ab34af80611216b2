package main

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"hangar/gateway"
)

const (
	adminOff = "off"

	// defaultAdminAddr is for processes without all services, of which several run
	// on a machine: any free port, as the log says.
	defaultAdminAddr = "127.0.0.1:0"

	// adminStopTimeout bounds the wait for the last scrape.
	adminStopTimeout = time.Second
)

// adminAddr returns where a process with these services has what is for its
// operators, away from the public port; "" is nowhere.
func (c *Config) adminAddr(names []string) string {
	switch {
	case c.AdminAddr == adminOff:
		return ""
	case c.AdminAddr == "" && len(names) < len(services):
		return defaultAdminAddr
	}
	return c.AdminAddr
}

// admin serves what is for operators: from before the rest of the process starts
// until after it has ended.
type admin struct {
	server *http.Server // nil if it is off
	addr   net.Addr
	served chan struct{} // closed when it serves no more
}

// startAdmin listens and serves, if the configuration wants it.
func startAdmin(ctx context.Context, c *Config, names []string, m *monitor, log *slog.Logger) (*admin, error) {
	addr := c.adminAddr(names)
	if addr == "" {
		return new(admin), nil
	}
	l, err := listenOn(ctx, c, "admin-addr", addr)
	if err != nil {
		return nil, err
	}
	a := &admin{server: gateway.NewServer(adminHandler(m), log), addr: l.Addr(), served: make(chan struct{})}
	log.Info("metrics, probes and profiles are served", "at", servedURL(a.addr))
	go func() {
		defer close(a.served)
		if err := a.server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error("metrics, probes and profiles are served no more", "error", err)
		}
	}()
	return a, nil
}

// stop lets answers be finished that are under way.
func (a *admin) stop() {
	if a.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), adminStopTimeout)
	defer cancel()
	if a.server.Shutdown(ctx) != nil {
		a.server.Close() // a profile takes as long as it was asked to
	}
	<-a.served
}

// banner says where it is.
func (a *admin) banner() string {
	if a.server == nil {
		return ""
	}
	return "its metrics, probes and profiles are at " + servedURL(a.addr) + "\n"
}

func adminHandler(m *monitor) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", m.metrics.Handler())
	probes := gateway.NewProbes(m.readiness, m.health.State)
	mux.Handle("/livez", probes)
	mux.Handle("/readyz", probes)
	mux.HandleFunc("GET /debug/pprof/", pprof.Index)
	mux.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	return mux
}
