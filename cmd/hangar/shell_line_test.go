package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"hangar/nameko"
)

// callOf returns one with arguments that are JSON; those with a name are name=JSON.
func callOf(service, method string, args ...string) nameko.Call {
	call := nameko.Call{Service: service, Method: method, Kwargs: map[string]any{}}
	for _, arg := range args {
		if name := keyword.FindString(arg); name != "" {
			call.Kwargs[strings.TrimSuffix(name, "=")] = json.RawMessage(arg[len(name):])
			continue
		}
		call.Args = append(call.Args, json.RawMessage(arg))
	}
	return call
}

func TestLines(t *testing.T) {
	get := callOf("products", "get", `"the_odyssey"`)
	created := dispatch{"orders", "order_created", json.RawMessage(`{"order":{"id":1}}`)}
	for line, want := range map[string]any{
		"":                                      nil,
		" \t\u00a0":                             nil,
		"# products.get":                        nil,
		"help":                                  explain{},
		"help products":                         explain{"products"},
		"help  products.get ":                   explain{"products.get"},
		"services":                              listServices{},
		"exit":                                  leave{},
		"quit()":                                leave{},
		"products.get the_odyssey":              get,
		"  products.get\tthe_odyssey ":          get,
		"products.get 'the_odyssey'":            get,
		`n.rpc.products.get("the_odyssey")`:     get,
		`n.rpc.products.get( 'the_odyssey', ) `: get,
		"n.rpc.products.get the_odyssey":        get,
		"products.list":                         callOf("products", "list"),
		"products.list()":                       callOf("products", "list"),
		"a.b.c 1":                               callOf("a", "b.c", "1"),

		"s.m 1 -1.50 1e3 01 1_0 +1 . é":          callOf("s", "m", "1", "-1.50", "1e3", `"01"`, `"1_0"`, `"+1"`, `"."`, `"é"`),
		"s.m null None true True false False":    callOf("s", "m", "null", "null", "true", "true", "false", "false"),
		`s.m "1" '"' "a b" it's a=b c=`:          callOf("s", "m", `"1"`, `"\""`, `"a b"`, `"it's"`, `a="b"`, `c=""`),
		`s.m "a=b" [1, 'x',] {'a': {"b": None}}`: callOf("s", "m", `"a=b"`, `[1,"x"]`, `{"a":{"b":null}}`),
		`s.m a={"b":[]} c='d e'`:                 callOf("s", "m", `a={"b":[]}`, `c="d e"`),
		`s.m(1, [], {}, x=True, y="=")`:          callOf("s", "m", "1", "[]", "{}", "x=true", `y="="`),
		`s.m "\u00e9\ud83d\ude00\n\'\/"`:         callOf("s", "m", `"é😀\n'/"`),
		`s.m [1.10, 12345678901234567890]`:       callOf("s", "m", "[1.10,12345678901234567890]"),

		`dispatch orders order_created {"order": {"id": 1}}`:                created,
		`n.dispatch_event("orders", 'order_created', {'order': {'id': 1}})`: created,
		`dispatch a b c`: dispatch{"a", "b", json.RawMessage(`"c"`)},
	} {
		got, err := parseLine(line)
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(dispatch{}, explain{})); diff != "" || err != nil {
			t.Errorf("parseLine(%q): %v (-want +got):\n%s", line, err, diff)
		}
	}
}

