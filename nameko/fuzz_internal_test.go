package nameko

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/json"
	"log/slog"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	amqp "github.com/rabbitmq/amqp091-go"
)

// bodies are those of recorded messages, and such as no recording has.
func bodies(f *testing.F) [][]byte {
	recorded, err := os.ReadFile("../rpc/testdata/messages.json")
	if err != nil {
		f.Fatal(err)
	}
	var messages struct{ Messages []struct{ Body string } }
	if err := json.Unmarshal(recorded, &messages); err != nil {
		f.Fatal(err)
	}
	list := [][]byte{
		[]byte(`{"args": [{"__type__": "decimal", "__value__": "1.10"}], "kwargs": {"x": {"__type__": "uuid", "__value__": {"hex": "7d2c8d0e3b5f4c6d8e9f0a1b2c3d4e5f"}}}}`),
		[]byte(`{"args": [{"__type__": "base64", "__value__": "aGk="}, {"__type__": "datetime", "__value__": "2026-01-01T00:00:00"}], "kwargs": {}}`),
		[]byte(`{"args": [NaN, -Infinity, "NaN \" Infinity", {"__type__": "number", "__value__": "Infinity"}], "kwargs": {}}`),
		[]byte(`{"args": {"k": NaN, "a": [1], "k": 2}, "kwargs": {}}`),
		[]byte(`{"args": "abc", "kwargs": {}, "args": [1e400, -0, 0.10, 12345678901234567890]}`),
		[]byte(`{"result": null, "error": {"exc_type": "E", "exc_path": "a.E", "exc_args": ["1", null, {"f": ["m"]}], "value": "v"}}`),
		[]byte(`{"result": {"__type__": "x", "__value__": {"__type__": "bytes", "__value__": "\u0000"}}, "error": null}`),
		[]byte(`{"result": 1, "error": "broken"}`), []byte(`{"Result": 1, "ERROR": NaN}`), []byte(`"\ud800"`), []byte("\"\xff\""),
		[]byte(`[[[[{"__type__": "a", "__value__": 1, "c": 2}]]]]`), []byte(`1 2`), []byte(``), []byte(`null`),
	}
	for _, m := range messages.Messages {
		list = append(list, []byte(m.Body))
	}
	return list
}

// FuzzDecode reads bodies as peers write them. What is read can be written, and
// is read again as the same; what is plain JSON is read as encoding/json does.
func FuzzDecode(f *testing.F) {
	for _, body := range bodies(f) {
		f.Add(body)
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		written := bytes.Clone(body)
		tree, err := decode(body)
		flat, plainErr := plain(body)
		if !bytes.Equal(written, body) {
			t.Fatalf("reading changed %q to %q", written, body)
		}
		want, wantErr := decodePlain(body)
		isPlain := !mayHaveTags(body) && !mayHaveSpecialNumbers(body) && wantErr == nil && json.Valid(body)
		if isPlain && (err != nil || !reflect.DeepEqual(tree, want) || !bytes.Equal(flat, body)) {
			t.Fatalf("decode(%q) = %v, %v, want %v; plain has %q", body, tree, err, want, flat)
		}
		if err != nil {
			return
		}
		if plainErr != nil || !json.Valid(flat) {
			t.Fatalf("plain(%q) = %q, %v, want JSON", body, flat, plainErr)
		}
		if !isPlain && len(flat) > 6*len(body)+16 { // \u00xx of each byte
			t.Fatalf("plain(%q) has %d bytes of %d", body, len(flat), len(body))
		}
		checkSentAgain(t, withoutSpecialNumbers(tree))
	})
}

// checkSentAgain encodes a tree and reads it back.
func checkSentAgain(t *testing.T, tree any) {
	t.Helper()
	body, err := encode(tree)
	if err != nil {
		if !hasTag(tree) {
			t.Fatalf("%#v was read and cannot be sent: %v", tree, err)
		}
		return
	}
	if hasTag(tree) {
		t.Fatalf("%s was sent, which Python takes for a tagged value", body)
	}
	again, err := decode(body)
	if diff := cmp.Diff(tree, again); err != nil || diff != "" {
		t.Fatalf("sent %s and read it back, %v (-sent +read):\n%s", body, err, diff)
	}
}

