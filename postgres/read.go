package postgres

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"hangar"
	"hangar/orders"
)

// Orders, one row each. The lines of an order are looked up by its id, whatever
// the planner believes of the size of a table that was adopted just now. Those of
// a status are a range of the index of both: asked for by status = $1, they would
// be looked for among all by id, where nearly all are believed to have that status.
var (
	selectOrder     = selectOrders("o.id = $1::bigint")
	selectPage      = selectOrders("o.id > $1::bigint ORDER BY o.id LIMIT $2")
	selectNewest    = selectOrders("o.id < $1::bigint ORDER BY o.id DESC LIMIT $2")
	selectStatus    = selectOrders("(o.status, o.id) > ($1::text, $2::bigint) AND (o.status, o.id) < ($1, $3::bigint) ORDER BY o.status, o.id LIMIT $4")
	selectNewestOf  = selectOrders("(o.status, o.id) > ($1::text, $2::bigint) AND (o.status, o.id) < ($1, $3::bigint) ORDER BY o.status DESC, o.id DESC LIMIT $4")
	selectUnsettled = selectOrders("o.change IS NOT NULL AND o.id > $1::bigint ORDER BY o.id LIMIT $2")
)

func selectOrders(where string) string {
	return `SELECT o.id, o.status, o.version, coalesce(o.hold, ''), o.change, o.created_at, coalesce(o.changed_at, o.created_at),
	               d.ids, d.product_ids, d.prices, d.quantities
	        FROM orders o, LATERAL (
	            SELECT array_agg(id) AS ids, array_agg(product_id::text) AS product_ids,
	                   array_agg(price::text) AS prices, array_agg(quantity) AS quantities
	            FROM order_details WHERE order_id = o.id
	        ) AS d
	        WHERE ` + where
}

// Order implements orders.Store.
func (s *OrderStore) Order(ctx context.Context, id int64) (orders.Stored, error) {
	found, err := s.query(ctx, selectOrder, id)
	if err != nil {
		return orders.Stored{}, fmt.Errorf("select order %d: %w", id, err)
	}
	if len(found) == 0 {
		return orders.Stored{}, hangar.NewOrderNotFound(strconv.FormatInt(id, 10))
	}
	return found[0], nil
}

// List implements orders.Store.
func (s *OrderStore) List(ctx context.Context, q hangar.OrderQuery) ([]hangar.Order, error) {
	query, args := selectList(q)
	found, err := s.query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("list orders: %w", err)
	}
	list := make([]hangar.Order, len(found))
	for i, stored := range found {
		list[i] = stored.Order
	}
	return list, nil
}

func selectList(q hangar.OrderQuery) (query string, args []any) {
	first, last := q.After, int64(math.MaxInt64)
	if q.NewestFirst {
		first, last = math.MinInt64, cmp.Or(q.After, math.MaxInt64)
	}
	switch {
	case q.Status != "" && q.NewestFirst:
		return selectNewestOf, []any{string(q.Status), first, last, q.Limit}
	case q.Status != "":
		return selectStatus, []any{string(q.Status), first, last, q.Limit}
	case q.NewestFirst:
		return selectNewest, []any{last, q.Limit}
	default:
		return selectPage, []any{first, q.Limit}
	}
}

// Unsettled implements orders.Store.
func (s *OrderStore) Unsettled(ctx context.Context, after int64, limit int) ([]orders.Stored, error) {
	found, err := s.query(ctx, selectUnsettled, after, limit)
	if err != nil {
		return nil, fmt.Errorf("select unsettled orders: %w", err)
	}
	return found, nil
}

func (s *OrderStore) query(ctx context.Context, query string, args ...any) (found []orders.Stored, err error) {
	err = s.try(ctx, func(ctx context.Context, _ bool) error {
		var err error
		found, err = alone(ctx, s, func(ctx context.Context) ([]orders.Stored, error) {
			rows, err := s.pool.Query(ctx, query, args...)
			if err != nil {
				return nil, err
			}
			return pgx.CollectRows(rows, s.scanOrder)
		})
		return err
	})
	return found, err
}

func (s *OrderStore) scanOrder(row pgx.CollectableRow) (orders.Stored, error) {
	var (
		o          orders.Stored
		change     *string
		created    time.Time
		ids        []int64
		products   []string
		prices     []string
		quantities []int64
	)
	err := row.Scan(&o.ID, &o.Status, &o.Version, &o.Hold, &change, &created, &o.ChangedAt, &ids, &products, &prices, &quantities)
	if err != nil {
		return o, err
	}
	o.CreatedAt = created
	for i, id := range ids {
		o.Details = append(o.Details, hangar.OrderDetail{
			ID: id, ProductID: products[i], Price: s.price(o.ID, id, prices[i]), Quantity: quantities[i],
		})
	}
	slices.SortFunc(o.Details, func(a, b hangar.OrderDetail) int { return cmp.Compare(a.ID, b.ID) })
	if change != nil {
		o.Change = orders.ParseChange([]byte(*change))
	}
	return o, nil
}

// price reads a number such as -12.50. What a Python service stored that is
// none, such as NaN, is 0, so that the order can be shown, cancelled or deleted.
func (s *OrderStore) price(order, line int64, number string) hangar.Price {
	var p hangar.Price
	if p.UnmarshalJSON([]byte(number)) == nil {
		return p
	}
	if _, known := s.reported.LoadOrStore(line, true); !known {
		s.log.Warn("the price of a line cannot be read, and is taken for 0", "order", order, "line", line, "price", number)
	}
	return 0
}
