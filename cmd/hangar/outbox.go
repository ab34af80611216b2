package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"hangar/orders"
	"hangar/sqlite"
)

// outboxName is what the events are listed under that never left the orders'
// database.
const outboxName = "orders.outbox"

// databasePatience bounds how long a command waits for a database.
const databasePatience = 10 * time.Second

// parkedInOutbox are the events that are parked in the orders' database.
type parkedInOutbox struct {
	store orders.Store
	io.Closer
}

// openOutbox opens the orders' database, beside the store that may be running on
// it. It returns nil if there is none.
func openOutbox(ctx context.Context, c *Config, log *slog.Logger) (*parkedInOutbox, error) {
	if c.OrdersDB == "" {
		file, err := sqlite.OpenBeside(ctx, filePath(c))
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		return &parkedInOutbox{file.Orders, file}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, databasePatience)
	defer cancel()
	store, err := openOrders(ctx, c, log)
	if err != nil {
		return nil, err
	}
	return &parkedInOutbox{store, store}, nil
}

func (p *parkedInOutbox) list(ctx context.Context, most int) ([]parkedEvent, int, error) {
	var events []parkedEvent
	all := 0
	err := p.each(ctx, func(e orders.ParkedEvent) {
		all++
		if len(events) < most {
			events = append(events, parkedEvent{Event: e.Type, ParkedAt: e.ParkedAt, Reason: e.Reason,
				Body: strings.ToValidUTF8(string(e.Payload[:min(len(e.Payload), shownBody)]), "�"), Size: len(e.Payload)})
		}
	})
	return events, all, err
}

func (p *parkedInOutbox) replay(ctx context.Context, most int) (int, error) {
	var ids []int64
	err := p.each(ctx, func(e orders.ParkedEvent) {
		if len(ids) < most {
			ids = append(ids, e.ID)
		}
	})
	if err != nil || len(ids) == 0 {
		return 0, err
	}
	return p.store.Unpark(ctx, ids...)
}

// each calls do with each event, the oldest first.
func (p *parkedInOutbox) each(ctx context.Context, do func(orders.ParkedEvent)) error {
	const page = 100
	for after := int64(0); ; {
		list, err := p.store.Parked(ctx, after, page)
		if err != nil {
			return fmt.Errorf("%s: %w", outboxName, err)
		}
		for _, e := range list {
			after = e.ID
			do(e)
		}
		if len(list) < page {
			return nil
		}
	}
}