// FuzzReadArgs binds the arguments of calls. What is bound has the required
// names and no others, and each value was in the body.
func FuzzReadArgs(f *testing.F) {
	for _, body := range bodies(f) {
		f.Add(body)
	}
	signature := Signature{Required: []string{"product_id", "version"}, Optional: []string{"limit"}}
	f.Add([]byte(`{"args": ["a"], "kwargs": {"limit": 1, "version": 2}}`))
	f.Add([]byte(`{"args": {"a": 1, "b": [{}]}, "kwargs": {}}`))
	f.Add([]byte(`{"args": {"x": 1}, "Args": [[1, 2], [3]], "kwargs": {"version": 1}}`))
	f.Add([]byte(`{"args": [1, 2, 3, 4], "kwargs": {}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		args, err := readArgs(body, "get", signature)
		if err != nil {
			raised, ok := err.(*Error)
			if !ok || raised.Path != MalformedRequest && raised.Path != IncorrectSignature {
				t.Fatalf("readArgs(%q): %v, want what the framework raises", body, err)
			}
			checkRaised(t, raised)
			return
		}
		for _, name := range signature.Required {
			if _, ok := args[name]; !ok {
				t.Fatalf("readArgs(%q) = %v without %s", body, args, name)
			}
		}
		_, hasLimit := args["limit"]
		if len(args) != 2 && !(len(args) == 3 && hasLimit) {
			t.Fatalf("readArgs(%q) = %v, want the method's parameters", body, args)
		}
		again, err := encodeRequest(Call{Kwargs: withoutSpecialNumbers(map[string]any(args)).(map[string]any)})
		if err != nil {
			return // it holds what looks like a tagged value
		}
		if got, err := readArgs(again, "get", signature); err != nil || !cmp.Equal(got, args) {
			t.Fatalf("readArgs(%q) = %v, and of the same by name %v, %v", body, args, got, err)
		}
	})
}

// checkRaised sends an error and reads it back.
func checkRaised(t *testing.T, raised *Error) {
	t.Helper()
	body := encodeError(raised)
	_, again, err := decodeReply(body)
	if err != nil || again == nil {
		t.Fatalf("%+v was sent as %s and read as %v, %v", raised, body, again, err)
	}
	if valid := strings.ToValidUTF8(raised.Path, "\ufffd"); again.Path != valid && raised.Path != "" {
		t.Fatalf("%+v was sent as %s and read as %+v", raised, body, again)
	}
	if len(again.Args) != len(raised.Args) {
		t.Fatalf("%+v was sent as %s, with other arguments", raised, body)
	}
}

// FuzzReply reads replies. Each is a result or an error; both can be sent on.
func FuzzReply(f *testing.F) {
	for _, body := range bodies(f) {
		f.Add(body)
	}
	f.Add([]byte(`{"result": [{"": 1e700}]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		reply, raised, err := decodeReply(body)
		switch {
		case err != nil:
			return
		case raised != nil:
			checkRaised(t, raised)
			return
		}
		result, err := resultOfAnySize(reply)
		if err != nil {
			t.Fatalf("the result of %q cannot be read: %v", body, err)
		}
		sent, err := encode(struct {
			Result json.RawMessage `json:"result"`
			Error  any             `json:"error"`
		}{Result: reply.body})
		if err != nil {
			return // it holds what looks like a tagged value
		}
		again, raised, err := decodeReply(sent)
		var got any
		if err == nil && raised == nil {
			got, err = resultOfAnySize(again)
		}
		if diff := cmp.Diff(result, got); err != nil || raised != nil || diff != "" {
			t.Fatalf("%q was sent on as %s and read as %v, %v (-first +second):\n%s", body, sent, raised, err, diff)
		}
	})
}

// resultOfAnySize reads a result whose numbers may be beyond Go's, such as 1e400.
func resultOfAnySize(r Reply) (any, error) {
	var result json.RawMessage
	if err := r.Decode(&result); err != nil {
		return nil, err
	}
	return decodePlain(result)
}

// FuzzBody unpacks bodies, whatever their headers say that they are.
func FuzzBody(f *testing.F) {
	pack := func(text string) []byte {
		var packed bytes.Buffer
		z := zlib.NewWriter(&packed)
		z.Write([]byte(text))
		z.Close()
		return packed.Bytes()
	}
	bzip2 := []byte("BZh91AY&SY\xb7\x86\x1f\x9d\x00\x00\x00\x01\x80\x04\x00 \x00 \x00!\x18F\x82\xeew$S\x85\t\x0bxa\xf9\xd0")
	for _, seed := range []struct {
		kind, compression string
		body              []byte
	}{
		{"application/json", "application/x-gzip", pack(`{"args": [], "kwargs": {}}`)},
		{"application/json; charset=utf-8", "application/zlib", pack(strings.Repeat(" ", 1<<20))},
		{"", "application/x-bz2", bzip2},
		{"application/json", "application/x-bzip2", []byte("BZh")},
		{"application/json", "", []byte(`{}`)},
		{"application/x-python-serialize", "", []byte("\x80")},
		{"application/json;;", "zstd", nil},
		{strings.Repeat("\U000e0001", 100), "", nil},
	} {
		f.Add(seed.kind, seed.compression, seed.body)
	}
	f.Fuzz(func(t *testing.T, kind, compression string, body []byte) {
		d := &amqp.Delivery{ContentType: kind, Body: body}
		if compression != "" {
			d.Headers = amqp.Table{"compression": compression}
		}
		got, err := bodyOf(d)
		switch {
		case err != nil && len(err.Error()) > 1100: // a hundred characters of a type, each up to \U0010ffff, and what is said of it
			t.Fatalf("the error has %d bytes", len(err.Error()))
		case err != nil:
		case len(got) > maxBody:
			t.Fatalf("the body has %d bytes, want at most %d", len(got), maxBody)
		case compression == "" && !bytes.Equal(got, body):
			t.Fatalf("the body %q became %q", body, got)
		}
		d.ContentType, d.Headers, d.Body = jsonType, amqp.Table{"compression": "application/x-gzip"}, pack(string(body))
		if got, err := bodyOf(d); err != nil || !bytes.Equal(got, body) {
			t.Fatalf("the body %q, packed, became %q, %v", body, got, err)
		}
	})
}

// table makes a header table of bytes: nested, with every type that AMQP has.
func table(data *bytes.Reader, depth int) amqp.Table {
	headers := amqp.Table{}
	for range next(data) % 8 {
		names := []string{
			"nameko.call_id_stack", "call_id_stack", "nameko.deadline_ms", "deadline_ms", "nameko.language", "language",
			"nameko.", "", "compression", "nameko.nameko.x", text(data),
		}
		headers[names[int(next(data))%len(names)]] = value(data, depth)
	}
	return headers
}

func value(data *bytes.Reader, depth int) any {
	n := int64(next(data))<<56 | int64(next(data))
	switch kind := next(data) % 16; {
	case kind == 0:
		return n
	case kind == 1:
		return int32(n >> 32)
	case kind == 2:
		return int16(n)
	case kind == 3:
		return int8(n)
	case kind == 4:
		return math.Float64frombits(uint64(n))
	case kind == 5:
		return float32(n)
	case kind == 6:
		return n%2 == 0
	case kind == 7:
		return []byte(text(data))
	case kind == 8:
		return amqp.Decimal{Scale: uint8(n), Value: int32(n)}
	case kind == 9:
		return time.Unix(n, 0)
	case kind == 10:
		return nil
	case kind == 11 && depth > 0:
		return table(data, depth-1)
	case kind == 12 && depth > 0:
		items := []any{}
		for range next(data) % 16 {
			items = append(items, value(data, depth-1))
		}
		return items
	}
	return text(data)
}

func text(data *bytes.Reader) string {
	b := make([]byte, next(data))
	n, _ := data.Read(b) // at the end there is less
	return strings.Repeat(string(b[:n]), 1+int(next(data))%32)
}

func next(data *bytes.Reader) byte {
	b, _ := data.ReadByte() // 0 at the end
	return b
}

// FuzzHeaders receives headers and passes them on. What goes on can be sent, has
// no more call ids than travel, and arrives as it was received.
func FuzzHeaders(f *testing.F) {
	f.Add([]byte{1, 0, 0, 0, 12, 3, 0, 0, 13, 3, 'a', '.', 'b', 0})
	f.Add([]byte{2, 2, 0, 100, 0, 3, 0, 0, 1})
	f.Add([]byte{7, 10, 200, 1, 2, 3, 31, 31, 31, 31, 9, 8, 7, 6, 5, 4, 3, 2, 1})
	most := []byte{4} // headers that are just taken, and with a call id more are not
	for range 4 {
		most = append(append(append(most, 2, byte(len(most)), 'a', 0, 10, 0, 0, 13, 255), bytes.Repeat([]byte{'x'}, 255)...), 31)
	}
	f.Add(most)
	f.Fuzz(func(t *testing.T, data []byte) {
		headers := table(bytes.NewReader(data), 3)
		if left := timeLeft(headers); left > longestCall {
			t.Fatalf("timeLeft(%v) = %v, want at most %v", headers, left, longestCall)
		}
		b, err := NewBroker(Config{URL: "amqp://localhost", Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		first := Begin(b.received(context.Background(), headers), "service", "method")
		sent := b.headers(first)
		if size := sizeOf(sent); size > maxHeaders {
			t.Fatalf("%d bytes of headers are passed on", size)
		}
		if err := sent.Validate(); err != nil {
			t.Fatalf("%v is passed on as %v: %v", headers, sent, err)
		}
		stack, _ := sent[headerPrefix+callIDStack].([]any)
		if len(stack) == 0 || len(stack) > b.config.ParentCalls+1 {
			t.Fatalf("%d call ids are passed on, want 1 to %d", len(stack), b.config.ParentCalls+1)
		}
		for name := range sent {
			if !strings.HasPrefix(name, headerPrefix) || len(name) > maxName {
				t.Fatalf("the header %q is passed on", name)
			}
		}
		if sizeOf(sent) > maxHeaders/2 {
			return // with what was added they are more than is taken
		}
		again := callContextOf(b.received(context.Background(), sent)).data
		if got, want := len(again), len(callContextOf(first).data); got != want {
			t.Fatalf("%v is passed on as %v, of which %v arrives", headers, sent, again)
		}
	})
}
