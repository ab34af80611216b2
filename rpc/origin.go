package rpc

import (
	"context"
	"encoding/json"

	"hangar"
	"hangar/nameko"
	"hangar/tracing"
)

// eventOrigin is what an event keeps of what it comes from, as JSON: not what else
// callers let travel with their calls, which may be anybody's secret.
type eventOrigin struct {
	RequestID   string   `json:"request_id,omitempty"`
	CallIDs     []string `json:"call_ids,omitempty"`
	Traceparent string   `json:"traceparent,omitempty"`
	Tracestate  string   `json:"tracestate,omitempty"`
}

// maxOrigin bounds what an event keeps, in bytes.
const maxOrigin = 4096

// Get implements tracing.Carrier.
func (o *eventOrigin) Get(name string) string {
	if member := o.member(name); member != nil {
		return *member
	}
	return ""
}

// Set implements tracing.Carrier.
func (o *eventOrigin) Set(name, value string) {
	if member := o.member(name); member != nil {
		*member = value
	}
}

// Keys implements tracing.Carrier.
func (o *eventOrigin) Keys() []string { return []string{"traceparent", "tracestate"} }

func (o *eventOrigin) member(name string) *string {
	switch name {
	case "traceparent":
		return &o.Traceparent
	case "tracestate":
		return &o.Tracestate
	}
	return nil
}

// OriginOf returns what an event keeps of the call that it comes from, for
// orders.Service.NoteOrigin; "" if there is nothing to keep.
func OriginOf(ctx context.Context) string {
	o := eventOrigin{RequestID: requestID(ctx), CallIDs: nameko.CallIDs(ctx)}
	tracing.Inject(ctx, &o)
	if o.RequestID == "" && len(o.CallIDs) == 0 && o.Traceparent == "" {
		return ""
	}
	text, err := json.Marshal(o)
	if err != nil || len(text) > maxOrigin {
		return ""
	}
	return string(text)
}

// Resume returns a context that goes on where OriginOf was called. What cannot be
// read is passed over.
func Resume(ctx context.Context, text string) context.Context {
	var o eventOrigin
	if text == "" || json.Unmarshal([]byte(text), &o) != nil {
		return ctx
	}
	if len(o.CallIDs) > 0 {
		ctx = nameko.Resume(ctx, o.CallIDs)
	}
	if o.RequestID != "" {
		ctx = nameko.WithData(ctx, nameko.RequestID, o.RequestID)
	}
	return tracing.Extract(ctx, &o)
}

// requestID returns the id of the request that a call is made for.
func requestID(ctx context.Context) string {
	if id, ok := nameko.Data(ctx, nameko.RequestID).(string); ok {
		return id
	}
	return hangar.RequestID(ctx)
}
