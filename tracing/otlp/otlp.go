// Package otlp sends traces by OTLP, OpenTelemetry's protocol, as the usual
// environment variables say: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/.
//
// Spans are gathered and sent beside the work, which never waits for them: while
// no collector takes them, what is above 2,048 (OTEL_BSP_MAX_QUEUE_SIZE) is
// dropped.
package otlp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/uuid"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Protocols that traces can be sent by.
const (
	overHTTP = "http/protobuf"
	overGRPC = "grpc"
)

// Sender sends the spans that are made by its provider.
type Sender struct {
	provider *sdktrace.TracerProvider
	log      *slog.Logger
}

// Start returns a sender, nil if none is wanted: the environment names no
// endpoint and no exporter, or says that it should be off. Service and version
// name the process, unless the environment does. It does not wait for a collector.
//
// A variable that cannot be followed is told to the log. Nothing is sent then if it
// is one that says where, how, or what; another has its default. Neither keeps a
// store from serving.
//
// Getenv says whether and by which protocol; the exporter itself reads the
// process's environment.
func Start(ctx context.Context, service, version string, getenv func(string) string, log *slog.Logger) *Sender {
	wanted, err := isWanted(getenv)
	if !wanted && err == nil {
		return nil
	}
	otel.SetErrorHandler(&calm{log: log})
	otel.SetLogger(logr.New(sink{log}))
	var provider *sdktrace.TracerProvider
	if err == nil {
		err = check(getenv)
	}
	if err == nil {
		provider, err = newProvider(ctx, service, version, protocolOf(getenv), batching(getenv, log))
	}
	if err != nil {
		log.Warn("no traces are sent", "error", err)
		return nil
	}
	log.Info("traces are sent by OTLP", "protocol", protocolOf(getenv))
	return &Sender{provider, log}
}

func newProvider(ctx context.Context, service, version, protocol string, batching sdktrace.BatchSpanProcessorOption) (*sdktrace.TracerProvider, error) {
	var client otlptrace.Client
	switch protocol {
	case overHTTP:
		client = otlptracehttp.NewClient()
	case overGRPC:
		client = otlptracegrpc.NewClient()
	default:
		return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL is %q, want %s or %s", protocol, overHTTP, overGRPC)
	}
	exporter, err := otlptrace.New(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("start the exporter: %w", err)
	}
	about, err := resource.New(ctx,
		resource.WithTelemetrySDK(),
		resource.WithAttributes(
			semconv.ServiceName(service),
			semconv.ServiceVersion(version),
			semconv.ServiceInstanceID(uuid.NewString()),
		),
		resource.WithFromEnv(), // the last one counts
	)
	if err != nil && !errors.Is(err, resource.ErrPartialResource) {
		return nil, errors.Join(err, exporter.Shutdown(ctx))
	}
	// The sampler, the bounds of spans and of the queue are the environment's.
	return sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter, batching), sdktrace.WithResource(about)), nil
}

// Provider returns what makes spans, nil without a sender.
func (s *Sender) Provider() trace.TracerProvider {
	if s == nil {
		return nil
	}
	return s.provider
}

// Shutdown sends what is gathered, until ctx is done. What cannot be sent is
// lost, and the log says so.
func (s *Sender) Shutdown(ctx context.Context) {
	if s == nil {
		return
	}
	if err := s.provider.Shutdown(ctx); err != nil {
		s.log.Warn("the last traces could not be sent", "error", err)
	}
}

// isWanted reports whether the environment asks for traces.
func isWanted(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	switch exporter := getenv("OTEL_TRACES_EXPORTER"); exporter {
	case "none":
		return false, nil
	case "otlp":
		return true, nil
	case "":
		return first(getenv, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") != "", nil
	default:
		return false, fmt.Errorf("OTEL_TRACES_EXPORTER is %q, want otlp or none", exporter)
	}
}

func protocolOf(getenv func(string) string) string {
	if protocol := first(getenv, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol != "" {
		return protocol
	}
	return overHTTP
}

// first returns the first of the variables that is set, "" for none.
func first(getenv func(string) string, names ...string) string {
	for _, name := range names {
		if value := getenv(name); value != "" {
			return value
		}
	}
	return ""
}

// sayEvery is the least time between two lines about traces that are not sent.
const sayEvery = time.Minute

// calm tells the log now and then that traces are not sent: while the collector
// is away that is so every few seconds.
type calm struct {
	log *slog.Logger

	mu      sync.Mutex
	said    time.Time
	leftOut int
}

// Handle implements otel.ErrorHandler.
func (c *calm) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.said) >= sayEvery {
		c.log.Warn("traces could not be sent", "error", err, "left_out", c.leftOut)
		c.said, c.leftOut = now, 0
		return
	}
	c.leftOut++
}
