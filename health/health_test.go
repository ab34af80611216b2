package health_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"hangar"
	"hangar/health"
)

// errHang makes a part answer nothing.
var errHang = errors.New("hang")

// part is a dependency that a test has in its hand.
type part struct {
	mu  sync.Mutex
	err error
}

func (p *part) is(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *part) ask(ctx context.Context) error {
	p.mu.Lock()
	err := p.err
	p.mu.Unlock()
	if err == errHang {
		<-ctx.Done()
		return ctx.Err()
	}
	return err
}

// watch watches a store that is needed and a service that is not.
func watch(t *testing.T, store, service *part, log io.Writer) *health.Watch {
	w := health.New(slog.New(slog.NewTextHandler(log, nil)))
	if ready, states := w.State(); ready || states["start"] != "not finished" {
		t.Errorf("before Run: %v, %v, want that it has not started", ready, states)
	}
	w.Watch(health.Dependency{Name: "store", Ask: store.ask, Needed: true}, health.Dependency{Name: "service", Ask: service.ask})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := w.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		stop()
		running.Wait()
	})
	synctest.Wait()
	return w
}

func want(t *testing.T, when string, w *health.Watch, ready bool, store, service string) {
	t.Helper()
	synctest.Wait()
	gotReady, got := w.State()
	if diff := cmp.Diff(map[string]string{"store": store, "service": service}, got); diff != "" || gotReady != ready {
		t.Errorf("%s: ready %v, want %v; states (-want +got):\n%s", when, gotReady, ready, diff)
	}
	up := map[string]bool{"store": store == "ok", "service": service == "ok"}
	if diff := cmp.Diff(up, w.Up()); diff != "" {
		t.Errorf("%s: up (-want +got):\n%s", when, diff)
	}
}

func TestOutages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store, service := new(part), new(part)
		w := watch(t, store, service, &log)
		want(t, "at the start", w, true, "ok", "ok")

		store.is(syscall.ECONNREFUSED)
		service.is(errHang)
		time.Sleep(3500 * time.Millisecond)
		want(t, "after a short outage", w, true, "down for 3s: connection refused", "no answer for 3s")
		time.Sleep(5 * time.Second)
		want(t, "after a long outage", w, false, "down for 8s: connection refused", "no answer for 8s")

		store.is(nil)
		time.Sleep(2 * time.Second)
		want(t, "with only the service away", w, true, "ok", "no answer for 10s")

		store.is(errHang)
		service.is(nil)
		time.Sleep(10 * time.Second)
		want(t, "while the store hangs", w, false, "no answer for 10s", "ok")
		store.is(nil)
		time.Sleep(10 * time.Second)
		want(t, "in the end", w, true, "ok", "ok")
		if n := strings.Count(log.String(), "level=WARN msg=\"not ready"); n != 2 || strings.Count(log.String(), "msg=\"ready") != 2 {
			t.Errorf("the log has\n%s\nwant two outages and their ends", &log)
		}
	})
}

func TestDependencyThatWasNeverThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, service := &part{err: errHang}, &part{err: io.EOF}
		w := watch(t, store, service, io.Discard)
		want(t, "at the start", w, false, "not asked yet", "down: the connection was closed")
		time.Sleep(2 * time.Second)
		want(t, "soon after", w, false, "no answer yet", "down: the connection was closed")
		store.is(nil)
		time.Sleep(10 * time.Second)
		want(t, "when it has come", w, true, "ok", "down: the connection was closed")
	})
}

// A store that was opened a moment ago is there before it is asked for the first time.
func TestDependencyThatHasAnswered(t *testing.T) {
	w := health.New(slog.New(slog.DiscardHandler))
	w.Watch(health.Dependency{Name: "store", Needed: true, Answered: true}, health.Dependency{Name: "broker"})
	want := map[string]string{"store": "ok", "broker": "not asked yet"}
	if ready, states := w.State(); !ready || cmp.Diff(want, states) != "" {
		t.Errorf("before anything is asked: %v, %v, want ready and %v", ready, states, want)
	}
}

// A cause never names a host, a user or a password.
func TestCauses(t *testing.T) {
	const secret = "db.internal"
	for _, test := range []struct {
		err  error
		want string
	}{
		{&net.OpError{Op: "dial", Net: "tcp", Addr: &net.UnixAddr{Name: secret}, Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)}, "connection refused"},
		{fmt.Errorf("to %s: %w", secret, &net.DNSError{Err: "no such host", Name: secret}), "no such host"},
		{fmt.Errorf("to %s: %w", secret, io.ErrUnexpectedEOF), "the connection was closed"},
		{fmt.Errorf("to %s: %w", secret, os.ErrDeadlineExceeded), ""},
		{fmt.Errorf("to %s: %w", secret, health.Cause("nobody is there")), "nobody is there"},
		{&hangar.Error{Code: hangar.Unavailable, Message: "Redis is loading its data.", Err: errors.New(secret)}, "Redis is loading its data."},
		{&hangar.Error{Code: hangar.Unexpected, Message: secret}, "it answers with an error"},
		{errors.New("password authentication failed for " + secret), "it answers with an error"},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := watch(t, &part{err: test.err}, new(part), io.Discard)
			state := "down: " + test.want
			if test.want == "" {
				state = "no answer yet"
			}
			want(t, "with "+test.err.Error(), w, false, state, "ok")
		})
	}
}
