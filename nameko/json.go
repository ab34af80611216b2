package nameko

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/google/uuid"
)

// The members of an object that stands for a value that JSON has no type for,
// as kombu sends it from 5.3 on:
// https://github.com/celery/kombu/blob/main/kombu/utils/json.py
const (
	tagType  = "__type__"
	tagValue = "__value__"
)

// numberTag is a tag of our own, never sent: for the numbers that Python writes
// and JSON does not have.
const numberTag = "number"

// decode reads what Python's json and kombu write: JSON, and beyond it NaN,
// Infinity and tagged values. The result is a tree of nil, bool, string,
// json.Number, []any and map[string]any.
func decode(body []byte) (any, error) {
	if mayHaveSpecialNumbers(body) {
		body = tagSpecialNumbers(body)
	}
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	var tree any
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one JSON value")
	}
	if mayHaveTags(body) {
		tree = untag(tree)
	}
	return tree, nil
}

// plain returns a body as JSON that Go reads. A special number is null there.
func plain(body []byte) ([]byte, error) {
	if !mayHaveSpecialNumbers(body) && !mayHaveTags(body) {
		return body, nil
	}
	tree, err := decode(body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(withoutSpecialNumbers(tree))
}

// encode writes JSON that Python reads. The error is about a value that cannot
// be sent: a peer would take an object with just the members of a tagged value
// for one, and drop the message.
func encode(v any) ([]byte, error) {
	body, err := json.Marshal(v)
	if err != nil || !mayHaveTags(body) {
		return body, err
	}
	tree, err := decodePlain(body)
	if err != nil {
		return nil, err
	}
	if hasTag(tree) {
		return nil, fmt.Errorf("an object whose only members are %s and %s cannot be sent", tagType, tagValue)
	}
	return body, nil
}

func decodePlain(body []byte) (tree any, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	err = d.Decode(&tree)
	return tree, err
}

func mayHaveTags(body []byte) bool {
	return bytes.Contains(body, []byte(`__`)) && bytes.Contains(body, []byte(tagType)) && bytes.Contains(body, []byte(tagValue))
}

func mayHaveSpecialNumbers(body []byte) bool {
	return bytes.Contains(body, []byte("NaN")) || bytes.Contains(body, []byte("Infinity"))
}

// tagSpecialNumbers puts a tagged value where a special number stands outside
// of strings.
func tagSpecialNumbers(body []byte) []byte {
	var out []byte
	for i := 0; i < len(body); {
		if body[i] == '"' {
			end := stringEnd(body, i)
			out = append(out, body[i:end]...)
			i = end
			continue
		}
		special := specialNumber(body[i:])
		if special == "" {
			out = append(out, body[i])
			i++
			continue
		}
		out = fmt.Appendf(out, `{%q:%q,%q:%q}`, tagType, numberTag, tagValue, special)
		i += len(special)
	}
	return out
}

// stringEnd returns where the string that begins at start ends.
func stringEnd(body []byte, start int) int {
	for i := start + 1; i < len(body); i++ {
		switch body[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(body)
}

func specialNumber(rest []byte) string {
	for _, special := range []string{"NaN", "Infinity", "-Infinity"} {
		if bytes.HasPrefix(rest, []byte(special)) {
			return special
		}
	}
	return ""
}

// asTag returns the parts of a tagged value.
func asTag(tree any) (kind string, value any, ok bool) {
	object, ok := tree.(map[string]any)
	if !ok || len(object) != 2 {
		return "", nil, false
	}
	kind, isString := object[tagType].(string)
	value, hasValue := object[tagValue]
	return kind, value, isString && hasValue
}

func hasTag(tree any) bool {
	switch tree := tree.(type) {
	case []any:
		for _, item := range tree {
			if hasTag(item) {
				return true
			}
		}
	case map[string]any:
		_, hasType := tree[tagType]
		_, hasValue := tree[tagValue]
		if len(tree) == 2 && hasType && hasValue {
			return true
		}
		for _, item := range tree {
			if hasTag(item) {
				return true
			}
		}
	}
	return false
}

// untag replaces tagged values by what older versions of kombu send for them:
// strings. One of an unknown type stays as it is.
func untag(tree any) any {
	if kind, value, ok := asTag(tree); ok {
		return untagged(tree, kind, value)
	}
	switch tree := tree.(type) {
	case []any:
		for i, item := range tree {
			tree[i] = untag(item)
		}
	case map[string]any:
		for name, item := range tree {
			tree[name] = untag(item)
		}
	}
	return tree
}

func untagged(tree any, kind string, value any) any {
	text, isText := value.(string)
	switch {
	case kind == "uuid":
		if members, ok := value.(map[string]any); ok {
			text, _ = members["hex"].(string)
		}
		if raw, err := hex.DecodeString(text); err == nil && len(raw) == len(uuid.UUID{}) {
			return uuid.UUID(raw).String()
		}
	case !isText:
	case kind == numberTag:
		if text != "" && text == specialNumber([]byte(text)) {
			return json.Number(text)
		}
	case kind == "base64":
		if raw, err := base64.StdEncoding.DecodeString(text); err == nil && utf8.Valid(raw) {
			return string(raw)
		}
	case kind == "decimal", kind == "datetime", kind == "date", kind == "time", kind == "bytes":
		return text
	}
	return tree
}

func withoutSpecialNumbers(tree any) any {
	switch tree := tree.(type) {
	case json.Number:
		if specialNumber([]byte(tree)) != "" {
			return nil
		}
	case []any:
		for i, item := range tree {
			tree[i] = withoutSpecialNumbers(item)
		}
	case map[string]any:
		for name, item := range tree {
			tree[name] = withoutSpecialNumbers(item)
		}
	}
	return tree
}
