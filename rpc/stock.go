package rpc

import (
	"context"

	"hangar"
	"hangar/nameko"
)

// Hold implements hangar.Stock.
func (p *Products) Hold(ctx context.Context, h hangar.Hold) error {
	ctx, cancel := p.peer.begin(ctx, "settle_orders", writeTimeout)
	defer cancel()
	args := []any{h.ID, h.Version, byProduct[int64](h.Quantities)}
	if h.Before != nil {
		args = append(args, byProduct[int64](h.Before))
	}
	call := nameko.Call{Method: "hold", Args: args, Repeatable: true}
	if known, err := p.peer.callNew(ctx, call, nil, tryAgain); known {
		return err
	}
	return p.checkProducts(ctx, h)
}

func holdSignature() nameko.Signature {
	return nameko.Signature{Required: []string{"hold_id", "version", "quantities"}, Optional: []string{"before"}}
}

func (m productMethods) hold(ctx context.Context, args nameko.Args) (any, error) {
	var h hangar.Hold
	var ok bool
	if h.ID, ok = args["hold_id"].(string); !ok {
		return nil, notValid("hold_id", "Not a valid string.")
	}
	if h.Version, ok = integer(args["version"]); !ok {
		return nil, notValid("version", "Not a valid integer.")
	}
	if recode(args["quantities"], (*byProduct[int64])(&h.Quantities)) != nil {
		return nil, notValid("quantities", "Not a valid mapping of product ids to integers.")
	}
	if recode(args["before"], (*byProduct[int64])(&h.Before)) != nil {
		return nil, notValid("before", "Not a valid mapping of product ids to integers.")
	}
	return nil, m.stock.Hold(ctx, h)
}
