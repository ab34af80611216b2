package otlp

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
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
