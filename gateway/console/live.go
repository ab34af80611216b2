package console

import (
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"slices"
	"time"

	"hangar/gateway"
)

// chart is a chart of the live page, and the figures above it.
type chart struct {
	ID     string
	Title  string
	Series []series
}

// series is a line of a chart. Its key is that in the data, its colour a class.
type series struct {
	Key   string
	Label string
	Color string
}

var charts = []chart{
	{"requests", "Requests per second", []series{{"requests", "Answered", "blue"}}},
	{"errors", "Errors per second", []series{
		{"server_errors", "Failed (5xx)", "red"}, {"client_errors", "Wrong (4xx)", "amber"}, {"refused", "Refused, too busy", "violet"},
	}},
	{"holds", "Stock holds per second", []series{{"holds", "Held", "green"}, {"refusals", "Refused", "red"}}},
	{"outbox", "Events in the outbox", []series{{"outbox", "Waiting", "blue"}, {"parked", "Parked", "red"}}},
}

func (c *console) showLive(*http.Request) (page, error) {
	return page{template: "live", title: "Live", section: liveSection, data: map[string]any{"Charts": charts}}, nil
}

// liveData is what the page's script draws. Figures are null where there are none.
type liveData struct {
	Times   []float64           `json:"times"` // Unix time in seconds, rising
	Series  map[string][]figure `json:"series"`
	Routes  []routeData         `json:"routes"`  // busiest first, those of the last ten seconds
	Unknown map[string]string   `json:"unknown"` // by chart: why there is nothing
}

// routeData is one route's response times, in milliseconds.
type routeData struct {
	Route  string   `json:"route"`
	Rate   figure   `json:"rate"` // requests per second
	Median figure   `json:"median"`
	P95    figure   `json:"p95"`
	P95s   []figure `json:"p95s"` // at each of the times
}

// figure is a number that may be missing: NaN is null.
type figure float64

// MarshalJSON implements json.Marshaler.
func (f figure) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(f)) || math.IsInf(float64(f), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(math.Round(float64(f)*1000) / 1000)
}

func (s *sampler) serve(w http.ResponseWriter, r *http.Request) {
	gateway.NoteRepeated(w) // once a second for each who looks
	samples := s.watch(r.Context())
	if len(samples) > 0 {
		last := samples[len(samples)-1]
		if err := errors.Join(last.err, last.outboxErr, last.holdsErr); err != nil {
			gateway.NoteError(w, err)
		}
	}
	body, err := json.Marshal(newLiveData(samples))
	if err != nil {
		panic(err) // a type that cannot be encoded is a defect
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(body) // if the client is gone, nobody is left to tell
}

const (
	// routeWindow is over how long response times are made, so that few requests
	// make a steady line too.
	routeWindow = 10 * time.Second

	// shownRoutes bounds the lines of response times; more cannot be told apart.
	shownRoutes = 6
)

func newLiveData(samples []sample) liveData {
	d := liveData{Series: map[string][]figure{}, Routes: []routeData{}, Unknown: map[string]string{}}
	for _, c := range charts {
		for _, s := range c.Series {
			d.Series[s.Key] = []figure{}
		}
	}
	for i := range samples {
		d.add(samples, i)
	}
	if len(samples) > 0 {
		d.addRoutes(samples)
		last := samples[len(samples)-1]
		for chart, err := range map[string]error{"requests": last.err, "errors": last.err, "holds": last.holdsErr, "outbox": last.outboxErr} {
			if text := notKnown(err); text != "" {
				d.Unknown[chart] = text
			}
		}
	}
	return d
}

// add appends what sample i shows.
func (d *liveData) add(samples []sample, i int) {
	now := samples[i]
	d.Times = append(d.Times, float64(now.at.UnixMilli())/1000)
	put := func(key string, value float64, known bool) {
		if !known {
			value = math.NaN()
		}
		d.Series[key] = append(d.Series[key], figure(value))
	}
	var before totals
	seconds := math.NaN()
	if i > 0 && now.at.Sub(samples[i-1].at) <= longestGap {
		before, seconds = samples[i-1].totals, now.at.Sub(samples[i-1].at).Seconds()
	}
	rates := now.err == nil && seconds > 0
	put("requests", (now.totals.requests-before.requests)/seconds, rates)
	put("server_errors", (now.totals.serverErrors-before.serverErrors)/seconds, rates)
	put("client_errors", (now.totals.clientErrors-before.clientErrors)/seconds, rates)
	put("refused", (now.totals.refused-before.refused)/seconds, rates)
	put("holds", now.holds.holds, now.holds.known)
	put("refusals", now.holds.refusals, now.holds.known)
	put("outbox", float64(now.outbox.Waiting), now.outboxErr == nil)
	put("parked", float64(now.outbox.Parked), now.outboxErr == nil)
}

// addRoutes adds the routes that were asked for in the last ten seconds.
func (d *liveData) addRoutes(samples []sample) {
	last := len(samples) - 1
	for route := range samples[last].totals.routes {
		recent, seconds := window(samples, last, route)
		if recent.count() <= 0 || seconds <= 0 {
			continue
		}
		d.Routes = append(d.Routes, routeData{
			Route:  route,
			Rate:   figure(recent.count() / seconds),
			Median: figure(recent.quantile(0.5) * 1000),
			P95:    figure(recent.quantile(0.95) * 1000),
		})
	}
	slices.SortFunc(d.Routes, func(a, b routeData) int {
		return cmp.Or(cmp.Compare(b.Rate, a.Rate), cmp.Compare(a.Route, b.Route))
	})
	for i := range d.Routes[:min(len(d.Routes), shownRoutes)] {
		for n := range samples {
			recent, _ := window(samples, n, d.Routes[i].Route)
			d.Routes[i].P95s = append(d.Routes[i].P95s, figure(recent.quantile(0.95)*1000))
		}
	}
}

// window returns the durations of a route's requests in the ten seconds before
// sample n, and how many seconds those are.
func window(samples []sample, n int, route string) (histogram, float64) {
	first := n
	for first > 0 && samples[n].at.Sub(samples[first-1].at) <= routeWindow {
		first--
	}
	seconds := samples[n].at.Sub(samples[first].at).Seconds()
	if seconds <= 0 {
		return histogram{}, 0
	}
	return samples[n].totals.routes[route].since(samples[first].totals.routes[route]), seconds
}
