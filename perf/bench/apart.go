package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// apart gives a server one half of the processors that this program may use, and
// this program, which loads it, the other: a load generator that takes the server's
// time measures itself. It returns what to put before the server's command line, and
// what undoes it. Where that cannot be had, both share, and the note says so.
func apart() (before []string, undo func(), note string) {
	const together = "load generator on the same processors"
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return nil, func() {}, together
	}
	bind := func(processors []string) error {
		out, err := exec.Command(taskset, "-acp", strings.Join(processors, ","), strconv.Itoa(os.Getpid())).CombinedOutput()
		if err != nil {
			return fmt.Errorf("taskset: %w: %s", err, out)
		}
		return nil
	}
	all, err := usableProcessors()
	n := len(all)
	if err != nil || n < 2 {
		return nil, func() {}, together
	}
	undo = func() {
		if err := bind(all); err != nil { // which spoils figures, and makes no answer wrong
			fmt.Fprintln(os.Stderr, "bench: what follows is measured with the load generator on half of the processors:", err)
		}
	}
	if err := bind(all[n/2:]); err != nil {
		return nil, undo, together
	}
	return []string{taskset, "-c", strings.Join(all[:n/2], ",")}, undo,
		fmt.Sprintf("on %d of %d processors, the load generator on the others", n/2, n)
}

// usableProcessors returns the numbers of the processors that this program may use,
// which need not begin with 0. It knows them on Linux only.
func usableProcessors() ([]string, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil, err
	}
	_, list, _ := strings.Cut(string(status), "\nCpus_allowed_list:\t")
	list, _, _ = strings.Cut(list, "\n")
	return parseProcessors(list)
}

// parseProcessors reads a list such as 0,2-4.
func parseProcessors(list string) ([]string, error) {
	var all []string
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, err := strconv.Atoi(from)
		if err != nil {
			return nil, fmt.Errorf("list of processors %q: %w", list, err)
		}
		last, err := strconv.Atoi(to)
		if err != nil {
			return nil, fmt.Errorf("list of processors %q: %w", list, err)
		}
		for p := first; p <= last; p++ {
			all = append(all, strconv.Itoa(p))
		}
	}
	return all, nil
}
