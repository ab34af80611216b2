package hangar

import "context"

type requestIDKey struct{}

// WithRequestID returns a context for all that is done for the request with that
// id. By it people find what was done, in the log and in traces of all services.
func WithRequestID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestIDKey{}, id)
}

// RequestID returns the id of the request that something is done for, "" for
// none.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestIDKey{}).(string)
	return id
}
