package nameko

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDecodeReadsWhatPythonWrites(t *testing.T) {
	for body, want := range map[string]any{
		`[NaN, Infinity, -Infinity, "NaN", "a\"NaN"]`:                                            []any{json.Number("NaN"), json.Number("Infinity"), json.Number("-Infinity"), "NaN", `a"NaN`},
		`[9223372036854775809, 1e308, 0.1, 2.0]`:                                                 []any{json.Number("9223372036854775809"), json.Number("1e308"), json.Number("0.1"), json.Number("2.0")},
		`{"a": {"__type__": "datetime", "__value__": "2026-01-02T03:04:05"}}`:                    map[string]any{"a": "2026-01-02T03:04:05"},
		`[{"__type__": "decimal", "__value__": "1.10"}]`:                                         []any{"1.10"},
		`[{"__type__": "uuid", "__value__": {"hex": "7d2c8d0e3b5f4c6d8e9f0a1b2c3d4e5f"}}]`:       []any{"7d2c8d0e-3b5f-4c6d-8e9f-0a1b2c3d4e5f"},
		`[{"__type__": "base64", "__value__": "w7w="}, {"__type__": "bytes", "__value__": "b"}]`: []any{"ü", "b"},
		`{"__type__": "strange", "__value__": 1}`:                                                map[string]any{"__type__": "strange", "__value__": json.Number("1")},
		`{"__type__": "decimal", "__value__": "1", "more": 1}`:                                   map[string]any{"__type__": "decimal", "__value__": "1", "more": json.Number("1")},
	} {
		got, err := decode([]byte(body))
		if diff := cmp.Diff(want, got); err != nil || diff != "" {
			t.Errorf("decode(%s): %v (-want +got):\n%s", body, err, diff)
		}
	}
	for _, body := range []string{"", "NaNs", "[", `{"a": Infinit}`, "1 2", "\xff"} {
		if got, err := decode([]byte(body)); err == nil {
			t.Errorf("decode(%q) = %v, want an error", body, got)
		}
	}
}

func TestPlainIsJSON(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":1}`:             `{"a":1}`,
		`{"a":NaN,"b":"NaN"}`: `{"a":null,"b":"NaN"}`,
		`[{"__type__":"decimal","__value__":"1.10"}]`: `["1.10"]`,
	} {
		got, err := plain([]byte(body))
		if err != nil || string(got) != want {
			t.Errorf("plain(%s) = %s, %v, want %s", body, got, err, want)
		}
	}
}

// What Python would take for a tagged value is not sent.
func TestEncodeSendsNoTaggedValue(t *testing.T) {
	for _, v := range []any{
		map[string]int{"__type__": 1, "__value__": 2},
		[]any{map[string]any{"deep": map[string]string{"__type__": "a", "__value__": "b"}}},
	} {
		if body, err := encode(v); err == nil {
			t.Errorf("encode(%v) = %s, want an error", v, body)
		}
	}
	for _, v := range []any{map[string]int{"__type__": 1, "__value__": 2, "c": 3}, map[string]int{"__type__": 1}, "__type__ __value__"} {
		if _, err := encode(v); err != nil {
			t.Errorf("encode(%v): %v, want no error", v, err)
		}
	}
}

// The words are those of Python's inspect.getcallargs.
func TestSignatureComplainsAsPythonDoes(t *testing.T) {
	three := Signature{Required: []string{"a", "b", "c"}}
	optional := Signature{Required: []string{"a"}, Optional: []string{"b", "c"}}
	for _, test := range []struct {
		s          Signature
		positional []any
		named      map[string]any
		want       string
	}{
		{three, nil, nil, "f() missing 3 required positional arguments: 'a', 'b' and 'c'"},
		{three, []any{1}, nil, "f() missing 2 required positional arguments: 'b' and 'c'"},
		{three, []any{1, 2}, nil, "f() missing 1 required positional argument: 'c'"},
		{three, []any{1, 2, 3, 4}, nil, "f() takes 4 positional arguments but 5 were given"},
		{Params(), []any{1}, nil, "f() takes 1 positional argument but 2 were given"},
		{optional, []any{1, 2, 3, 4}, nil, "f() takes from 2 to 4 positional arguments but 5 were given"},
		{three, []any{1}, map[string]any{"a": 1}, "f() got multiple values for argument 'a'"},
		{three, []any{1}, map[string]any{"x": 1}, "f() got an unexpected keyword argument 'x'"},
	} {
		args, err := test.s.bind("f", test.positional, test.named)
		raised, ok := errors.AsType[*Error](err)
		if !ok || raised.Path != IncorrectSignature || raised.Value != test.want {
			t.Errorf("bind(%v, %v) = %v, %v, want %s", test.positional, test.named, args, err, test.want)
		}
	}
	args, err := optional.bind("f", []any{1}, map[string]any{"c": 3})
	if diff := cmp.Diff(Args{"a": 1, "c": 3}, args); err != nil || diff != "" {
		t.Errorf("bind: %v (-want +got):\n%s", err, diff)
	}
}
