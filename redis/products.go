package redis

import (
	"context"
	"fmt"
	"strconv"

	"github.com/redis/rueidis"

	"hangar"
	"hangar/tracing"
)

// Put implements products.Store.
func (s *ProductStore) Put(ctx context.Context, p hangar.Product) error {
	if _, _, err := s.put(ctx, p, ""); err != nil {
		return fmt.Errorf("put product: %w", err)
	}
	return nil
}

// Insert implements products.Store.
func (s *ProductStore) Insert(ctx context.Context, p hangar.Product) error {
	inserted, unsure, err := s.put(ctx, p, "insert")
	if err != nil {
		return fmt.Errorf("insert product: %w", err)
	}
	if inserted {
		return nil
	}
	if unsure {
		// It may be this one that an attempt without an answer inserted.
		if found, err := s.Product(ctx, p.ID); err == nil && found == p {
			return nil
		}
	}
	return hangar.NewProductExists(p.ID)
}

func (s *ProductStore) put(ctx context.Context, p hangar.Product, mode string) (done, unsure bool, err error) {
	reply, unsure, err := s.link.run(ctx, s.scripts.put, []string{indexKey}, []string{
		p.ID, p.Title, decimal(p.PassengerCapacity), decimal(p.MaximumSpeed), decimal(p.InStock), mode,
	})
	if err != nil {
		return false, unsure, err
	}
	n, err := reply.AsInt64()
	return n == 1, unsure, err
}

// Product implements products.Store.
func (s *ProductStore) Product(ctx context.Context, id string) (hangar.Product, error) {
	span := beginSpan(ctx, "HMGET", "")
	var fields []rueidis.RedisMessage
	_, err := s.link.try(ctx, func() (err error) {
		fields, err = s.link.client.Do(ctx, s.fieldsOf(id)).ToArray()
		return err
	})
	tracing.End(span, kindOf(err))
	if err != nil && !hasCode(err, "WRONGTYPE") {
		return hangar.Product{}, fmt.Errorf("get product: %w", err)
	}
	p, isWhole := parseProduct(id, fields)
	if !isWhole {
		return hangar.Product{}, s.notFound(id, err != nil || hasSome(fields))
	}
	return p, nil
}

// Products implements products.Store.
func (s *ProductStore) Products(ctx context.Context, ids []string) ([]hangar.Product, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	span := beginSpan(ctx, "HMGET", "")
	var replies []rueidis.RedisResult
	_, err := s.link.try(ctx, func() error {
		commands := make(rueidis.Commands, len(ids))
		for i, id := range ids {
			commands[i] = s.fieldsOf(id)
		}
		replies = s.link.client.DoMulti(ctx, commands...)
		for _, reply := range replies {
			if err := reply.Error(); err != nil && !hasCode(err, "WRONGTYPE") {
				return err
			}
		}
		return nil
	})
	tracing.End(span, kindOf(err))
	if err != nil {
		return nil, fmt.Errorf("get products: %w", err)
	}
	found := make([]hangar.Product, 0, len(ids))
	for i, reply := range replies {
		fields, err := reply.ToArray()
		if p, isWhole := parseProduct(ids[i], fields); isWhole {
			found = append(found, p)
		} else if err != nil || hasSome(fields) {
			s.broken.report(ids[i])
		}
	}
	return found, nil
}

// fieldsOf asks for what parseProduct reads.
func (s *ProductStore) fieldsOf(id string) rueidis.Completed {
	return s.link.client.B().Hmget().Key(keyPrefix+id).Field("title", "passenger_capacity", "maximum_speed", "in_stock").Build()
}

// Delete implements products.Store. It also removes what is no whole product.
func (s *ProductStore) Delete(ctx context.Context, id string) error {
	reply, unsure, err := s.link.run(ctx, s.scripts.del, []string{indexKey}, []string{id})
	if err != nil {
		return fmt.Errorf("delete product: %w", err)
	}
	// An attempt without an answer may have deleted it.
	if n, err := reply.AsInt64(); err != nil || n > 0 || unsure {
		return err
	}
	return hangar.NewProductNotFound(id)
}

// parseProduct makes a product of its fields: title, passenger_capacity,
// maximum_speed and in_stock.
func parseProduct(id string, fields []rueidis.RedisMessage) (p hangar.Product, isWhole bool) {
	if len(fields) != 4 || fields[0].IsNil() {
		return hangar.Product{}, false
	}
	p = hangar.Product{ID: id, Title: text(fields[0])}
	for i, n := range []*int64{&p.PassengerCapacity, &p.MaximumSpeed, &p.InStock} {
		if *n, isWhole = parseWhole(text(fields[i+1])); !isWhole {
			return hangar.Product{}, false
		}
	}
	return p, true
}

// parseWhole reads an integer that Redis counts with: of 64 bits, and written
// the one way that Redis writes it.
func parseWhole(s string) (int64, bool) {
	if len(s) > 1 && (s[0] == '0' || s[0] == '+' || s[:2] == "-0") {
		return 0, false
	}
	n, err := strconv.ParseInt(s, 10, 64)
	return n, err == nil
}

func hasSome(fields []rueidis.RedisMessage) bool {
	for i := range fields {
		if !fields[i].IsNil() {
			return true
		}
	}
	return false
}

// text is the string in a reply, "" for nil.
func text(m rueidis.RedisMessage) string {
	s, err := m.ToString()
	if err != nil {
		return ""
	}
	return s
}

func decimal(n int64) string { return strconv.FormatInt(n, 10) }
