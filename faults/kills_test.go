package faults_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// F1: the orders service ends at each crash point.
func TestF01OrdersServiceCrashesAtEachPoint(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	points := []string{
		"orders.insert", "orders.inserted", "orders.begun", "orders.held", "orders.settle", "orders.settled",
		"orders.published", "orders.relayed", "nameko.executed", "nameko.replied",
	}
	recoveries := f.crashAtEach(t, r, f.orders[0], points)
	row{"F1: orders service crashes at each step", len(recoveries), f.heal(t, r), recoveries, f.redelivered()}.report(t)
}

// F2: the products service ends around the hold, and before it acknowledges.
func TestF02ProductsServiceCrashesAtEachPoint(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	points := []string{"products.hold", "products.held", "products.take", "products.taken", "products.restock", "products.restocked", "nameko.executed", "nameko.replied"}
	recoveries := f.crashAtEach(t, r, f.products[0], points)
	row{"F2: products service crashes at each step", len(recoveries), f.heal(t, r), recoveries, f.redelivered()}.report(t)
}

func (f *fleet) crashAtEach(t *testing.T, r *record, p *program, points []string) (recoveries []time.Duration) {
	t.Helper()
	stop := r.keepBuying(t, 200)
	defer stop()
	for range runs(1, 20) {
		for _, point := range points {
			r.flows(t, 20)
			p.drain(t)
			recoveries = append(recoveries, crash(t, p, r, point, 40))
		}
	}
	return recoveries
}

// F3: the gateway ends in the middle of requests, and clients ask again with
// their keys.
func TestF03GatewayKilled(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	stop := r.keepBuying(t, 200)
	defer stop()
	var recoveries []time.Duration
	for range runs(5, 100) {
		r.flows(t, 1+rand.IntN(60))
		recoveries = append(recoveries, killAndStart(t, r, f.gateways[0]))
	}
	stop()
	row{"F3: gateway killed", len(recoveries), f.heal(t, r), recoveries, ""}.report(t)
}

func killAndStart(t *testing.T, r *record, p *program) time.Duration {
	t.Helper()
	p.kill()
	ended := time.Now()
	p.start(t)
	return r.recovered(t, ended)
}

// F4: any process is killed, again and again.
func TestF04AnyProcessKilled(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	stop := r.keepBuying(t, 200)
	defer stop()
	var recoveries []time.Duration
	all := f.programs()
	for range runs(30, 300) {
		time.Sleep(time.Second + rand.N(2*time.Second)) // the fault has a rhythm of its own
		recoveries = append(recoveries, killAndStart(t, r, all[rand.IntN(len(all))]))
	}
	stop()
	settled, of := r.succeeded()
	if settled*100 < of*99 {
		t.Errorf("%d of %d purchases succeeded, want 99 %%", settled, of)
	}
	note := fmt.Sprintf("%d of %d purchases succeeded; %s", settled, of, f.redelivered())
	row{"F4: a random process killed every 1 to 3 s", len(recoveries), f.heal(t, r), recoveries, note}.report(t)
}

// F12: many buy the last units at once.
func TestF12FleetSellsTheLastUnits(t *testing.T) {
	f, r := startFleet(t, fleetOption{replicas: 2})
	note := sellOut(t, r)
	row{"F12: 500 clients, 100 units", 1, f.heal(t, r), nil, note}.report(t)
}
