package gateway_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"hangar/gateway"
	"hangar/metrics"
)

// discard is an answer that nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

// What measuring adds to a request, in time and allocations.
func BenchmarkMeter(b *testing.B) {
	for name, meter := range map[string]gateway.Meter{"unmeasured": nil, "measured": metrics.New("", "").Requests(128)} {
		b.Run(name, func(b *testing.B) {
			handler := gateway.New(gateway.Config{Products: strictServices{}, Meter: meter, Log: slog.New(slog.DiscardHandler)})
			r := httptest.NewRequest(http.MethodGet, "/products/"+knownProduct, nil)
			b.ReportAllocs()
			for b.Loop() {
				handler.ServeHTTP(discard{make(http.Header)}, r)
			}
		})
	}
}
