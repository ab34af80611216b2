package nameko

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/google/uuid"
	amqp "github.com/rabbitmq/amqp091-go"

	"hangar/tracing"
)

// Names of headers: the prefix, and what stands behind it.
const (
	headerPrefix = "nameko."
	callIDStack  = "call_id_stack"
	deadlineMS   = "deadline_ms" // what is left of the caller's time when it sends, in milliseconds
)

// RequestID is the name of the data that says for which request a call is made: a
// string. A Server puts it into the lines that it logs.
const RequestID = "request_id"

// callContext is what travels with a call, beside its arguments.
type callContext struct {
	stack []string       // ids of the calls that led here, the oldest first
	data  map[string]any // by name without the prefix; values as AMQP has them
}

type contextKey struct{}

func callContextOf(ctx context.Context) callContext {
	c, _ := ctx.Value(contextKey{}).(callContext)
	return c
}

// WithData returns a context whose calls and events carry a value, and those
// that follow from them too, whoever makes them: the framework passes on what
// it does not know. The value is a string, a bool, an int64 or a float64.
func WithData(ctx context.Context, name string, value any) context.Context {
	c := callContextOf(ctx)
	data := maps.Clone(c.data)
	if data == nil {
		data = make(map[string]any)
	}
	data[name] = value
	c.data = data
	return context.WithValue(ctx, contextKey{}, c)
}

// Data returns a value that came with the call, or nil.
func Data(ctx context.Context, name string) any {
	return callContextOf(ctx).data[name]
}

// Begin returns a context in which the calls are made by that method of that
// service. A Server does so by itself.
func Begin(ctx context.Context, service, method string) context.Context {
	c := callContextOf(ctx)
	c.stack = append(slices.Clip(c.stack), service+"."+method+"."+uuid.NewString())
	return context.WithValue(ctx, contextKey{}, c)
}

// Resume returns a context for what follows, later, from the call with those ids:
// what CallIDs has returned there.
func Resume(ctx context.Context, callIDs []string) context.Context {
	c := callContextOf(ctx)
	c.stack = slices.Clone(callIDs)
	return context.WithValue(ctx, contextKey{}, c)
}

// CallIDs returns the ids of the calls that led here, the oldest first, this
// one last. Each is service.method.uuid.
func CallIDs(ctx context.Context) []string {
	return slices.Clone(callContextOf(ctx).stack)
}

// headers returns what travels with a call that is made in ctx.
func (b *Broker) headers(ctx context.Context) amqp.Table {
	c := callContextOf(ctx)
	table := make(amqp.Table, len(c.data)+2)
	for name, value := range c.data {
		if value != nil {
			table[headerPrefix+name] = value
		}
	}
	stack := c.stack
	if most := b.config.ParentCalls + 1; len(stack) > most {
		stack = stack[len(stack)-most:]
	}
	ids := make([]any, len(stack))
	for i, id := range stack {
		ids[i] = id
	}
	table[headerPrefix+callIDStack] = ids
	tracing.Inject(ctx, headers(table))
	return table
}

// received returns a context with what came with a message. Nothing that a peer
// may write there is an error: what makes no sense, or could not be passed on,
// is left out.
func (b *Broker) received(ctx context.Context, table amqp.Table) context.Context {
	var c callContext
	if sizeOf(table) > maxHeaders/2 {
		return context.WithValue(ctx, contextKey{}, c)
	}
	c.data = make(map[string]any, len(table))
	for name, value := range table {
		short, prefixed := strings.CutPrefix(name, headerPrefix)
		_, known := c.data[short]
		if value == nil || known && !prefixed || len(headerPrefix+short) > maxName || isOfDelivery(name) {
			continue
		}
		c.data[short] = value
	}
	c.stack = b.receivedStack(c.data[callIDStack])
	delete(c.data, callIDStack)
	delete(c.data, deadlineMS)
	ctx = goOn(ctx, c.data)
	return context.WithValue(ctx, contextKey{}, c)
}

func (b *Broker) receivedStack(value any) []string {
	ids, ok := value.([]any)
	if !ok {
		ids = []any{value}
	}
	ids = ids[max(0, len(ids)-b.config.ParentCalls):]
	stack := make([]string, 0, len(ids)+1)
	for _, id := range ids {
		if id, ok := id.(string); ok {
			stack = append(stack, id)
		}
	}
	return stack
}

// sizeOf returns about how many bytes a value takes in a message; more than
// maxHeaders if it has a name that fits into none.
func sizeOf(value any) int {
	size := 16 // a number, or what goes with the others
	switch value := value.(type) {
	case string:
		size += len(value)
	case []byte:
		size += len(value)
	case []any:
		for _, item := range value {
			size += sizeOf(item)
		}
	case amqp.Table:
		for name, item := range value {
			size += len(headerPrefix) + len(name) + sizeOf(item)
			if len(name) > maxName {
				size += maxHeaders
			}
		}
	}
	return size
}

// millis reads a number of milliseconds, however a peer's AMQP library wrote it.
func millis(value any) (int64, bool) {
	switch n := value.(type) {
	case int64:
		return n, true
	case int32:
		return int64(n), true
	case int16:
		return int64(n), true
	case int8:
		return int64(n), true
	case uint8:
		return int64(n), true
	case uint16:
		return int64(n), true
	case uint32:
		return int64(n), true
	case float64:
		return int64(n), true
	}
	return 0, false
}
