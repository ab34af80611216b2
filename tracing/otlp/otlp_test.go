package otlp_test

import (
	"bytes"
	"log/slog"
	"os"
	"strings"
	"testing"

	"hangar/tracing/otlp"
)

func TestWhetherTracesAreSent(t *testing.T) {
	const endpoint = "http://127.0.0.1:1"
	variables := []string{"OTEL_SDK_DISABLED", "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG",
		"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_HEADERS"}
	for _, test := range []struct {
		environment map[string]string
		sends       bool
		log         string // part of it; "" is nothing
	}{
		{nil, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, true, "http/protobuf"},
		{map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}, true, "http/protobuf"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, true, "grpc"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "true"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"}, false, ""},
		{map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, false, `OTEL_TRACES_EXPORTER is \"zipkin\", want otlp or none`},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, false,
			`OTEL_EXPORTER_OTLP_PROTOCOL is \"http/json\", want http/protobuf or grpc`},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "TRUE"}, false, ""},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "u:secret@x"}, false, "OTEL_EXPORTER_OTLP_ENDPOINT is not a URL"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "some"}, false, `OTEL_TRACES_SAMPLER is \"some\", want one of`},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "1%"}, false,
			`OTEL_TRACES_SAMPLER_ARG is \"1%\", want a number from 0 to 1`},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}, true, "http/protobuf"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_HEADERS": "secret"}, true, "cannot follow one of its variables"},
	} {
		for _, name := range variables {
			t.Setenv(name, test.environment[name])
		}
		var log bytes.Buffer
		getenv := func(name string) string { return test.environment[name] }
		s := otlp.Start(t.Context(), "hangar", "v1", getenv, slog.New(slog.NewTextHandler(&log, nil)))
		if sends := s.Provider() != nil; sends != test.sends {
			t.Errorf("%v: traces are sent: %v, want %v", test.environment, sends, test.sends)
		}
		s.Shutdown(t.Context())
		if got := log.String(); !strings.Contains(got, test.log) || strings.Contains(got, "secret") || test.log == "" && got != "" {
			t.Errorf("%v: the log is %q, want %q", test.environment, got, test.log)
		}
	}
}

// With such numbers the SDK panics, asks for terabytes, or sends without a pause.
func TestNumbersThatAQueueCannotHave(t *testing.T) {
	for _, name := range []string{"OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "OTEL_BSP_SCHEDULE_DELAY"} {
		for _, number := range []string{"-1", "0", "999999999999999999"} {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
			t.Setenv(name, number)
			var log bytes.Buffer
			s := otlp.Start(t.Context(), "hangar", "v1", os.Getenv, slog.New(slog.NewTextHandler(&log, nil)))
			if want := "variable=" + name; s.Provider() == nil || !strings.Contains(log.String(), want) {
				t.Errorf("%s=%s: the log is %q, want %s, and that traces are sent", name, number, &log, want)
			}
			s.Shutdown(t.Context())
			t.Setenv(name, "")
		}
	}
}
