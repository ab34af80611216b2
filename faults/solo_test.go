package faults_test

import (
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"hangar"
	"hangar/hangartest"
	"hangar/sqlite"
)

// solo is the whole store in one process, on SQLite.
type solo struct {
	*program
	url, data string
}

// newSolo returns a store that is not started.
func newSolo(t *testing.T, data string) *solo {
	t.Helper()
	addr := hangartest.FreeAddr(t)
	return &solo{program: newProgram(t, "serve", "--addr", addr, "--data", data), url: "http://" + addr, data: data}
}

func startSolo(t *testing.T, env ...string) (*solo, *record) {
	t.Helper()
	s := newSolo(t, t.TempDir())
	s.env = append(s.env, env...)
	s.start(t)
	putInto(t, s.url, putIn)
	return s, newRecord(s.url)
}

// heal brings all to an end, and counts. The store runs.
func (s *solo) heal(t *testing.T, r *record) *counts {
	t.Helper()
	r.settle(t)
	s.awaitSettled(t)
	s.drain(t)
	return s.check(t, r)
}

// awaitSettled waits until recovery has settled what clients left, and the outbox
// is empty, or until that should have been so: then the counts say what is left.
func (s *solo) awaitSettled(t *testing.T) {
	t.Helper()
	file, err := sqlite.OpenBeside(t.Context(), filepath.Join(s.data, "hangar.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for began := time.Now(); time.Since(began) < drained; time.Sleep(20 * time.Millisecond) {
		if isSettled(t, file.Orders) {
			return
		}
	}
}

// check counts. The store does not run.
func (s *solo) check(t *testing.T, r *record) *counts {
	t.Helper()
	path := filepath.Join(s.data, "hangar.db")
	integrity(t, path)
	file, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	return r.check(t, file.Orders, file.Products)
}

func integrity(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var verdict string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&verdict); err != nil || verdict != "ok" {
		t.Errorf("integrity of %s: %s, %v, want ok", filepath.Base(path), verdict, err)
	}
}

// TestContractOfTheBinary replays the HTTP contract against the real process.
func TestContractOfTheBinary(t *testing.T) {
	s := newSolo(t, t.TempDir())
	s.start(t)
	hangartest.TestHTTPContract(t, s.url)
	s.drain(t)
}

// soloPoints are all places in one process where a step may be the last one. A
// new order is one step; the others are of cancellations.
var soloPoints = []string{
	"orders.insert", "orders.begun", "orders.held", "orders.settle", "orders.settled",
	"orders.published", "orders.relayed", "products.hold", "products.held", "products.take", "products.taken",
	"products.restock", "products.restocked", "sqlite.commit",
}

// F1, F2 and F3 in one process: it ends at each crash point under load.
func TestF01OneProcessCrashesAtEachPoint(t *testing.T) {
	s, r := startSolo(t)
	stop := r.keepBuying(t, 200)
	defer stop()
	var recoveries []time.Duration
	each := runs(1, 20)
	for range each {
		for _, point := range soloPoints {
			r.flows(t, 20)
			s.drain(t)
			recoveries = append(recoveries, crash(t, s.program, r, point, 100))
		}
	}
	stop()
	row{"F1-F3, one process: crash at each step", len(recoveries), s.heal(t, r), recoveries, ""}.report(t)
}

// crash has a program that does not run end at some passing of the point, starts
// it again, and returns how long it took until orders flowed.
func crash(t *testing.T, p *program, r *record, point string, within int) time.Duration {
	t.Helper()
	p.start(t, "HANGAR_CRASH="+point+":"+strconv.Itoa(1+rand.IntN(within)))
	waitFor(t, "it comes to "+point, func() bool {
		select {
		case <-p.exited:
			return true
		default:
			return false
		}
	})
	if !killed(p.err) {
		t.Fatalf("it ended with %v, want a crash at %s\n%s", p.err, point, p.log)
	}
	ended := time.Now()
	p.start(t)
	return r.recovered(t, ended)
}

// F16: SIGKILL at random under load.
func TestF16OneProcessKilledAtRandom(t *testing.T) {
	s, r := startSolo(t)
	stop := r.keepBuying(t, 500)
	defer stop()
	var recoveries []time.Duration
	for range runs(20, 1000) {
		r.flows(t, 1+rand.IntN(150))
		s.kill()
		ended := time.Now()
		s.start(t)
		recoveries = append(recoveries, r.recovered(t, ended))
	}
	stop()
	row{"F16, SQLite: SIGKILL at random", len(recoveries), s.heal(t, r), recoveries, ""}.report(t)
}

// F12: many buy the last units at once.
func TestF12OneProcessSellsTheLastUnits(t *testing.T) {
	s, r := startSolo(t)
	note := sellOut(t, r)
	row{"F12, one process: 500 clients, 100 units", 1, s.heal(t, r), nil, note}.report(t)
}

// sellOut has 500 clients ask for the last 100 units, 1 to 3 each. What they are
// told is checked as it comes: every refusal is one for want of stock.
func sellOut(t *testing.T, r *record) string {
	t.Helper()
	const clients, units = 500, 100
	r.putIn["last"] = units
	putInto(t, r.url, map[string]int64{"last": units})
	var wg sync.WaitGroup
	for n := range clients {
		p := r.purchaseOf(hangar.OrderDetail{ProductID: "last", Quantity: 1 + int64(n%3)})
		wg.Go(func() { r.buyAgain(t.Context(), p) })
	}
	wg.Wait()
	orders, refused, left := 0, 0, int64(units)
	for _, p := range r.all {
		if p.id != 0 {
			orders++
			left -= p.lines[0].Quantity
		}
	}
	for _, p := range r.all {
		if p.refused {
			refused++
		}
		if p.refused && p.lines[0].Quantity <= left {
			t.Errorf("an order of %d units was refused, and %d are left", p.lines[0].Quantity, left)
		}
	}
	if orders+refused != clients {
		t.Errorf("%d orders and %d refusals, want %d in all", orders, refused, clients)
	}
	return fmt.Sprintf("%d refused, %d units left", refused, left)
}

// F17: the disk is full.
func TestF17DiskFull(t *testing.T) {
	data := smallDisk(t, "32m") // room for the write-ahead log and the file
	s := newSolo(t, data)
	s.start(t)
	putInto(t, s.url, putIn)
	r := newRecord(s.url)
	var recoveries []time.Duration
	for n := range runs(2, 10) {
		stop := r.keepBuying(t, 500)
		filler := filepath.Join(data, "filler")
		if err := fill(filler); err != nil {
			t.Fatal(err)
		}
		r.misses(t, 20) // not of any write: what takes less than an order may find room
		if n%2 == 1 {   // it may also be killed, and started again, while there is no room
			s.kill()
			s.start(t)
		}
		r.misses(t, 20)
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
		recoveries = append(recoveries, r.recovered(t, time.Now()))
		r.flows(t, 20)
		stop()
	}
	row{"F17, SQLite: disk full", len(recoveries), s.heal(t, r), recoveries, ""}.report(t)
}

// smallDisk returns a folder with a file system of its own.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "tmpfs", dir).CombinedOutput(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("mount a small file system: %v: %s", err, out)
		}
		t.Skipf("a small file system cannot be mounted, which takes root: %v: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("unmount: %v: %s", err, out)
		}
	})
	return dir
}

// fill writes a file until there is no room left.
func fill(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for size := 64 << 10; size > 0; size /= 2 {
		for chunk := make([]byte, size); ; {
			if _, err := f.Write(chunk); err != nil {
				break
			}
		}
	}
	return nil
}
