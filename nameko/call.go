package nameko

import "encoding/json"

// Call is what to call, and with what.
type Call struct {
	Service string
	Method  string
	Args    []any          // by position; encoded as JSON
	Kwargs  map[string]any // by name

	// Repeatable says that the method may run twice for one call. Then the call
	// is sent again where it may have been lost; else its reply is awaited.
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

func decodeReply(body []byte) (Reply, *Error, error) {
	body, err := plain(body)
	if err != nil {
		return Reply{}, nil, err
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
