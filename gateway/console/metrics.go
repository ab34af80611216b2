package console

import (
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
)

// The metrics that are read, with the labels that are used of them.
const (
	requestsMetric  = "hangar_http_requests_total"           // route, method, code
	durationsMetric = "hangar_http_request_duration_seconds" // route, method
	refusedMetric   = "hangar_http_requests_refused_total"
)

// ownRoutes begin the routes of the console, which are left out: somebody who
// watches would watch themselves.
const ownRoutes = "/console/"

// totals are counters as they stood at one time.
type totals struct {
	requests     float64
	clientErrors float64 // answered with 400 to 499
	serverErrors float64 // answered with 500 and above
	refused      float64 // before they were worked on
	routes       map[string]histogram
}

// histogram has, for each bound in seconds, how many values were up to it.
type histogram struct {
	bounds []float64 // rising; the last is +Inf
	counts []float64
}

// readTotals gathers what the charts need. An error is one of the gatherer, which
// may have given a part all the same.
func readTotals(g prometheus.Gatherer) (totals, error) {
	families, err := g.Gather()
	t := totals{routes: map[string]histogram{}}
	for _, family := range families {
		switch family.GetName() {
		case requestsMetric:
			eachRoute(family, t.addRequests)
		case durationsMetric:
			eachRoute(family, t.addDurations)
		case refusedMetric:
			for _, m := range family.GetMetric() {
				t.refused += m.GetCounter().GetValue()
			}
		}
	}
	return t, err
}

// eachRoute calls with each metric of a family that is not of the console's own.
func eachRoute(family *dto.MetricFamily, add func(m *dto.Metric, labels map[string]string)) {
	for _, m := range family.GetMetric() {
		labels := make(map[string]string, len(m.GetLabel()))
		for _, l := range m.GetLabel() {
			labels[l.GetName()] = l.GetValue()
		}
		if !strings.HasPrefix(labels["route"], ownRoutes) {
			add(m, labels)
		}
	}
}

func (t *totals) addRequests(m *dto.Metric, labels map[string]string) {
	n := m.GetCounter().GetValue()
	t.requests += n
	switch code, _ := strconv.Atoi(labels["code"]); {
	case code >= 500:
		t.serverErrors += n
	case code >= 400:
		t.clientErrors += n
	}
}

func (t *totals) addDurations(m *dto.Metric, labels map[string]string) {
	var h histogram
	for _, b := range m.GetHistogram().GetBucket() {
		if math.IsInf(b.GetUpperBound(), 1) {
			continue
		}
		h.bounds = append(h.bounds, b.GetUpperBound())
		h.counts = append(h.counts, float64(b.GetCumulativeCount()))
	}
	h.bounds = append(h.bounds, math.Inf(1))
	h.counts = append(h.counts, float64(m.GetHistogram().GetSampleCount()))
	t.routes[labels["method"]+" "+labels["route"]] = h
}

// count returns how many values there are.
func (h histogram) count() float64 {
	if len(h.counts) == 0 {
		return 0
	}
	return h.counts[len(h.counts)-1]
}

// since returns the values that came after before, of which h is a later state.
func (h histogram) since(before histogram) histogram {
	if !slices.Equal(h.bounds, before.bounds) {
		return h // there was none before
	}
	d := histogram{h.bounds, make([]float64, len(h.counts))}
	for i := range h.counts {
		d.counts[i] = h.counts[i] - before.counts[i]
	}
	return d
}

// quantile returns the value, in seconds, that a part q of the values do not
// exceed, as Prometheus' histogram_quantile estimates it: values lie evenly within
// their bucket, and those beyond the last bound at that. It is NaN for no values.
func (h histogram) quantile(q float64) float64 {
	total := h.count()
	if total <= 0 || len(h.bounds) < 2 {
		return math.NaN()
	}
	rank := q * total
	i, _ := slices.BinarySearch(h.counts, rank)
	if i >= len(h.bounds)-1 {
		return h.bounds[len(h.bounds)-2]
	}
	low, below := 0.0, 0.0
	if i > 0 {
		low, below = h.bounds[i-1], h.counts[i-1]
	}
	return low + (h.bounds[i]-low)*(rank-below)/(h.counts[i]-below)
}
