package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/rueidis"

	"hangar"
)

// Restock implements products.Store. The script may be repeated at will, as the
// marker is kept with the stock.
func (s *ProductStore) Restock(ctx context.Context, marker, id string, quantity int64) (hangar.Restocked, error) {
	reply, unsure, err := s.link.run(ctx, s.scripts.restock, []string{holdsKey}, []string{
		marker, decimal(time.Now().Unix()), id, decimal(quantity), decimal(hangar.MaxInteger - quantity),
	})
	if err != nil {
		return hangar.Restocked{}, fmt.Errorf("restock product: %w", inDoubt(err, unsure))
	}
	values, err := reply.ToArray()
	if err != nil {
		return hangar.Restocked{}, fmt.Errorf("restock product: %w", err)
	}
	return s.restocked(id, values, unsure)
}

// inDoubt adds to an error what to do where an attempt may have added the units.
func inDoubt(err error, unsure bool) error {
	e, ok := errors.AsType[*hangar.Error](err)
	if !ok || !unsure {
		return err
	}
	return &hangar.Error{
		Code:    e.Code,
		Message: e.Message + " Whether the units were added is not known: ask again with the same Idempotency-Key, or look first.",
		Err:     e.Err,
	}
}

// restocked reads the script's reply. Unsure says that an attempt without an answer
// may have added the units: then nobody has before.
func (s *ProductStore) restocked(id string, reply []rueidis.RedisMessage, unsure bool) (hangar.Restocked, error) {
	if len(reply) == 0 {
		return hangar.Restocked{}, fmt.Errorf("restock %s: a script returned nothing", id)
	}
	switch outcome := text(reply[0]); outcome {
	case "missing":
		return hangar.Restocked{}, hangar.NewProductNotFound(id)
	case "reused":
		return hangar.Restocked{}, hangar.NewRestockKeyReused()
	case "full":
		return hangar.Restocked{}, hangar.NewOverstocked()
	case "added", "replayed":
		p, isWhole := parseProduct(id, reply[1:])
		if !isWhole {
			return hangar.Restocked{}, fmt.Errorf("restock %s: a script returned no whole product", id)
		}
		return hangar.Restocked{Product: p, Replayed: outcome == "replayed" && !unsure}, nil
	default:
		return hangar.Restocked{}, fmt.Errorf("restock %s: %q is no outcome", id, outcome)
	}
}
