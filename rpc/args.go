package rpc

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"hangar"
	"hangar/nameko"
)

// handle adds a method whose errors travel as hangar's do.
func handle(s *nameko.Server, name string, signature nameko.Signature, h nameko.Handler) {
	s.Handle(name, signature, func(ctx context.Context, args nameko.Args) (any, error) {
		result, err := h(ctx, args)
		if err != nil {
			return nil, toWire(err)
		}
		return result, nil
	})
}

// text returns an id as Python's str.format writes it: that is what the Python
// services look for.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return "None"
	case bool:
		if v {
			return "True"
		}
		return "False"
	case []any:
		items := make([]string, len(v))
		for i, item := range v {
			items[i] = text(item)
			if s, ok := item.(string); ok {
				items[i] = "'" + s + "'"
			}
		}
		return "[" + strings.Join(items, ", ") + "]"
	}
	return fmt.Sprint(v)
}

// integer returns a whole number, or one that a string spells.
func integer(v any) (int64, bool) {
	switch v := v.(type) {
	case json.Number:
		return parseInteger(v.String())
	case string:
		return parseInteger(v)
	}
	return 0, false
}

// orderID returns the id of an order. The error is that there is none: nothing
// else can have such an id.
func orderID(v any) (int64, error) {
	id, ok := integer(v)
	if !ok {
		return 0, hangar.NewOrderNotFound(text(v))
	}
	return id, nil
}

// pageLimit returns the argument limit.
func pageLimit(args nameko.Args) (int, error) {
	limit, ok := integer(args["limit"])
	if !ok {
		return 0, notValid("limit", "Not a valid integer.")
	}
	return int(limit), nil
}

func notValid(argument, complaint string) error {
	return hangar.NewValidationError(map[string]any{argument: []string{complaint}})
}

// all reads a listing to its end, page by page. Each begins after the last row
// of the one before.
func all[T any](next func(last *T) (hangar.Page[T], error)) ([]T, error) {
	list := []T{}
	var last *T
	for {
		p, err := next(last)
		if err != nil {
			return nil, err
		}
		list = append(list, p.Items...)
		if !p.More {
			return list, nil
		}
		last = &p.Items[len(p.Items)-1]
	}
}
