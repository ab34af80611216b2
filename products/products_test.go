package products_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"hangar"
	"hangar/products"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errDisk = errors.New("disk says no")

// recorder is a store that notes what it is asked to take and to sweep, and
// fails as it is told.
type recorder struct {
	products.Store
	taken []hangar.Hold
	swept []time.Time
	fail  error
}

func (r *recorder) Take(_ context.Context, h hangar.Hold) error {
	r.taken = append(r.taken, h)
	return r.fail
}

func (r *recorder) SweepHolds(_ context.Context, before time.Time) error {
	r.swept = append(r.swept, before)
	return r.fail
}

func TestWhatAnEventTakes(t *testing.T) {
	details := []hangar.OrderDetail{{ProductID: "a", Quantity: 1}, {ProductID: "b", Quantity: 2}, {ProductID: "a", Quantity: 3}}
	quantities := map[string]int64{"a": 4, "b": 2}
	for _, test := range []struct {
		name  string
		order hangar.Order
		want  hangar.Hold
	}{
		{"of hangar", hangar.Order{ID: 7, Hold: "uuid", Version: 2, Details: details}, hangar.Hold{ID: "uuid", Version: 2, Quantities: quantities}},
		{"of Python", hangar.Order{ID: 7, Details: details}, hangar.Hold{ID: "order-7", Version: 1, Quantities: quantities}},
	} {
		t.Run(test.name, func(t *testing.T) {
			store := &recorder{}
			s := products.NewService(store, slog.New(slog.DiscardHandler))
			e := hangar.OrderCreated{Order: test.order}
			if err := s.HandleOrderCreated(t.Context(), e); err != nil {
				t.Errorf("HandleOrderCreated: %v, want no error", err)
			}
			if diff := cmp.Diff([]hangar.Hold{test.want}, store.taken); diff != "" {
				t.Errorf("what was taken (-want +got):\n%s", diff)
			}
			store.fail = errDisk
			err := s.HandleOrderCreated(t.Context(), e)
			if !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "order 7") {
				t.Errorf("HandleOrderCreated of a store that fails: %v, want its error and the order's number", err)
			}
		})
	}
}

// In a bubble of its own time.
func TestRunSweepsOldHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		store := &recorder{fail: errDisk}
		ctx, cancel := context.WithCancel(t.Context())
		began, ended := time.Now(), make(chan error)
		go func() { ended <- products.NewService(store, slog.New(slog.NewTextHandler(&log, nil))).Run(ctx) }()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run, cancelled: %v, want nil", err)
		}
		if len(store.swept) < 2 || !store.swept[0].Equal(began.Add(-hangar.HoldRetention)) {
			t.Errorf("swept up to %v, want first %v, and again", store.swept, began.Add(-hangar.HoldRetention))
		}
		if n := strings.Count(log.String(), errDisk.Error()); n != len(store.swept) {
			t.Errorf("%d failures are in the log %d times:\n%s", len(store.swept), n, log.String())
		}
	})
}
