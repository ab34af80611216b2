package otlp

import (
	"log/slog"

	"github.com/go-logr/logr"
)

// sink is where OpenTelemetry says which variables it cannot follow. What they are is
// left out: among them are passwords.
type sink struct{ log *slog.Logger }

// Init implements logr.LogSink.
func (sink) Init(logr.RuntimeInfo) {}

// Enabled implements logr.LogSink: only errors are of interest.
func (sink) Enabled(int) bool { return false }

// Info implements logr.LogSink.
func (sink) Info(int, string, ...any) {}

// Error implements logr.LogSink.
func (s sink) Error(_ error, what string, _ ...any) {
	s.log.Warn("OpenTelemetry cannot follow one of its variables, and goes on without", "what", what)
}

// WithValues implements logr.LogSink.
func (s sink) WithValues(...any) logr.LogSink { return s }

// WithName implements logr.LogSink.
func (s sink) WithName(string) logr.LogSink { return s }
