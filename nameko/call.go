package nameko

import (
	"bytes"
	"encoding/json"
)

// Call is what to call, and with what.
type Call struct {
	Service string
	Method  string
	Args    []any          // by position; encoded as JSON
	Kwargs  map[string]any // by name

	// Repeatable says that the method may run twice for one call. Then the call
	// is sent again where it may have been lost, so that neither the request nor
	// its reply is kept on disk. Else both are, and the reply is awaited.
	Repeatable bool
}

// Reply is what a method returned.
type Reply struct {
	body json.RawMessage
}

// Decode stores what the method returned in what v points to, as json.Unmarshal
// does. Values that JSON has no type for are strings in their usual form; NaN
// and infinities are null.
func (r Reply) Decode(v any) error {
	return json.Unmarshal(r.body, v)
}

func encodeRequest(call Call) ([]byte, error) {
	// Python dies of null in place of either.
	request := struct {
		Args   []any          `json:"args"`
		Kwargs map[string]any `json:"kwargs"`
	}{call.Args, call.Kwargs}
	if request.Args == nil {
		request.Args = []any{}
	}
	if request.Kwargs == nil {
		request.Kwargs = map[string]any{}
	}
	return encode(request)
}

// What stands around a result in a reply of hangar's.
const (
	resultBegin = `{"result":`
	resultEnd   = `,"error":null}`
)

// resultOf returns the result of a reply as hangar writes it, and false for all
// others: most replies need not be taken apart.
func resultOf(body []byte) (json.RawMessage, bool) {
	rest, begins := bytes.CutPrefix(body, []byte(resultBegin))
	result, ends := bytes.CutSuffix(rest, []byte(resultEnd))
	return result, begins && ends && json.Valid(result)
}

func decodeReply(body []byte) (Reply, *Error, error) {
	body, err := plain(body)
	if err != nil {
		return Reply{}, nil, err
	}
	if result, ok := resultOf(body); ok {
		return Reply{result}, nil, nil
	}
	var reply struct {
		Result json.RawMessage `json:"result"`
		Error  json.RawMessage `json:"error"`
	}
	if err := json.Unmarshal(body, &reply); err != nil {
		return Reply{}, nil, err
	}
	if reply.Error != nil && string(reply.Error) != "null" {
		tree, err := decode(reply.Error)
		return Reply{}, fromWire(tree), err
	}
	if reply.Result == nil {
		reply.Result = json.RawMessage("null")
	}
	return Reply{reply.Result}, nil, nil
}
