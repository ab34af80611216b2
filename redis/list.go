package redis

import (
	"context"
	"fmt"
	"strconv"

	"hangar"
)

// List implements products.Store.
func (s *ProductStore) List(ctx context.Context, after string, limit int) ([]hangar.Product, error) {
	for tries := 1; ; tries++ {
		found, seen, err := s.list(ctx, after, limit)
		if err != nil {
			return nil, fmt.Errorf("list products: %w", err)
		}
		again, err := s.index.refresh(ctx, seen)
		if err != nil {
			return nil, fmt.Errorf("list products: %w", err)
		}
		// A pass that was under way already may have missed what is new. The
		// third time others write faster than can be looked.
		if !again || tries == 3 {
			return found, nil
		}
	}
}

// list returns products by the index as it is.
func (s *ProductStore) list(ctx context.Context, after string, limit int) (found []hangar.Product, seen state, err error) {
	found = make([]hangar.Product, 0, limit)
	for len(found) < limit {
		asked := limit - len(found)
		reply, _, err := s.link.run(ctx, s.scripts.list, indexKeys(), []string{after, strconv.Itoa(asked)})
		if err != nil {
			return nil, seen, err
		}
		page, err := reply.ToArray()
		if err != nil {
			return nil, seen, err
		}
		if len(page) < 4 {
			return nil, seen, fmt.Errorf("%d values of a script, want 4 at least", len(page))
		}
		others, noted, looked, last := page[0], page[1], page[2], page[3]
		seen.wasNoted = !noted.IsNil()
		seen.isCurrent = seen.wasNoted && text(noted) == strconv.FormatInt(number(others), 10)
		for fields := page[4:]; len(fields) >= 5; fields = fields[5:] {
			id := text(fields[0])
			p, isWhole := parseProduct(id, fields[1:5])
			if !isWhole {
				s.broken.report(id)
				continue
			}
			found = append(found, p)
		}
		if number(looked) < int64(asked) {
			break
		}
		after = text(last)
	}
	return found, seen, nil
}
