//go:build faults

package crash

import (
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	ends   = places(os.Getenv("HANGAR_CRASH"))
	upsets = places(os.Getenv("HANGAR_PANIC"))
	turned = strings.Split(os.Getenv("HANGAR_SABOTAGE"), ",")
)

// place is a named place, and which passing of it counts.
type place struct {
	name   string
	n      int64
	passed atomic.Int64
}

func places(s string) []*place {
	var list []*place
	for text := range strings.SplitSeq(s, ",") {
		name, n, _ := strings.Cut(text, ":")
		count, err := strconv.ParseInt(n, 10, 64)
		if err != nil || count < 1 {
			count = 1
		}
		list = append(list, &place{name: name, n: count})
	}
	return list
}

// At ends the process at the passing that HANGAR_CRASH names, and panics at
// those that HANGAR_PANIC names.
func At(name string) {
	for _, p := range ends {
		if p.name == name && p.passed.Add(1) == p.n {
			kill()
		}
	}
	for _, p := range upsets {
		if p.name == name && p.passed.Add(1)%p.n == 0 {
			panic("a test wants a panic at " + name)
		}
	}
}

func kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		os.Exit(137)
	}
	select {} // the signal is on its way
}

// Off reports whether HANGAR_SABOTAGE turns a mechanism off.
func Off(mechanism string) bool { return slices.Contains(turned, mechanism) }

// Stats is how much a process uses.
type Stats struct {
	Goroutines int
	HeapBytes  uint64 // in use, after a collection
}

func init() {
	path := os.Getenv("HANGAR_STATS")
	if path == "" {
		return
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	go func() {
		for range asked {
			if err := writeStats(path); err != nil {
				fmt.Fprintln(os.Stderr, "crash:", err)
			}
		}
	}()
}

func writeStats(path string) error {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	stats, err := json.Marshal(Stats{Goroutines: runtime.NumGoroutine(), HeapBytes: m.HeapInuse})
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", stats, 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
