package sqlite

import (
	"context"

	"hangar"
)

// Edit implements products.Store.
func (s *ProductStore) Edit(ctx context.Context, e hangar.ProductEdit) (hangar.Product, error) {
	var edited hangar.Product
	err := s.file.writer.do(ctx, func(t *tx) (err error) {
		err = t.exec("UPDATE products SET title = ?, passenger_capacity = ?, maximum_speed = ? WHERE id = ?",
			e.Title, e.PassengerCapacity, e.MaximumSpeed, e.ID)
		if err == nil {
			edited, err = t.product(e.ID)
		}
		return err
	})
	return edited, err
}
