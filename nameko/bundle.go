package nameko

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	amqp "github.com/rabbitmq/amqp091-go"
)

// A bundle is one message with several calls to the same service: an ordinary
// request of the method callMany, whose only argument is the list of calls. Each
// has what a message of its own would have:
//
//	{"id": "…", "method": "get", "args": ["a"], "kwargs": {}, "headers": {"nameko.deadline_ms": 4999, …}}
//
// A service of another kind answers MethodNotFound, and has done nothing. Replies
// to calls of bundles may come several in one message, of the type repliesType:
//
//	{"result": [{"id": "…", "reply": {"result": …, "error": null}}, …], "error": null}
const (
	callMany    = "hangar_call_many"
	repliesType = "hangar.replies"
)

const (
	// bundleCalls and bundleSize bound what is put into a bundle, in calls or
	// replies and in bytes. What is larger goes alone.
	bundleCalls = 64
	bundleSize  = 256 << 10

	// maxBundleCalls bounds what is taken of others.
	maxBundleCalls = 1024
)

// bundledCall is a call as it stands in a bundle, up to its deadline, which is
// known only when it is sent.
type bundledCall []byte

// newBundledCall returns a call for a bundle, or nil if it must go alone: because
// of its size, or of what would not arrive there as it is.
func newBundledCall(id string, c Call, body []byte, headers amqp.Table) bundledCall {
	if !isWord(c.Method) || !travelInBundles(headers) {
		return nil
	}
	rest, err := json.Marshal(headers)
	if err != nil || len(body)+len(rest) > bundleSize/4 {
		return nil
	}
	call := make(bundledCall, 0, len(body)+len(rest)+len(id)+len(c.Method)+100)
	call = append(call, `{"id":"`...)
	call = append(call, id...)
	call = append(call, `","method":"`...)
	call = append(call, c.Method...)
	call = append(call, `",`...)
	call = append(call, body[1:len(body)-1]...) // its members
	call = append(call, `,"headers":`...)
	call = append(call, rest[:len(rest)-1]...)
	return append(call, `,"`+headerPrefix+deadlineMS+`":`...) // there is a header before it: the ids
}

// complete returns the call, with the milliseconds that are left of its time.
func (c bundledCall) complete(left int64) []byte {
	return append(strconv.AppendInt(c, left, 10), "}}"...)
}

// isWord reports whether a method's name needs no quoting and leads to its
// service as a routing key.
func isWord(method string) bool {
	return method != "" && len(method) <= maxName/2 && !strings.ContainsFunc(method, func(r rune) bool {
		return r != '_' && (r < '0' || r > '9') && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	})
}

// travelInBundles reports whether headers are the same after they were JSON.
func travelInBundles(headers amqp.Table) bool {
	for name, value := range headers {
		if !utf8.ValidString(name) || !travelsInBundles(value) {
			return false
		}
	}
	return true
}

func travelsInBundles(value any) bool {
	switch value := value.(type) {
	case bool, int64:
		return true
	case string:
		return utf8.ValidString(value)
	case []any:
		for _, item := range value {
			if text, ok := item.(string); !ok || !utf8.ValidString(text) {
				return false
			}
		}
		return true
	}
	return false
}

// joinCalls returns the body of a bundle.
func joinCalls(calls [][]byte) []byte {
	return join(`{"args":[[`, calls, `]],"kwargs":{}}`)
}

func join(before string, parts [][]byte, after string) []byte {
	size := len(before) + len(after)
	for _, part := range parts {
		size += len(part) + 1
	}
	body := append(make([]byte, 0, size), before...)
	for i, part := range parts {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, part...)
	}
	return append(body, after...)
}

// unbundled is a call as it came in a bundle. One that is broken says why.
type unbundled struct {
	id      string
	method  string
	members map[string]any // with args and kwargs, as in a body of its own
	headers amqp.Table
}

// splitCalls reads the body of a bundle. The error is an Error, about the whole:
// then there is no call. Those without an id, which nobody waits for, are left out.
func splitCalls(body []byte) ([]unbundled, error) {
	args, err := readArgs(body, callMany, Params("calls"))
	if err != nil {
		return nil, err
	}
	list, ok := args["calls"].([]any)
	if !ok {
		return nil, Errorf(MalformedRequest, "The calls are no list")
	}
	if len(list) > maxBundleCalls {
		return nil, Errorf(MalformedRequest, "%d calls in a message, want at most %d", len(list), maxBundleCalls)
	}
	calls := make([]unbundled, 0, len(list))
	for _, item := range list {
		members, _ := item.(map[string]any)
		call := unbundled{members: members}
		if call.id, ok = members["id"].(string); !ok || call.id == "" || len(call.id) > maxName {
			continue
		}
		call.method, _ = members["method"].(string)
		headers, _ := members["headers"].(map[string]any)
		call.headers = make(amqp.Table, len(headers))
		for name, value := range headers {
			if number, ok := value.(json.Number); ok {
				if value, err = number.Int64(); err != nil {
					continue
				}
			}
			if travelsInBundles(value) {
				call.headers[name] = value
			}
		}
		calls = append(calls, call)
	}
	return calls, nil
}

// bundledReply returns a reply as it stands among others.
func bundledReply(id string, body []byte) []byte {
	entry := make([]byte, 0, len(`{"id":"","reply":}`)+len(id)+len(body))
	entry = append(entry, `{"id":`...)
	quoted, _ := json.Marshal(id) // of a string there is no error
	entry = append(entry, quoted...)
	entry = append(entry, `,"reply":`...)
	entry = append(entry, body...)
	return append(entry, '}')
}

// joinReplies returns the body of a message with several replies.
func joinReplies(replies [][]byte) []byte {
	return join(`{"result":[`, replies, `],"error":null}`)
}

// identified is a reply that says which call it is to.
type identified struct {
	ID    string          `json:"id"`
	Reply json.RawMessage `json:"reply"`
}

// splitReplies reads the body of a message with several replies.
func splitReplies(body []byte) ([]identified, error) {
	var message struct {
		Result []identified `json:"result"`
	}
	if err := json.Unmarshal(body, &message); err != nil {
		return nil, fmt.Errorf("several replies in one message: %w", err)
	}
	if len(message.Result) > maxBundleCalls {
		return nil, fmt.Errorf("%d replies in one message, want at most %d", len(message.Result), maxBundleCalls)
	}
	return message.Result, nil
}

// isFailure reports whether the body of a reply is an error: with one of those
// paths, if any are given.
func isFailure(body []byte, paths ...string) bool {
	_, failure, err := decodeReply(body)
	return err == nil && failure != nil && (len(paths) == 0 || slices.Contains(paths, failure.Path))
}

// saysNoBundles reports whether a reply to a bundle says that its service takes
// none: then nothing of it was executed.
func saysNoBundles(body []byte) bool {
	return isFailure(body, MethodNotFound, MalformedRequest, IncorrectSignature)
}
