package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// measureMemory loads a store that holds much, all over, and looks at what its
// process keeps in memory.
func measureMemory(ctx context.Context, p plan, binary string) (_ []row, err error) {
	dir, err := grownStore(ctx, p)
	if err != nil {
		return nil, err
	}
	store, err := start(ctx, filepath.Join(p.workDir, "memory.log"), binary, "serve", "--addr", "127.0.0.1:0", "--data", dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.stop()) }()
	var table []row
	for _, kind := range []struct {
		name, what string
		request    func(ctx context.Context, c *client, url string, n int64, stored int) error
	}{
		{"MemoryUnderLoad", "reads and orders", aReadOrAnOrder},
		{"MemoryUnderReads", "reads alone", aRead},
	} {
		peaks, detail, err := peaksUnder(ctx, p, store, func(ctx context.Context, c *client, n int64) error {
			return kind.request(ctx, c, store.url, n, p.stored)
		})
		if err != nil {
			return nil, err
		}
		table = append(table, row{
			fmt.Sprintf("%s/stored=%d", kind.name, p.stored),
			fmt.Sprintf("peak of resident memory, one process with %d products and orders stored, %d clients, %s", p.stored, clients, kind.what),
			goal{mebibytes, 200}, peaks, detail,
		})
	}
	return table, nil
}

// peaksUnder returns the most that the store's process kept in memory in each
// round of a load.
func peaksUnder(ctx context.Context, p plan, store *process, request func(ctx context.Context, c *client, n int64) error) (peaks []float64, detail string, err error) {
	c, pid := newClient(), store.cmd.Process.Pid
	for range p.rounds {
		if err := forgetPeak(pid); err != nil {
			return nil, "", err
		}
		// Twice as long as other measurements: this is to touch every page.
		rate, err := load(ctx, clients, 2*p.round, 1, func(ctx context.Context, n int64) error { return request(ctx, c, n) })
		if err != nil {
			return nil, "", err
		}
		m, err := memoryOf(pid)
		if err != nil {
			return nil, "", err
		}
		peaks = append(peaks, m.peak)
		detail = fmt.Sprintf("at the end %.0f MiB its own and %.0f MiB of files; %.0f/s", m.anonymous, m.files, rate)
	}
	return peaks, detail, nil
}

// aReadOrAnOrder is the n-th of a load in which each fifth request creates an
// order, of a random product.
func aReadOrAnOrder(ctx context.Context, c *client, url string, n int64, stored int) error {
	if n%5 == 0 {
		_, err := c.order(ctx, url, productID(rand.IntN(stored)))
		return err
	}
	return aRead(ctx, c, url, n, stored)
}

// aRead is the n-th of a load that gets random products and orders of those that
// are stored, and now and then a page that begins anywhere.
func aRead(ctx context.Context, c *client, url string, n int64, stored int) error {
	aProduct, anOrder := productID(rand.IntN(stored)), 1+rand.IntN(stored)
	switch n % 16 {
	case 1:
		return c.get(ctx, fmt.Sprintf("%s/orders?limit=100&after=%d", url, anOrder))
	case 2:
		return c.get(ctx, fmt.Sprintf("%s/products?limit=100&after=%s", url, aProduct))
	case 3, 4, 5, 6, 7, 8:
		return c.get(ctx, fmt.Sprintf("%s/orders/%d", url, anOrder))
	default:
		return c.get(ctx, url+"/products/"+aProduct)
	}
}

// memory is what a process keeps in memory, in MiB.
type memory struct {
	peak             float64 // since the start, or since it was forgotten
	anonymous, files float64 // of what is resident now
}

// forgetPeak begins a new peak, as Linux allows.
func forgetPeak(pid int) error {
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0); err != nil {
		return fmt.Errorf("how much memory the store uses can be measured on Linux only: %w", err)
	}
	return nil
}

func memoryOf(pid int) (memory, error) {
	f, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return memory{}, err
	}
	defer f.Close()
	return parseMemory(f)
}

// parseMemory reads Linux's /proc/PID/status.
func parseMemory(status io.Reader) (memory, error) {
	var m memory
	wanted := map[string]*float64{"VmHWM": &m.peak, "RssAnon": &m.anonymous, "RssFile": &m.files}
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		field, ok := wanted[key]
		if !ok {
			continue
		}
		kib, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 64)
		if err != nil {
			return memory{}, fmt.Errorf("%s of the process's status: %w", key, err)
		}
		*field = kib / 1024
		delete(wanted, key)
	}
	if err := lines.Err(); err != nil {
		return memory{}, err
	}
	for key := range wanted {
		return memory{}, fmt.Errorf("the process's status has no %s", key)
	}
	return m, nil
}
