package orders

import (
	"context"
	"encoding/json"
	"time"

	"hangar"
)

// Store keeps orders, the changes to them that are under way, and the outbox.
// A store only stores: what follows from what is up to Service. Each method is
// one transaction. hangartest.TestOrderStore says what it must do.
type Store interface {
	// Insert stores a new order with its lines and the change that creates it.
	// It sets the ids of the order and of its lines. Error: Conflict if the
	// idempotency key is known.
	Insert(ctx context.Context, o hangar.Order, key *Key) (Stored, error)

	// Key returns what is known of an idempotency key. It is nil for an
	// unknown one.
	Key(ctx context.Context, key string) (*Key, error)

	// Order returns one order. Error: OrderNotFound.
	Order(ctx context.Context, id int64) (Stored, error)

	// List returns up to q.Limit orders by id.
	List(ctx context.Context, q hangar.OrderQuery) ([]hangar.Order, error)

	// Begin notes a change and makes it the order's next version. Error:
	// Conflict if the order is not at that version, or has a change under way.
	Begin(ctx context.Context, id, version int64, c Change) error

	// Settle ends the change under way at that version. It reports false, and
	// changes nothing, if there is none: somebody else has ended it.
	Settle(ctx context.Context, id, version int64, s Settlement) (bool, error)

	// Unsettled returns up to limit orders with ids after the given one that
	// have a change under way, by id.
	Unsettled(ctx context.Context, after int64, limit int) ([]Stored, error)

	// Relay passes up to limit of the oldest events in the outbox to publish,
	// deletes those if that succeeds, and returns how many there were. If publish
	// fails, its error is returned and all stay, but for BadEvents: these are
	// parked then.
	Relay(ctx context.Context, limit int, publish func(context.Context, []Event) error) (int, error)

	// OutboxStatistics says how full the outbox is, at a glance: what waits, by
	// the lowest and the highest id, so that gaps between them count.
	OutboxStatistics(ctx context.Context) (hangar.OutboxStatistics, error)

	// Parked returns up to limit parked events with ids after the given one, by
	// id.
	Parked(ctx context.Context, after int64, limit int) ([]ParkedEvent, error)

	// Unpark puts parked events back into the outbox, at its end and in the order
	// of their ids, and returns how many there were. It passes over ids that are
	// not there.
	Unpark(ctx context.Context, ids ...int64) (int, error)

	// Added receives, now and then, after events were added to the outbox. It
	// is a hint: it may be late, or say nothing.
	Added() <-chan struct{}

	// SweepKeys forgets idempotency keys that were first used before.
	SweepKeys(ctx context.Context, before time.Time) error
}

// Creator keeps the stock as well as the orders, so that one transaction does all
// that a new order needs. hangartest.TestServices says what comes of it.
type Creator interface {
	// Create stores a new order with its lines, sets their ids, and holds what
	// it wants. It ends as outcome says, which is given the order and why the
	// stock refuses it, nil if it does not; a refusal is returned as the error.
	// Other error: Conflict if the idempotency key is known.
	Create(ctx context.Context, o hangar.Order, key *Key, outcome Outcome) (hangar.Order, error)
}

// Outcome says how the creation of an order ends. It may be called more than
// once.
type Outcome func(o hangar.Order, refusal *hangar.Error) (hangar.Order, Settlement, error)

// Stored is an order with the change to it that is under way, nil for none.
type Stored struct {
	hangar.Order
	Change    *Change
	ChangedAt time.Time // when the last change began or ended
}

// Change is what somebody wants of an order: noted before the stock is asked,
// so that it is carried through whatever happens in between.
type Change struct {
	Kind    ChangeKind           `json:"kind"`
	Details []hangar.OrderDetail `json:"details,omitempty"` // of an update: all lines as they are to be

	// HoldIsOld says that the stock may have forgotten what the order holds,
	// and must be told.
	HoldIsOld bool `json:"hold_is_old,omitempty"`
}

// ChangeKind is what a change does.
type ChangeKind string

// The kinds of changes.
const (
	Create ChangeKind = "create"
	Update ChangeKind = "update"
	Cancel ChangeKind = "cancel"
	Delete ChangeKind = "delete"

	unreadable ChangeKind = "unreadable" // of damage, or of a later version; nobody settles it by guess
)

// ParseChange reads a change from JSON. One that cannot be read must not keep
// other orders from being read: it is one that nothing settles.
func ParseChange(text []byte) *Change {
	c := new(Change)
	err := json.Unmarshal(text, c)
	switch c.Kind {
	case Create, Update, Cancel, Delete:
		if err == nil {
			return c
		}
	}
	return &Change{Kind: unreadable}
}

// Settlement is how a change ends.
type Settlement struct {
	Status  hangar.OrderStatus
	Details []hangar.OrderDetail // lines with their new prices and quantities; nil leaves them
	Delete  bool                 // the order and its lines go; the rest does not matter then
	Refusal *hangar.Error        // of a creation: goes to the order's idempotency key, if it has one
	Event   *Event               // goes into the outbox; nil for none
}

// Key is an idempotency key and the order that it stands for.
type Key struct {
	Key      string
	BodyHash []byte // of the request that used it first
	OrderID  int64
	Refusal  *hangar.Error // how the order was refused; nil if it was not, or not yet
}

// ParkedEvent is an event that could not be delivered. It is kept until it is
// put back into the outbox.
type ParkedEvent struct {
	Event    // with an ID that is not given again, and is not the one it had in the outbox
	Reason   string
	ParkedAt time.Time
}

// Event is a message in the outbox.
type Event struct {
	ID      int64 // above those of all events that were in the outbox when it was added
	Type    string
	Payload []byte // JSON
	Origin  string // of which request it is, for people: what Service.NoteOrigin has returned
}
