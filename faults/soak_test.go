package faults_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"time"
)

// soak returns how long a soak test takes. Without HANGAR_SOAK it is just long
// enough to show that it works.
func soak(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv("HANGAR_SOAK")
	if text == "" {
		return 15 * time.Second
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// F18: faults of all kinds for long. In the end each process uses what it used
// before.
func TestF18SoakWithFaults(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	faults := []func(){
		func() { killAndStart(t, r, f.gateways[0]) },
		func() { killAndStart(t, r, f.orders[0]) },
		func() { killAndStart(t, r, f.products[0]) },
		func() { restart(t, f.rabbitmq) },
		func() { restart(t, f.postgres) },
		func() { restart(t, f.redis) },
		f.rabbitmqProxy.reset, f.postgresProxy.reset, f.redisProxy.reset,
	}
	lasts, between := soak(t), min(20*time.Second, soak(t)/3)
	stop := r.keepBuying(t, 100)
	defer stop()
	r.flows(t, 200)
	before := f.usage(t)
	var recoveries []time.Duration
	for began := time.Now(); time.Since(began) < lasts; {
		time.Sleep(between) // the faults have a rhythm of their own
		faults[rand.IntN(len(faults))]()
		recoveries = append(recoveries, r.recovered(t, time.Now()))
		f.logUsage(t)
	}
	stop()
	awaitUsage(t, f.programs(), before)
	row{fmt.Sprintf("F18: soak with faults, %v", lasts), len(recoveries), f.heal(t, r), recoveries, f.redelivered()}.report(t)
}

func (f *fleet) logUsage(t *testing.T) {
	t.Helper()
	for i, u := range f.usage(t) {
		t.Logf("hangar %s: %v", f.programs()[i].args[1], u)
	}
}

// TestSoak has one process and the services apart work for long without faults.
// What they use stays the same.
func TestSoak(t *testing.T) {
	t.Run("one process", func(t *testing.T) {
		s, r := startSolo(t)
		levels := watchUsage(t, r, s.program)
		row{"soak, one process, no faults, " + levels, 0, s.heal(t, r), nil, ""}.report(t)
	})
	t.Run("services", func(t *testing.T) {
		f, r := startFleet(t, fleetOption{})
		levels := watchUsage(t, r, f.programs()...)
		row{"soak, services, no faults, " + levels, 0, f.heal(t, r), nil, ""}.report(t)
	})
}

// watchUsage loads a store for long, and wants its processes to use in the end, when
// they come to rest, what they used under load at the start.
func watchUsage(t *testing.T, r *record, programs ...*program) string {
	t.Helper()
	lasts := soak(t)
	stop := r.keepBuying(t, 200)
	defer stop()
	r.flows(t, 500) // what is made once is made
	first := usageOf(t, programs)
	const looks = 10
	for range looks {
		time.Sleep(lasts / looks)
		t.Logf("%v", usageOf(t, programs))
	}
	stop()
	awaitUsage(t, programs, first)
	return lasts.String()
}
