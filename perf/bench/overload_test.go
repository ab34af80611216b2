package main

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"
)

// serve answers every request as told.
func serve(t *testing.T, answer http.HandlerFunc) (url string) {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return server.URL
}

func TestOpenLoopKeepsToItsSchedule(t *testing.T) {
	const due = 40
	d, rate := 200*time.Millisecond, float64(due)/0.2
	var arrived atomic.Int64
	all := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			return // a connection is made
		}
		if arrived.Add(1) == due {
			close(all)
		}
		select { // nobody is answered before the last has come
		case <-all:
		case <-t.Context().Done():
		}
	})
	o, err := openLoop(t.Context(), d, url, [][]byte{postOrder("p")}, rate)
	if err != nil {
		t.Fatal(err)
	}
	if len(o.took) != due {
		t.Fatalf("%d were carried out, want %d", len(o.took), due)
	}
	longest, least := quantile(o.took, 1), d*(due-1)/due
	if longest < least {
		t.Errorf("the first took %v, want what lies between its time and that of the last at least, %v", longest, least)
	}
}

func TestLatencyCountsFromWhenARequestWasDue(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {})
	w, err := dialWire(url)
	if err != nil {
		t.Fatal(err)
	}
	defer w.conn.Close()
	late := make(chan time.Time, 1)
	late <- time.Now().Add(-time.Hour)
	close(late)
	var o outcomes
	o.sendDue(w, late, func() []byte { return postOrder("p") })
	if o.err != nil || len(o.took) != 1 || o.took[0] < time.Hour {
		t.Errorf("a request that was due an hour ago took %v, %v; want an hour", o.took, o.err)
	}
}

func TestLoopsTellRefusalsFromWrongAnswers(t *testing.T) {
	for _, c := range []struct {
		status           int
		refused, correct bool
	}{
		{http.StatusOK, false, true},
		{http.StatusServiceUnavailable, true, true},
		{http.StatusInternalServerError, false, false},
	} {
		url := serve(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(c.status) })
		open, openErr := openLoop(t.Context(), 20*time.Millisecond, url, [][]byte{postOrder("p")}, 1000)
		closed, closedErr := closedLoop(t.Context(), 20*time.Millisecond, url, 2, [][]byte{postOrder("p")})
		for name, o := range map[string]*outcomes{"open": open, "closed": closed} {
			if (o.refused > 0) != c.refused {
				t.Errorf("%s loop, answers of %d: %d refused", name, c.status, o.refused)
			}
			if done := len(o.took) > 0; done != (c.correct && !c.refused) {
				t.Errorf("%s loop, answers of %d: %d carried out", name, c.status, len(o.took))
			}
		}
		if (openErr == nil) != c.correct || (closedErr == nil) != c.correct {
			t.Errorf("answers of %d: open loop %v, closed loop %v; want an error if that is wrong", c.status, openErr, closedErr)
		}
	}
}
