package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
)

// file is a configuration file with the keys of the Nameko services.
type file struct {
	path   string
	tree   map[string]any
	getenv func(string) string
}

// readFile reads a file; without a path it is an empty one.
func readFile(path string, getenv func(string) string) (*file, error) {
	f := &file{path: path, getenv: getenv}
	if path == "" {
		return f, nil
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, usagef("flag --config: %w", err)
	}
	if err := yaml.Unmarshal(data, &f.tree); err != nil {
		// Neither colours nor the source: that may hold a password.
		return nil, usagef("file %s is no map of settings in YAML: %s", path, mask(yaml.FormatError(err, false, false)))
	}
	return f, nil
}

// value returns the text at a path of keys, with what it takes from the
// environment. It is "" if there is none. With an error it is what is wrong.
func (f *file) value(key []string) (string, error) {
	var node any = f.tree
	for _, name := range key {
		branch, ok := node.(map[string]any)
		if !ok && node != nil {
			return fmt.Sprint(node), fmt.Errorf("a map with %s in it", name)
		}
		node = branch[name]
	}
	switch node.(type) {
	case nil:
		return "", nil
	case map[string]any:
		return "{…}", errors.New("a single value")
	case []any:
		return "[…]", errors.New("a single value")
	}
	raw := fmt.Sprint(node)
	text, err := expand(raw, f.getenv)
	if err != nil {
		return raw, err
	}
	return text, nil
}

// unknownKeys returns the keys that are neither a setting's nor Nameko's.
func (f *file) unknownKeys() []string {
	branches := make(map[string]bool)
	known := make(map[string]bool)
	for _, s := range settings() {
		known[strings.Join(s.key, ".")] = true
		branches[s.key[0]] = len(s.key) > 1
	}
	for _, key := range frameworkKeys {
		known[key] = true
	}
	var unknown []string
	for key, node := range f.tree {
		if !branches[key] && !known[key] {
			unknown = append(unknown, key)
		}
		if !branches[key] {
			continue
		}
		branch, _ := node.(map[string]any) // value complains if it is none
		for name := range branch {
			if !known[key+"."+name] {
				unknown = append(unknown, key+"."+name)
			}
		}
	}
	slices.Sort(unknown)
	return unknown
}

// expand replaces ${NAME} and ${NAME:default} as Nameko does: a default may
// hold colons and further ${…}, and a name that is not set is empty.
func expand(text string, getenv func(string) string) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "${")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		end := closingBrace(rest)
		if end < 0 {
			return "", errors.New("a } after each ${")
		}
		name, fallback, _ := strings.Cut(rest[:end], ":")
		value := getenv(name)
		if value == "" {
			var err error
			if value, err = expand(fallback, getenv); err != nil {
				return "", err
			}
		}
		b.WriteString(value)
		text = rest[end+1:]
	}
}

// closingBrace returns the index of the } that closes a ${ before text, or -1.
func closingBrace(text string) int {
	depth := 1
	for i := range len(text) {
		switch {
		case strings.HasPrefix(text[i:], "${"):
			depth++
		case text[i] == '}':
			depth--
		}
		if depth == 0 {
			return i
		}
	}
	return -1
}