func TestLinesThatAreWrong(t *testing.T) {
	for line, want := range map[string]string{
		"products":                        `column 1: "products" is neither a method, such as products.get, nor a command; help shows them`,
		"  .get x":                        `column 3: ".get" is neither a method`,
		"products. x":                     `column 1: "products." is neither a method`,
		"(1)":                             `column 1: "" is neither a method`,
		"n.rpc.products":                  `column 1: "n.rpc.products" is neither a method`,
		"exit now":                        `column 6: the line should end before 'n'`,
		"exit(1)":                         `column 5: the line should end before '('`,
		"services all":                    `column 10: the line should end before 'a'`,
		"help a b":                        `column 8: the line should end before 'b'`,
		"products.get [1":                 `column 14: [ is never closed`,
		"products.get(1":                  `column 13: ( is never closed`,
		"products.get(1) 2":               `column 17: the line should end before '2'`,
		"products.get(a)":                 `column 14: "a" is no value; a string stands in quotes`,
		"products.get(a = 1)":             `column 14: "a" is no value; a string stands in quotes`,
		"products.get(,)":                 `column 14: a value is wanted here, not ','`,
		"products.get(1 2)":               `column 16: a comma or ) is wanted here, not '2'`,
		"products.get(a=)":                `column 16: a value is wanted here, not ')'`,
		"products.get(a=":                 `column 16: a value is missing`,
		"products.get(01)":                `column 14: "01" is no value`,
		"products.get(1.)":                `column 14: "1." is no value`,
		"é.☃ [1}":                         `column 7: a comma or ] is wanted here, not '}'`,
		`a.b "c`:                          `column 5: the string has no end: " is missing`,
		`a.b 'c"`:                         `column 5: the string has no end: ' is missing`,
		`a.b "c"d`:                        `column 8: a space is wanted here, not 'd'`,
		`a.b "\x41"`:                      `column 6: no such escape`,
		`a.b "\u00g0"`:                    `column 6: no such escape`,
		`a.b "\u00`:                       `column 6: no such escape`,
		`a.b "\ud800"`:                    `column 6: half of a surrogate pair is no character`,
		`a.b "\ud800\u0041"`:              `column 6: half of a surrogate pair is no character`,
		`a.b "\`:                          `column 6: nothing comes after the backslash`,
		`a.b {1: 2}`:                      `column 6: a name in quotes is wanted here, not '1'`,
		`a.b {"a" 2}`:                     `column 10: a : is wanted after the name, not '2'`,
		`a.b {"a"`:                        `column 9: a : is wanted after the name, not the end of the line`,
		`a.b {"a":`:                       `column 10: a value is missing`,
		`a.b {"a":1,`:                     `column 5: { is never closed`,
		"a.b c=1 c=2":                     `column 9: c is given twice`,
		"a.b c=1 2":                       `column 9: an argument without a name comes after one that has one`,
		"a.b \xff":                        `column 5: no character: the line is not UTF-8`,
		"dispatch":                        `column 9: the service that the event is of is missing, as in: dispatch orders`,
		"dispatch a":                      `column 11: the event's type is missing`,
		"dispatch a b ":                   `column 14: the event's payload is missing`,
		"dispatch a b {} c":               `column 17: the line should end before 'c'`,
		"n.dispatch_event":                `column 17: three arguments are wanted, as in: n.dispatch_event(`,
		`n.dispatch_event("a")`:           `column 17: three arguments are wanted`,
		`n.dispatch_event("a", 1, 2)`:     `column 17: three arguments are wanted`,
		`n.dispatch_event("a", "", 2)`:    `column 17: three arguments are wanted`,
		`n.dispatch_event("a", "b", c=2)`: `column 17: three arguments are wanted`,
		"a.b " + strings.Repeat("[", 501): `column 505: more than 500 lists and objects lie in each other`,
	} {
		got, err := parseLine(line)
		e, ok := errors.AsType[*lineError](err)
		if !ok || !strings.HasPrefix(e.Error(), want) {
			t.Errorf("parseLine(%q) is %v, %v, want %q", line, got, err, want)
		}
	}
}

// FuzzLine checks what holds of any line: it is taken, and then all its values
// are JSON, or refused at one of its columns.
func FuzzLine(f *testing.F) {
	for _, seed := range []string{
		`products.get the_odyssey`, `orders.create_order [{"product_id": "x", "price": "1.50", "quantity": 1}]`, `n.rpc.a.b('c', d=None)`,
		`dispatch orders order_created {"order": {}}`, `n.dispatch_event("a", "b", [1, 2.5e-3, True])`, `a.b "\ud83d\ude00" \u0041 "\u00`, "help x", "exit()", "# x", "a.b {'a': [", "\xff",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		request, err := parseLine(line)
		if e, ok := errors.AsType[*lineError](err); ok {
			if e.column < 1 || e.column > utf8.RuneCountInString(line)+1 || e.message == "" {
				t.Fatalf("parseLine(%q) is wrong at column %d: %q", line, e.column, e.message)
			}
			return
		}
		if err != nil {
			t.Fatalf("parseLine(%q): %v", line, err)
		}
		for _, value := range valuesOf(request) {
			if raw, ok := value.(json.RawMessage); !ok || !json.Valid(raw) {
				t.Fatalf("parseLine(%q) has the value %T %q, want JSON", line, value, value)
			}
		}
	})
}

func valuesOf(request any) []any {
	switch r := request.(type) {
	case nameko.Call:
		values := r.Args
		for _, value := range r.Kwargs {
			values = append(values, value)
		}
		return values
	case dispatch:
		return []any{r.payload}
	}
	return nil
}

// FuzzLineValue takes any JSON for an argument, and for Python's argument, and
// finds the same value in it as encoding/json.
func FuzzLineValue(f *testing.F) {
	for _, seed := range []string{`{"a": [1, "x", null, -0.5e+3, {}], "é": "\u00e9\n"}`, `"\ud83d\ude00"`, "[[[]]]", "true", " 1", `"a=b"`, `"'"`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		var want any
		if !utf8.ValidString(text) || json.Unmarshal([]byte(text), &want) != nil || strings.Contains(text, `\u`) && strings.ContainsAny(text, "dD") {
			return // no JSON, or perhaps half of a surrogate pair
		}
		if strings.Count(text, "[")+strings.Count(text, "{") >= maxDepth {
			return
		}
		for _, line := range []string{"s.m " + text, "s.m(" + text + ")"} {
			request, err := parseLine(line)
			if err != nil {
				t.Fatalf("parseLine(%q): %v", line, err)
			}
			var got any
			if err := json.Unmarshal(request.(nameko.Call).Args[0].(json.RawMessage), &got); err != nil {
				t.Fatalf("parseLine(%q): %v", line, err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("parseLine(%q) (-want +got):\n%s", line, diff)
			}
		}
	})
}
