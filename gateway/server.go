package gateway

import (
	"log/slog"
	"net/http"
	"time"
)

// NewServer returns a server for the API with a limit on everything that comes
// in: how long a request may take to arrive, to be answered, how long a
// connection may idle, how large its header may be.
func NewServer(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       20 * time.Second,
		WriteTimeout:      40 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}
