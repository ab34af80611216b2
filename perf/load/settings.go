package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net/url"
	"slices"
	"strings"
	"time"
)

// journeySteps are the steps in the order in which a journey takes them. They are
// the labels of the charts, too.
var journeySteps = []string{"products-create", "product-get", "orders-create", "order-get", "list-orders", "product-delete"}

// needs says which step makes what another one asks for.
var needs = map[string]string{
	"product-get":    "products-create",
	"orders-create":  "products-create",
	"order-get":      "orders-create",
	"product-delete": "products-create",
}

const (
	localTarget = "http://127.0.0.1:8000" // where "hangar serve" listens

	// maxUsers bounds the users whom an open schedule may keep busy at once. Each
	// has a script engine of its own, of a few megabytes.
	maxUsers = 2000
)

// settings say what a run does.
type settings struct {
	target   *url.URL
	users    int           // at once; with a rate, those to begin with
	ramp     time.Duration // from the first user, or from no requests, to all
	hold     time.Duration // with all of them
	rate     int           // requests a second on an open schedule; 0 is a closed loop
	p95      time.Duration // bound of each label's 95th percentile; 0 is none
	steps    []string      // nil is all that the target has
	products []product
	out      string // folder; "" is one named after the time
}

// parseSettings reads the arguments of "load run". Help goes to out.
func parseSettings(args []string, out io.Writer) (settings, error) {
	s := settings{}
	flags := flag.NewFlagSet("load run", flag.ContinueOnError)
	target := flags.String("target", "local", `"local" (`+localTarget+`) or the URL of a store`)
	flags.IntVar(&s.users, "users", 3, "users at once; with -rate, users to begin with")
	flags.DurationVar(&s.ramp, "ramp", time.Minute, "time over which users, or the rate, rise")
	flags.DurationVar(&s.hold, "hold", 3*time.Minute, "time with all users, or at the full rate")
	flags.IntVar(&s.rate, "rate", 0, "requests a second on a fixed schedule; 0: each user asks when the last answer has come")
	flags.DurationVar(&s.p95, "p95", 0, "fail if the 95th percentile of a step's response times is above; 0: no bound")
	steps := flags.String("steps", "", "steps to take, with commas between; \"\": all that the target has")
	file := flags.String("products", "", "CSV file of products; \"\": ten of the load test's own")
	flags.StringVar(&s.out, "out", "", "folder for report.html and summary.json; \"\": one in perf/results")
	err := parseFlags(flags, args, out)
	if err != nil {
		return s, err
	}
	if s.target, err = parseTarget(*target); err != nil {
		return s, err
	}
	if s.steps, err = parseSteps(*steps); err != nil {
		return s, err
	}
	if s.products, err = readProducts(*file); err != nil {
		return s, fmt.Errorf("products: %w", err)
	}
	return s, s.validate()
}

// parseFlags parses arguments that are all options. Help goes to out.
func parseFlags(flags *flag.FlagSet, args []string, out io.Writer) error {
	flags.SetOutput(io.Discard) // the error is the caller's to print
	flags.Usage = func() {}
	err := flags.Parse(args)
	if errors.Is(err, flag.ErrHelp) {
		flags.SetOutput(out)
		flags.PrintDefaults()
	}
	if err == nil && flags.NArg() > 0 {
		err = fmt.Errorf("%q is not an option", flags.Arg(0))
	}
	return err
}

func (s settings) validate() error {
	switch {
	case s.users < 1 || s.users > maxUsers:
		return fmt.Errorf("users must be 1 to %d, not %d", maxUsers, s.users)
	case s.hold < time.Second || s.hold > 7*24*time.Hour:
		return fmt.Errorf("hold must be 1s to 168h, not %v", s.hold)
	case s.ramp < 0 || s.ramp > 24*time.Hour:
		return fmt.Errorf("ramp must be 0s to 24h, not %v", s.ramp)
	case s.rate < 0 || s.rate > 1_000_000:
		return fmt.Errorf("rate must be 0 to 1000000 requests a second, not %d", s.rate)
	case s.p95 < 0:
		return fmt.Errorf("p95 must not be below 0, but is %v", s.p95)
	}
	return nil
}

func parseTarget(target string) (*url.URL, error) {
	if target == "local" {
		target = localTarget
	}
	u, err := url.Parse(strings.TrimRight(target, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New(`target must be "local" or a URL such as ` + localTarget)
	}
	return u, nil
}

// parseSteps returns the steps in a journey's order, nil if none are named.
func parseSteps(list string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	named := strings.Split(list, ",")
	for _, step := range named {
		if !slices.Contains(journeySteps, step) {
			return nil, fmt.Errorf("there is no step %q; there are %s", step, strings.Join(journeySteps, ","))
		}
		if need := needs[step]; need != "" && !slices.Contains(named, need) {
			return nil, fmt.Errorf("the step %s needs %s", step, need)
		}
	}
	var steps []string
	for _, step := range journeySteps {
		if slices.Contains(named, step) {
			steps = append(steps, step)
		}
	}
	return steps, nil
}

// planned is how long the run lasts if nobody ends it.
func (s settings) planned() time.Duration { return s.ramp + s.hold }

// interval is the time that a point of the charts stands for: whole seconds, so
// few of them that a page draws them at once however long the run is.
func (s settings) interval() time.Duration {
	const points = 600
	return time.Duration(math.Ceil(s.planned().Seconds()/points)) * time.Second
}
