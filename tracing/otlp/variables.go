package otlp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// check returns an error about a variable that the exporter would not follow, and
// send elsewhere or more than it should.
func check(getenv func(string) string) error {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"} {
		if value := getenv(name); value != "" && !isEndpoint(value) {
			return fmt.Errorf("%s is not a URL such as http://localhost:4318", name) // it may have a password
		}
	}
	sampler, ratio := getenv("OTEL_TRACES_SAMPLER"), getenv("OTEL_TRACES_SAMPLER_ARG")
	switch {
	case sampler == "" || slices.Contains(samplers, sampler):
		return nil
	case !slices.Contains(ratioSamplers, sampler):
		return fmt.Errorf("OTEL_TRACES_SAMPLER is %q, want one of %q", sampler, slices.Concat(samplers, ratioSamplers))
	case ratio != "" && !isRatio(ratio):
		return fmt.Errorf("OTEL_TRACES_SAMPLER_ARG is %q, want a number from 0 to 1", ratio)
	}
	return nil
}

// batching returns how spans are gathered, as the environment says. The SDK would take
// a number that is too small or too large as it is, and panic, or send without a pause.
func batching(getenv func(string) string, log *slog.Logger) sdktrace.BatchSpanProcessorOption {
	number := func(name string, fallback int) int {
		const most = 1 << 24
		n, err := strconv.Atoi(strings.TrimSpace(getenv(name)))
		if errors.Is(err, strconv.ErrSyntax) { // also where there is none; the SDK tells the log
			return fallback
		}
		if err != nil || n < 1 || n > most {
			log.Warn("a variable of OpenTelemetry's has its default", "variable", name, "want", fmt.Sprintf("a number from 1 to %d", most))
			return fallback
		}
		return n
	}
	queue := number("OTEL_BSP_MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize)
	batch := min(queue, number("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize))
	delay := number("OTEL_BSP_SCHEDULE_DELAY", sdktrace.DefaultScheduleDelay)
	return func(o *sdktrace.BatchSpanProcessorOptions) {
		o.MaxQueueSize, o.MaxExportBatchSize, o.BatchTimeout = queue, batch, time.Duration(delay)*time.Millisecond
	}
}

// The samplers that the SDK has, and of them those that take a ratio.
var (
	samplers      = []string{"always_on", "always_off", "parentbased_always_on", "parentbased_always_off"}
	ratioSamplers = []string{"traceidratio", "parentbased_traceidratio"}
)

func isEndpoint(s string) bool {
	u, err := url.Parse(s)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

func isRatio(s string) bool {
	ratio, err := strconv.ParseFloat(s, 64)
	return err == nil && ratio >= 0 && ratio <= 1
}
