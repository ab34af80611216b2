package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
)

// apart gives a server one half of the processors and this program, which loads
// it, the other: a load generator that takes the server's time measures itself.
// It returns what to put before the server's command line, and what undoes it.
// Where that cannot be had, both share, and the note says so.
func apart() (before []string, undo func() error, note string) {
	n := runtime.NumCPU()
	taskset, err := exec.LookPath("taskset")
	if err != nil || n < 2 {
		return nil, func() error { return nil }, "load generator on the same processors"
	}
	bind := func(first, last int) error {
		out, err := exec.Command(taskset, "-acp", fmt.Sprintf("%d-%d", first, last), strconv.Itoa(os.Getpid())).CombinedOutput()
		if err != nil {
			return fmt.Errorf("taskset: %w: %s", err, out)
		}
		return nil
	}
	if err := bind(n/2, n-1); err != nil {
		return nil, func() error { return bind(0, n-1) }, "load generator on the same processors"
	}
	return []string{taskset, "-c", fmt.Sprintf("0-%d", n/2-1)}, func() error { return bind(0, n-1) },
		fmt.Sprintf("on %d of %d processors, the load generator on the others", n/2, n)
}
