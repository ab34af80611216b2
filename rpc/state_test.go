package rpc_test

import (
	"context"
	"testing"
	"time"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/rpc"
)

func TestStateOfAPeer(t *testing.T) {
	t.Parallel()
	url := hangartest.StartRabbitMQ(t).URL
	p := rpc.NewProducts(newClient(t, url, "gateway"))
	wantEqual(t, "State before any call", p.State(), rpc.PeerState{Service: "products"})
	eventually(t, "nobody takes calls", func() error {
		if err := p.Check(t.Context()); err == nil || err.Error() != hangar.Errorf(hangar.Unavailable, "No instance takes calls.").Error() {
			return &hangar.Error{Message: "Check does not say so", Err: err}
		}
		return nil
	})
	eventually(t, "a call is not made any more", func() error {
		_, err := p.Product(t.Context(), "a")
		wantUnavailable(t, "Product", err, nil)
		if p.State().Refused == 0 {
			return err
		}
		return nil
	})
	wantEqual(t, "State of one that failed", p.State(), rpc.PeerState{Service: "products", CutOff: true, Refused: 1})
	wantUnavailable(t, "Check of one that failed", p.Check(t.Context()), rpc.ErrCutOff)

	u := &unsteady{}
	serve(t, connect(t, url), "products", func(s *nameko.Server) { rpc.ServeProducts(s, u, nil, nil) })
	eventually(t, "the service answers again", func() error {
		_, err := p.Product(t.Context(), "a")
		return err
	})
	wantNil(t, "Check", p.Check(t.Context()))
	before := p.State()
	u.fail(1000)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for p.State().Unretried == before.Unretried && ctx.Err() == nil {
		_, err := p.Product(ctx, "a")
		wantUnavailable(t, "Product", err, nil)
	}
	if s := p.State(); s.Retries < before.Retries+10 || s.CutOff {
		t.Errorf("State when all retries are spent: %+v, before %+v, want ten retries more, and calls let through", s, before)
	}
}
