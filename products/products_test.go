package products_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
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

// changing is a store that is written to, with an outcome.
type changing struct {
	products.Store
	outcome error
}

func (c changing) Put(context.Context, hangar.Product) error    { return c.outcome }
func (c changing) Insert(context.Context, hangar.Product) error { return c.outcome }
func (c changing) Delete(context.Context, string) error         { return c.outcome }
func (c changing) Restock(context.Context, string, string, int64) (hangar.Restocked, error) {
	return hangar.Restocked{}, c.outcome
}

// Whatever may have changed a product is announced, before it is answered.
func TestChangesAreAnnounced(t *testing.T) {
	p := hangar.Product{ID: "p", Title: "T"}
	restock := func(s *products.Service) error {
		_, err := s.Restock(t.Context(), hangar.Restock{ID: "p", Quantity: 1})
		return err
	}
	for name, test := range map[string]struct {
		change    func(s *products.Service) error
		outcome   error
		announced bool
	}{
		"put":                   {func(s *products.Service) error { return s.PutProduct(t.Context(), p) }, nil, true},
		"put that is in doubt":  {func(s *products.Service) error { return s.PutProduct(t.Context(), p) }, errDisk, true},
		"put that is not valid": {func(s *products.Service) error { return s.PutProduct(t.Context(), hangar.Product{ID: "p"}) }, nil, false},
		"created":               {func(s *products.Service) error { return s.CreateProduct(t.Context(), p) }, nil, true},
		"there already":         {func(s *products.Service) error { return s.CreateProduct(t.Context(), p) }, hangar.NewProductExists("p"), false},
		"deleted":               {func(s *products.Service) error { return s.DeleteProduct(t.Context(), "p") }, nil, true},
		"not there":             {func(s *products.Service) error { return s.DeleteProduct(t.Context(), "p") }, hangar.NewProductNotFound("p"), false},
		"restocked":             {restock, nil, true},
		"restock in doubt":      {restock, errDisk, true},
		"restock of none":       {restock, hangar.NewProductNotFound("p"), false},
		"restock of too many":   {restock, hangar.NewOverstocked(), false},
		"restock with used key": {restock, hangar.NewRestockKeyReused(), false},
	} {
		t.Run(name, func(t *testing.T) {
			s := products.NewService(changing{outcome: test.outcome}, slog.New(slog.DiscardHandler))
			announced := false
			s.AnnounceTo(func(_ context.Context, e hangar.ProductChanged) { announced = e.ID == "p" })
			if err := test.change(s); test.outcome != nil && !errors.Is(err, test.outcome) {
				t.Errorf("the change: %v, want %v", err, test.outcome)
			}
			if announced != test.announced {
				t.Errorf("announced: %t, want %t", announced, test.announced)
			}
		})
	}
}

// markers is a store that notes the markers of restocks.
type markers struct {
	products.Store
	noted []string
}

func (m *markers) Restock(_ context.Context, marker, _ string, _ int64) (hangar.Restocked, error) {
	m.noted = append(m.noted, marker)
	return hangar.Restocked{}, nil
}

// A key has one marker, whatever it is; without a key each restock has its own.
func TestRestockMarkers(t *testing.T) {
	store := new(markers)
	s := products.NewService(store, slog.New(slog.DiscardHandler))
	long := strings.Repeat("☃", hangar.MaxIdempotencyKey)
	keys := []string{"k", "K", "order-1", long, long[3:] + "x", "", ""}
	for range 2 {
		for _, key := range keys {
			if _, err := s.Restock(t.Context(), hangar.Restock{ID: "p", Quantity: 1, IdempotencyKey: key}); err != nil {
				t.Fatal(err)
			}
		}
	}
	first, second := store.noted[:len(keys)], store.noted[len(keys):]
	for i, key := range keys {
		if same := first[i] == second[i]; same != (key != "") {
			t.Errorf("the markers of the key %.10q are %s and %s", key, first[i], second[i])
		}
		if !strings.HasPrefix(first[i], "restock-") || len(first[i]) > 255 {
			t.Errorf("the marker of the key %.10q is %q, want restock-, and up to 255 bytes", key, first[i])
		}
	}
	slices.Sort(store.noted)
	if n := len(slices.Compact(store.noted)); n != 5+4 {
		t.Errorf("5 keys, and 4 restocks without, have %d markers, want 9", n)
	}
}

func TestEachServiceIsAnInstance(t *testing.T) {
	var instances [2]string
	for i := range instances {
		s, err := products.NewService(nil, slog.New(slog.DiscardHandler)).StockStatistics(t.Context())
		if err != nil || s.Holds != 0 || s.Refusals != 0 {
			t.Errorf("StockStatistics of a new service = %+v, %v, want no holds", s, err)
		}
		instances[i] = s.Instance
	}
	if instances[0] == instances[1] || instances[0] == "" {
		t.Errorf("two services are the instances %q, want two", instances)
	}
}
