package faults_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"hangar/backing"
)

// F5: RabbitMQ is killed and comes back.
func TestF05RabbitMQKilled(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	recoveries := killServer(t, r, f.rabbitmq, runs(2, 10))
	row{"F5: RabbitMQ killed", len(recoveries), f.heal(t, r), recoveries, f.redelivered()}.report(t)
}

// killServer kills a server under load and starts it again. A recovery begins
// when it answers again.
func killServer(t *testing.T, r *record, s *backing.Server, times int) (recoveries []time.Duration) {
	t.Helper()
	stop := r.keepBuying(t, 200)
	defer stop()
	for range times {
		r.flows(t, 50)
		restart(t, s)
		recoveries = append(recoveries, r.recovered(t, time.Now()))
	}
	r.flows(t, 50)
	return recoveries
}

// F6: RabbitMQ is away for long. What comes meanwhile is refused, and costs
// nothing that stays.
func TestF06RabbitMQAway(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	stop := r.keepBuying(t, 200)
	defer stop()
	r.flows(t, 50)
	before := f.usage(t)
	if err := f.rabbitmq.Kill(); err != nil {
		t.Fatal(err)
	}
	away := time.Duration(runs(10, 60)) * time.Second
	r.misses(t, 200)
	soon := f.usage(t)
	time.Sleep(away) // the fault lasts
	late := f.usage(t)
	if err := f.rabbitmq.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	recoveries := []time.Duration{r.recovered(t, time.Now())}
	r.flows(t, 50)
	stop()
	for i, p := range f.programs() {
		t.Logf("hangar %s: %v with the broker; %v soon after it left; %v later", p.args[1], before[i], soon[i], late[i])
		// Requests come at one rate: what waits soon after is as much as what waits later.
		if late[i].Goroutines > 2*soon[i].Goroutines+100 || late[i].Descriptors > 2*soon[i].Descriptors+50 {
			t.Errorf("hangar %s grew without the broker from %v to %v", p.args[1], soon[i], late[i])
		}
	}
	awaitUsage(t, f.programs(), before)
	row{fmt.Sprintf("F6: RabbitMQ away for %v", away), 1, f.heal(t, r), recoveries, f.redelivered()}.report(t)
}

func (f *fleet) usage(t *testing.T) []usage {
	t.Helper()
	return usageOf(t, f.programs())
}

func usageOf(t *testing.T, programs []*program) []usage {
	t.Helper()
	var all []usage
	for _, p := range programs {
		all = append(all, p.usage(t))
	}
	return all
}

// awaitUsage waits until each process uses no more than it did under load, or so.
// The load has ended.
func awaitUsage(t *testing.T, programs []*program, before []usage) {
	t.Helper()
	http1.CloseIdleConnections() // there are as many as clients had to wait at once
	for i, p := range programs {
		var now usage
		waitFor(t, fmt.Sprintf("hangar %s uses as much as before, %v", p.args[1], before[i]), func() bool {
			now = p.usage(t)
			return now.Goroutines <= before[i].Goroutines+20 && now.Descriptors <= before[i].Descriptors+20 &&
				now.HeapBytes <= 2*before[i].HeapBytes+(16<<20)
		})
		t.Logf("hangar %s: %v in the end", p.args[1], now)
	}
}

// F7: PostgreSQL is stopped in its immediate mode, and all its backends are
// terminated.
func TestF07PostgresKilled(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	recoveries := killServer(t, r, f.postgres, runs(3, 10))
	stop := r.keepBuying(t, 200)
	defer stop()
	for range runs(3, 10) {
		r.flows(t, 50)
		terminateBackends(t, f.postgres.URL)
		recoveries = append(recoveries, r.recovered(t, time.Now()))
	}
	stop()
	row{"F7: PostgreSQL stopped, its backends terminated", len(recoveries), f.heal(t, r), recoveries, f.redelivered()}.report(t)
}

func terminateBackends(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND usename = current_user"); err != nil {
		t.Fatal(err)
	}
}

// F8: PostgreSQL answers late, so that all its connections are taken.
func TestF08PostgresLate(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	stop := r.keepBuying(t, 200)
	defer stop()
	var recoveries []time.Duration
	for range runs(1, 5) {
		r.flows(t, 50)
		f.postgresProxy.set(trouble{late: 2 * time.Second})
		time.Sleep(time.Duration(runs(8, 30)) * time.Second) // the fault lasts
		f.postgresProxy.set(trouble{})
		recoveries = append(recoveries, r.recovered(t, time.Now()))
	}
	r.flows(t, 50)
	stop()
	row{"F8: PostgreSQL answers 2 s late", len(recoveries), f.heal(t, r), recoveries, f.redelivered()}.report(t)
}

// F9: Redis is killed and comes back. It has each write on disk.
func TestF09RedisKilled(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	recoveries := killServer(t, r, f.redis, runs(3, 10))
	row{"F9: Redis killed", len(recoveries), f.heal(t, r), recoveries, f.redelivered()}.report(t)
}
