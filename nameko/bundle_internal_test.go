package nameko

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// FuzzSplitCalls reads bundles. What is read can be given back, and be in a
// bundle again, where it is the same.
func FuzzSplitCalls(f *testing.F) {
	for _, body := range bodies(f) {
		f.Add(body)
	}
	whole, _ := encodeRequest(Call{Args: []any{"a"}, Kwargs: map[string]any{"b": 1}})
	headers := amqp.Table{headerPrefix + callIDStack: []any{"a.b.c"}, headerPrefix + "language": "en"}
	call := newBundledCall("id", Call{Method: "get"}, whole, headers)
	f.Add(joinCalls([][]byte{call.complete(5), call.complete(-5)}))
	f.Add([]byte(`{"args": [[{"id": "a", "method": "get", "args": [NaN], "kwargs": {}, "headers": {"x": 1.5, "y": [1], "z": 9223372036854775808}}]], "kwargs": {}}`))
	f.Add([]byte(`{"args": [[1, null, {"id": ""}, {"id": "b", "method": 3}]], "kwargs": {}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		calls, err := splitCalls(body)
		if err != nil {
			raised, ok := err.(*Error)
			if !ok || len(calls) != 0 {
				t.Fatalf("splitCalls(%q) = %d calls and %v, want an error that the caller may see, and no calls", body, len(calls), err)
			}
			checkRaised(t, raised)
			return
		}
		if len(calls) > maxBundleCalls {
			t.Fatalf("%d calls were read, want at most %d", len(calls), maxBundleCalls)
		}
		for _, call := range calls {
			if call.id == "" || call.members == nil || call.headers.Validate() != nil || !travelInBundles(call.headers) {
				t.Fatalf("splitCalls(%q) has %+v, want an id, members, and headers that can be sent", body, call)
			}
			(&request{members: call.members}).args(Params("x")) // any error is fine, a panic is not
		}
	})
}

// FuzzSplitReplies reads messages with several replies. Each is JSON, and can be
// among others again.
func FuzzSplitReplies(f *testing.F) {
	for _, body := range bodies(f) {
		f.Add(body)
	}
	f.Add(joinReplies([][]byte{bundledReply("a", []byte(`{"result":1,"error":null}`)), bundledReply("\"\xff", []byte(`null`))}))
	f.Add([]byte(`{"result": [{"id": 1, "reply": {}}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		replies, err := splitReplies(body)
		if err != nil {
			return
		}
		if len(replies) > maxBundleCalls {
			t.Fatalf("%d replies were read, want at most %d", len(replies), maxBundleCalls)
		}
		var entries [][]byte
		for i, r := range replies {
			if r.Reply == nil {
				replies[i].Reply = json.RawMessage("null")
			}
			if !json.Valid(replies[i].Reply) {
				t.Fatalf("splitReplies(%q) has the reply %q, want JSON", body, r.Reply)
			}
			entries = append(entries, bundledReply(r.ID, replies[i].Reply))
			decodeReply(r.Reply) // any error is fine, a panic is not
		}
		again, err := splitReplies(joinReplies(entries))
		if err != nil || len(again) != len(replies) || len(replies) > 0 && !cmp.Equal(again, replies) {
			t.Fatalf("splitReplies(%q) = %v, and again %v, %v", body, replies, again, err)
		}
	})
}

// A call arrives as it was sent, in a message of its own or in a bundle.
func TestBundledCallArrivesAsItWas(t *testing.T) {
	body, err := encodeRequest(Call{Args: []any{"a\"b", 1, nil}, Kwargs: map[string]any{"x": []string{"ü"}}})
	if err != nil {
		t.Fatal(err)
	}
	headers := amqp.Table{headerPrefix + callIDStack: []any{"a.b.c", "d.e.f"}, headerPrefix + "n": int64(1) << 60, headerPrefix + "b": true, "s": "\u2028<&>"}
	calls, err := splitCalls(joinCalls([][]byte{newBundledCall("id", Call{Method: "get"}, body, headers).complete(4999)}))
	if err != nil || len(calls) != 1 {
		t.Fatalf("splitCalls = %v, %v, want one call", calls, err)
	}
	headers[headerPrefix+deadlineMS] = int64(4999)
	if diff := cmp.Diff(headers, calls[0].headers); diff != "" {
		t.Errorf("headers (-sent +received):\n%s", diff)
	}
	signature := Params("a", "b", "c", "x")
	want, err := readArgs(body, "get", signature)
	if err != nil {
		t.Fatal(err)
	}
	got, err := (&request{method: "get", members: calls[0].members}).args(signature)
	if diff := cmp.Diff(want, got); err != nil || diff != "" || calls[0].id != "id" || calls[0].method != "get" {
		t.Errorf("call %s of %s, %v (-alone +bundled):\n%s", calls[0].id, calls[0].method, err, diff)
	}
	for name, alone := range map[string]bundledCall{
		"a float":         newBundledCall("id", Call{Method: "get"}, body, amqp.Table{"f": 1.0}),
		"a table":         newBundledCall("id", Call{Method: "get"}, body, amqp.Table{"t": amqp.Table{}}),
		"bytes":           newBundledCall("id", Call{Method: "get"}, body, amqp.Table{"b": []byte("x")}),
		"broken text":     newBundledCall("id", Call{Method: "get"}, body, amqp.Table{"s": "\xff"}),
		"a dot":           newBundledCall("id", Call{Method: "a.b"}, body, headers),
		"a quote":         newBundledCall("id", Call{Method: `a"b`}, body, headers),
		"too many bytes":  newBundledCall("id", Call{Method: "get"}, make([]byte, bundleSize), headers),
		"too many header": newBundledCall("id", Call{Method: "get"}, body, amqp.Table{"s": string(make([]byte, bundleSize))}),
	} {
		if alone != nil {
			t.Errorf("a call with %s is bundled, want it to go alone", name)
		}
	}
}
