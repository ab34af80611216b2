package nameko

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Args are the arguments of a call by their names. A value is nil, a bool, a
// string, a json.Number, an []any or a map[string]any. NaN and infinities are
// json.Numbers that spell so. An optional one that was not given is not there.
type Args map[string]any

// Signature names the parameters of a method in their order.
type Signature struct {
	Required []string
	Optional []string
}

// Params is the signature of a method without optional parameters.
func Params(required ...string) Signature { return Signature{Required: required} }

// readArgs reads the body of a call as Nameko does.
func readArgs(body []byte, method string, s Signature) (Args, error) {
	tree, err := decode(body)
	if err != nil {
		return nil, Errorf(MalformedRequest, "Message body is not valid JSON: %v", err)
	}
	members, ok := tree.(map[string]any)
	if !ok {
		return nil, Errorf(MalformedRequest, "Message body is not an object")
	}
	return bindMembers(members, body, method, s)
}

// bindMembers reads the members of a call. The body, if it is known, tells in
// what order they were written.
func bindMembers(members map[string]any, body []byte, method string, s Signature) (Args, error) {
	args, hasArgs := members["args"]
	kwargs, hasKwargs := members["kwargs"]
	if !hasArgs || !hasKwargs {
		return nil, Errorf(MalformedRequest, "Message missing `args` or `kwargs`")
	}
	positional, ok := positionalArgs(args, body)
	if !ok {
		return nil, Errorf(IncorrectSignature, "Value after * must be an iterable, not %s", typeName(args))
	}
	named, ok := kwargs.(map[string]any)
	if !ok {
		return nil, Errorf(IncorrectSignature, "inspect.getcallargs() argument after ** must be a mapping, not %s", typeName(kwargs))
	}
	return s.bind(method, positional, named)
}

// positionalArgs returns what Python iterates over.
func positionalArgs(args any, body []byte) ([]any, bool) {
	switch args := args.(type) {
	case []any:
		return args, true
	case map[string]any: // its keys, in the order in which they were written
		return orderedKeys(body), true
	case string:
		var letters []any
		for _, letter := range args {
			letters = append(letters, string(letter))
		}
		return letters, true
	}
	return nil, false
}

func orderedKeys(body []byte) []any {
	var request map[string]json.RawMessage // a struct's field would take Args, too
	if json.Unmarshal(tagSpecialNumbers(body), &request) != nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(request["args"]))
	if _, err := d.Token(); err != nil { // the brace
		return nil
	}
	var keys []any
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			break
		}
		if !slices.Contains(keys, any(key)) {
			keys = append(keys, key)
		}
	}
	return keys
}

// bind gives the arguments their names. Its errors have the words of Python's
// inspect.getcallargs; "self" counts.
func (s Signature) bind(method string, positional []any, named map[string]any) (Args, error) {
	params := slices.Concat(s.Required, s.Optional)
	args := make(Args, len(params))
	for i, value := range positional[:min(len(positional), len(params))] {
		args[params[i]] = value
	}
	for _, name := range slices.Sorted(maps.Keys(named)) {
		if !slices.Contains(params, name) {
			return nil, Errorf(IncorrectSignature, "%s() got an unexpected keyword argument '%s'", method, name)
		}
		if _, given := args[name]; given {
			return nil, Errorf(IncorrectSignature, "%s() got multiple values for argument '%s'", method, name)
		}
		args[name] = named[name]
	}
	if len(positional) > len(params) {
		return nil, Errorf(IncorrectSignature, "%s() takes %s but %d were given", method, s.counted(), len(positional)+1)
	}
	var missing []string
	for _, name := range s.Required {
		if _, given := args[name]; !given {
			missing = append(missing, "'"+name+"'")
		}
	}
	if len(missing) > 0 {
		return nil, Errorf(IncorrectSignature, "%s() missing %s: %s", method,
			plural(len(missing), "required positional argument"), enumerated(missing))
	}
	return args, nil
}

func (s Signature) counted() string {
	most := len(s.Required) + len(s.Optional) + 1
	if len(s.Optional) > 0 {
		return fmt.Sprintf("from %d to %d positional arguments", len(s.Required)+1, most)
	}
	return plural(most, "positional argument")
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// enumerated joins names as inspect does: 'a', 'b' and 'c'.
func enumerated(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " and " + names[last]
}

func typeName(v any) string {
	switch v := v.(type) {
	case nil:
		return "NoneType"
	case bool:
		return "bool"
	case string:
		return "str"
	case json.Number:
		if strings.ContainsAny(string(v), ".eEIN") { // or Infinity, or NaN
			return "float"
		}
		return "int"
	case []any:
		return "list"
	}
	return "dict"
}
