package products

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/google/uuid"

	"hangar"
	"hangar/crash"
)

// Restock implements hangar.ProductService. Keys are remembered for
// hangar.HoldRetention.
func (s *Service) Restock(ctx context.Context, r hangar.Restock) (hangar.Restocked, error) {
	if err := r.Validate(); err != nil {
		return hangar.Restocked{}, err
	}
	crash.At("products.restock")
	restocked, err := s.store.Restock(ctx, restockMarker(r.IdempotencyKey), r.ID, r.Quantity)
	crash.At("products.restocked")
	return restocked, s.announced(ctx, r.ID, err)
}

// restockMarker returns where a restock is kept. It is no order's hold key, and
// none of several hundred bytes, as an idempotency key may have.
func restockMarker(key string) string {
	if key == "" || crash.Off("marker") {
		return "restock-" + uuid.NewString()
	}
	hash := sha256.Sum256([]byte(key))
	return "restock-" + hex.EncodeToString(hash[:])
}
