package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// family is what there is of a metric: its type, and the names of its labels.
type family struct {
	kind   string
	labels []string // sorted
}

// scrape adds the metrics that a process has at the moment.
func scrape(t *testing.T, url string, families map[string]family) {
	t.Helper()
	status, answer := request(t, "GET", url+"/metrics", "")
	if status != 200 {
		t.Fatalf("GET %s/metrics: %d %s", url, status, answer)
	}
	textParser := expfmt.NewTextParser(model.LegacyValidation)
	scraped, err := textParser.TextToMetricFamilies(strings.NewReader(answer + "\n"))
	if err != nil {
		t.Fatalf("the metrics of %s: %v", url, err)
	}
	for name, f := range scraped {
		labels := make(map[string]bool)
		for _, l := range families[name].labels {
			labels[l] = true
		}
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
			}
		}
		families[name] = family{strings.ToLower(f.GetType().String()), slices.Sorted(maps.Keys(labels))}
	}
}

// allMetrics returns the metrics of the services apart, with caches, and of one
// process, after all of them have worked.
func allMetrics(t *testing.T) map[string]family {
	t.Helper()
	f := newFleet(t)
	f.cache = []string{"--cache", "ttl", "--cache-ttl", "1h", "--cache-stock-age", "1us"}
	for _, service := range services {
		f.serve(t, service)
	}
	f.waitUntilServed(t)
	gateway, one := f.services["gateway"].url, serveStore(t, t.TempDir())
	for _, url := range []string{gateway, one.url} {
		if got := hangarCommand(t, environment{}, "smoke", url); got.code != 0 {
			t.Fatalf("smoke exited with %d: %s%s", got.code, got.stdout, got.stderr)
		}
	}
	waitFor(t, "an event to be handled", func() bool {
		_, answer := request(t, "GET", f.services["products"].admin+"/metrics", "")
		return strings.Contains(answer, `hangar_events_handled_total{event="order_created",outcome="ok"} 1`)
	})
	families := map[string]family{"up": {}} // which Prometheus makes itself
	for _, url := range []string{f.services["gateway"].admin, f.services["orders"].admin, f.services["products"].admin, one.url} {
		scrape(t, url, families)
	}
	return families
}

// The documents, the dashboard and the alerts speak of metrics that there are.
func TestMetricsAreAsTheDocumentsHaveThem(t *testing.T) {
	families := allMetrics(t)
	t.Run("OPERATIONS.md", func(t *testing.T) { checkDocument(t, families) })
	t.Run("alerts.yml", func(t *testing.T) { checkAlerts(t, families) })
	t.Run("hangar.json", func(t *testing.T) { checkDashboard(t, families) })
}

var documented = regexp.MustCompile("(?m)^\\| `(hangar_\\w+)` \\| (\\w+) \\|([^|]*)\\|")

func checkDocument(t *testing.T, families map[string]family) {
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, row := range documented.FindAllStringSubmatch(string(text), -1) {
		labels := strings.FieldsFunc(strings.ReplaceAll(row[3], "`", ""), func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(labels)
		got[row[1]] = fmt.Sprint(row[2], labels)
	}
	want := make(map[string]string)
	for name, f := range families {
		if strings.HasPrefix(name, "hangar_") {
			want[name] = fmt.Sprint(f.kind, f.labels)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the table of metrics (-there are +it has):\n%s", diff)
	}
}

func checkAlerts(t *testing.T, families map[string]family) {
	text, err := os.ReadFile("../../deploy/prometheus/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Groups []struct {
			Name  string `yaml:"name"`
			Rules []struct {
				Alert       string            `yaml:"alert"`
				Expr        string            `yaml:"expr"`
				For         string            `yaml:"for"`
				Labels      map[string]string `yaml:"labels"`
				Annotations map[string]string `yaml:"annotations"`
			} `yaml:"rules"`
		} `yaml:"groups"`
	}
	if err := yaml.UnmarshalWithOptions(text, &file, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			labels := checkExpression(t, rule.Alert, rule.Expr, families)
			checkTemplate(t, rule.Alert, rule.Annotations["summary"]+rule.Annotations["description"], labels)
			if rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				t.Errorf("%s lacks a severity, a summary or a description", rule.Alert)
			}
		}
		if len(group.Rules) < 10 {
			t.Errorf("group %s has %d alerts", group.Name, len(group.Rules))
		}
	}
	if len(file.Groups) == 0 {
		t.Error("there are no alerts")
	}
}

var labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)

func checkDashboard(t *testing.T, families map[string]family) {
	text, err := os.ReadFile("../../deploy/grafana/hangar.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string
			Type    string
			Targets []struct{ Expr, LegendFormat string }
		}
		Templating struct {
			List []struct {
				Name  string
				Type  string
				Query json.RawMessage
			}
		}
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, v := range dashboard.Templating.List {
		if v.Type != "query" {
			continue
		}
		var query struct{ Query string }
		if err := json.Unmarshal(v.Query, &query); err != nil {
			t.Fatal(err)
		}
		parts := labelValues.FindStringSubmatch(query.Query)
		if parts == nil {
			t.Errorf("variable %s: %q", v.Name, query.Query)
			continue
		}
		checkExpression(t, v.Name, parts[1], families)
	}
	queries := 0
	for _, panel := range dashboard.Panels {
		if panel.Type != "row" && len(panel.Targets) == 0 {
			t.Errorf("panel %s shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			queries++
			labels := checkExpression(t, panel.Title, target.Expr, families)
			checkTemplate(t, panel.Title, target.LegendFormat, labels)
		}
	}
	if queries == 0 {
		t.Error("the dashboard shows nothing")
	}
}

// ofTargets are the labels that Prometheus gives everything it scrapes.
var ofTargets = []string{"job", "instance"}

// checkExpression checks that an expression can be read, and that there are the
// metrics and the labels that it names. It returns the labels that its result may
// have.
func checkExpression(t *testing.T, where, expression string, families map[string]family) (labels []string) {
	t.Helper()
	expression = strings.ReplaceAll(expression, "$__rate_interval", "5m")
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		t.Errorf("%s: %s: %v", where, expression, err)
		return nil
	}
	labels = slices.Clone(ofTargets)
	for _, selectors := range parser.ExtractSelectors(parsed) {
		name := ""
		for _, m := range selectors {
			if m.Name == model.MetricNameLabel {
				name = m.Value
			}
		}
		known, ok := labelsOf(name, families)
		if !ok {
			t.Errorf("%s: there is no metric %s", where, name)
			continue
		}
		for _, m := range selectors {
			if m.Name != model.MetricNameLabel && !slices.Contains(known, m.Name) {
				t.Errorf("%s: %s has no label %s", where, name, m.Name)
			}
		}
		labels = append(labels, known...)
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		aggregate, ok := node.(*parser.AggregateExpr)
		if !ok {
			return nil
		}
		for _, label := range aggregate.Grouping {
			if !slices.Contains(labels, label) {
				t.Errorf("%s: nothing has the label %s, by which %s groups", where, label, expression)
			}
		}
		return nil
	})
	// What an aggregation leaves is what it groups by.
	if aggregate, ok := parsed.(*parser.AggregateExpr); ok && !aggregate.Without {
		return aggregate.Grouping
	}
	return labels
}

// labelsOf returns the labels of a metric, of a histogram's parts too.
func labelsOf(name string, families map[string]family) (labels []string, ok bool) {
	if f, ok := families[name]; ok {
		labels = slices.Concat(f.labels, ofTargets)
		if f.kind == "summary" {
			labels = append(labels, "quantile")
		}
		return labels, true
	}
	for _, part := range []string{"_bucket", "_sum", "_count"} {
		base, isPart := strings.CutSuffix(name, part)
		if f, ok := families[base]; isPart && ok && f.kind == "histogram" {
			labels = slices.Concat(f.labels, ofTargets)
			if part == "_bucket" {
				labels = append(labels, model.BucketLabel)
			}
			return labels, true
		}
	}
	return nil, false
}

var labelInTemplate = regexp.MustCompile(`\{\{ ?(?:\$labels\.)?([a-z_]+) ?\}\}`)

// checkTemplate checks that a text names only labels that its expression has.
func checkTemplate(t *testing.T, where, text string, labels []string) {
	t.Helper()
	for _, named := range labelInTemplate.FindAllStringSubmatch(text, -1) {
		if !slices.Contains(labels, named[1]) {
			t.Errorf("%s: %q names the label %s, which is not there", where, text, named[1])
		}
	}
}
