package redis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"hangar"
)

// Hold implements products.Store.
func (s *ProductStore) Hold(ctx context.Context, h hangar.Hold) error {
	reply, err := s.hold(ctx, h, "hold")
	if err != nil {
		return fmt.Errorf("hold: %w", err)
	}
	if len(reply) == 0 {
		return nil
	}
	return refusal(h, reply)
}

// Take implements products.Store.
func (s *ProductStore) Take(ctx context.Context, h hangar.Hold) error {
	if _, err := s.hold(ctx, h, "take"); err != nil {
		return fmt.Errorf("take: %w", err)
	}
	return nil
}

// hold runs the script, which may be repeated at will: the first answer for a
// version stands. What it returns is why h was refused, and nothing if it was
// not.
func (s *ProductStore) hold(ctx context.Context, h hangar.Hold, mode string) ([]rueidis.RedisMessage, error) {
	args := make([]string, 0, 5+2*len(h.Quantities)+2*len(h.Before))
	args = append(args, h.ID, decimal(h.Version), decimal(time.Now().Unix()), mode, strconv.Itoa(len(h.Quantities)))
	args = appendQuantities(args, h.Quantities)
	args = appendQuantities(args, h.Before)
	reply, _, err := s.link.run(ctx, s.scripts.hold, []string{holdsKey}, args)
	if err != nil {
		return nil, err
	}
	return reply.ToArray()
}

func appendQuantities(args []string, quantities map[string]int64) []string {
	for _, id := range slices.Sorted(maps.Keys(quantities)) {
		args = append(args, id, decimal(quantities[id]))
	}
	return args
}

// refusal is the error that the script's reply stands for.
func refusal(h hangar.Hold, reply []rueidis.RedisMessage) error {
	words := make([]string, len(reply))
	for i, m := range reply {
		words[i] = text(m)
	}
	numbers := func(words ...string) (n []int64, err error) {
		for _, word := range words {
			i, err := strconv.ParseInt(word, 10, 64)
			if err != nil {
				return nil, fmt.Errorf("hold %s: %w", h.ID, err)
			}
			n = append(n, i)
		}
		return n, nil
	}
	switch kind, rest := words[0], words[1:]; {
	case kind == "stale" && len(rest) == 1:
		n, err := numbers(rest[0])
		if err != nil {
			return err
		}
		return hangar.NewStaleHold(h, n[0])
	case kind == "missing" && len(rest) == 1:
		return hangar.NewHeldProductNotFound(rest[0])
	case kind == "short" && len(rest)%3 == 0:
		shortages := make(map[string]hangar.Shortage, len(rest)/3)
		for short := range slices.Chunk(rest, 3) {
			n, err := numbers(short[1], short[2])
			if err != nil {
				return err
			}
			shortages[short[0]] = hangar.Shortage{Requested: n[0], InStock: n[1]}
		}
		return hangar.NewOutOfStock(shortages)
	}
	return fmt.Errorf("hold %s: %q is no refusal", h.ID, words)
}

// SweepHolds implements products.Store. It looks at all holds, some hundreds at
// a time: to keep them by age beside would double the memory that they take.
func (s *ProductStore) SweepHolds(ctx context.Context, before time.Time) error {
	for cursor := "0"; ; {
		reply, _, err := s.link.run(ctx, s.scripts.sweep, []string{holdsKey}, []string{cursor, decimal(before.Unix())})
		if err != nil {
			return fmt.Errorf("sweep holds: %w", err)
		}
		if cursor = text(reply); cursor == "0" {
			return nil
		}
	}
}
