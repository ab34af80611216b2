// Command load runs a load test against a store with this HTTP API, hangar or
// another, shows charts while it runs, and leaves a report. It also puts two
// such runs side by side.
//
//	load run [options]      what "make perf" does
//	load compare -a A -b B  what "make perf-compare" does
//	load k6                 builds k6, unless it is built
//
// k6 makes the load, as a program of its own; this one adds its samples up. It
// ends with k6's exit code: 0, 99 if a threshold was missed, 105 after Ctrl-C. Its
// own failures are 1, and wrong usage is 2.
//
// Products of a journey have ids of their own and are deleted at its end, where
// the target can do that; orders stay. Loading a store that serves customers is
// for its owner to decide.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

const usage = `usage: load run [options]          load a store and report
       load compare -a A -b B     put two runs side by side
       load k6                    build k6, unless it is built
"load run -h" lists the options.
`

func main() {
	interrupts := make(chan os.Signal, 2)
	signal.Notify(interrupts, os.Interrupt, syscall.SIGTERM)
	os.Exit(command(os.Args[1:], ".", interrupts, os.Stdout, os.Stderr))
}

// command runs the arguments in the folder of hangar's source, and returns the exit
// code.
func command(args []string, root string, interrupts <-chan os.Signal, out, errs io.Writer) int {
	name := ""
	if len(args) > 0 {
		name, args = args[0], args[1:]
	}
	exit := 0
	var err error
	switch name {
	case "run":
		var s settings
		s, err = parseSettings(args, errs)
		if err != nil {
			return wrongUsage(errs, err)
		}
		exit, err = run(context.Background(), s, root, interrupts, out)
	case "compare":
		var c comparison
		c, err = parseComparison(args, root, errs)
		if err != nil {
			return wrongUsage(errs, err)
		}
		err = c.write(out)
	case "k6":
		err = buildK6(root, out)
	default:
		fmt.Fprint(errs, usage)
		return 2
	}
	if err != nil {
		fmt.Fprintln(errs, "load:", err)
		return 1
	}
	return exit
}

func wrongUsage(errs io.Writer, err error) int {
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(errs, "load:", err)
	return 2
}

// comparison is the arguments of "load compare".
type comparison struct {
	a, b string // folders or files of runs
	out  string
}

func parseComparison(args []string, root string, errs io.Writer) (comparison, error) {
	c := comparison{}
	flags := flag.NewFlagSet("load compare", flag.ContinueOnError)
	flags.StringVar(&c.a, "a", "", "folder or summary.json of the run before")
	flags.StringVar(&c.b, "b", "", "folder or summary.json of the run after")
	flags.StringVar(&c.out, "out", filepath.Join(root, "perf", "results", "compare.html"), "file to write")
	if err := parseFlags(flags, args, errs); err != nil {
		return c, err
	}
	if c.a == "" || c.b == "" {
		return c, errors.New("name two runs: A=folder B=folder")
	}
	return c, nil
}

func (c comparison) write(out io.Writer) error {
	a, err := readSummary(c.a)
	if err != nil {
		return fmt.Errorf("run A: %w", err)
	}
	b, err := readSummary(c.b)
	if err != nil {
		return fmt.Errorf("run B: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(c.out), 0o755); err != nil {
		return err
	}
	if err := writePage(c.out, comparePage("Two load tests compared", a, b)); err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "the comparison is %s\n", c.out)
	return err
}
