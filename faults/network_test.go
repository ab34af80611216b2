package faults_test

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

// F10: the network resets, slices, cuts and swallows what goes to and from each
// of the servers.
func TestF10Network(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	var (
		recoveries []time.Duration
		note       []string
	)
	for _, server := range []struct {
		name  string
		proxy *proxy
	}{{"RabbitMQ", f.rabbitmqProxy}, {"PostgreSQL", f.postgresProxy}, {"Redis", f.redisProxy}} {
		stop := r.keepBuying(t, 100)
		took := spoil(t, r, server.proxy)
		stop()
		recoveries = append(recoveries, took...)
		note = append(note, server.name+" "+quantile(took, 0.5))
	}
	note = append(note, f.redelivered())
	row{"F10: network resets, slices, cuts, swallows", len(recoveries), f.heal(t, r), recoveries, strings.Join(note, ", ")}.report(t)
}

// spoil does all that a network does to the connections through a proxy.
func spoil(t *testing.T, r *record, p *proxy) (recoveries []time.Duration) {
	t.Helper()
	healed := func() {
		p.set(trouble{})
		recoveries = append(recoveries, r.recovered(t, time.Now()))
		r.flows(t, 10)
	}
	r.flows(t, 10)
	for range runs(2, 20) {
		p.cut()
		healed()
		p.reset()
		healed()
	}
	p.set(trouble{slice: true})
	r.flows(t, 20) // it works, slowly
	healed()
	for range runs(4, 50) {
		cut := p.cutSoFar()
		p.set(trouble{cutAfter: 1 + rand.IntN(2000)})
		waitFor(t, "connections are cut", func() bool { return p.cutSoFar() >= cut+2 })
		healed()
	}
	for range runs(1, 5) {
		p.set(trouble{hole: true})
		r.misses(t, 10)
		// The connections that were swallowed must be given up, not found again.
		time.Sleep(time.Duration(runs(8, 30)) * time.Second) // the fault lasts
		healed()
	}
	return recoveries
}

// basicAck is how the broker's confirm begins in its frame: class basic, method
// ack, https://www.rabbitmq.com/amqp-0-9-1-reference.html.
var basicAck = []byte{0, 60, 0, 80}

// F11: the confirm of a message is cut off, so that its sender cannot know
// whether the broker has it.
func TestF11ConfirmsCutOff(t *testing.T) {
	f, r := startFleet(t, fleetOption{})
	recoveries := f.cutConfirms(t, r, runs(10, 1000))
	row{"F11: broker's confirm cut off", len(recoveries), f.heal(t, r), recoveries, f.redelivered()}.report(t)
}

func (f *fleet) cutConfirms(t *testing.T, r *record, times int) (recoveries []time.Duration) {
	t.Helper()
	stop := r.keepBuying(t, 200)
	defer stop()
	for range times {
		r.flows(t, 5)
		cut := f.rabbitmqProxy.cutSoFar()
		f.rabbitmqProxy.set(trouble{cutOn: basicAck})
		waitFor(t, "a confirm is cut off", func() bool { return f.rabbitmqProxy.cutSoFar() > cut })
		f.rabbitmqProxy.set(trouble{})
		recoveries = append(recoveries, r.recovered(t, time.Now()))
	}
	return recoveries
}
