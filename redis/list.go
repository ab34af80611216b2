package redis

import (
	"context"
	"fmt"
	"strconv"

	"hangar"
)

// List implements products.Store.
func (s *ProductStore) List(ctx context.Context, q hangar.ProductQuery) ([]hangar.Product, error) {
	for tries := 1; ; tries++ {
		found, seen, err := s.list(ctx, q)
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
func (s *ProductStore) list(ctx context.Context, q hangar.ProductQuery) (found []hangar.Product, seen state, err error) {
	first, last := bounds(q)
	found = make([]hangar.Product, 0, q.Limit)
	for len(found) < q.Limit {
		asked := q.Limit - len(found)
		reply, _, err := s.link.run(ctx, s.scripts.list, indexKeys(), []string{first, last, strconv.Itoa(asked)})
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
		others, noted, looked, lastLooked := page[0], page[1], page[2], page[3]
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
		first = "(" + text(lastLooked)
	}
	return found, seen, nil
}

// bounds returns the ids of a page as ZRANGEBYLEX has them.
func bounds(q hangar.ProductQuery) (first, last string) {
	first, last = "("+q.After, "+"
	if q.After < q.Prefix {
		first = "[" + q.Prefix
	}
	if end := q.End(); end != "" {
		last = "(" + end
	}
	return first, last
}
