package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// maxDepth bounds how deep the lists and objects of a value lie in each other.
const maxDepth = 500

// number is one as JSON has it.
var number = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?`)

// constants are JSON's, by the names that they have there and in Python.
var constants = map[string]string{
	"null": "null", "None": "null",
	"true": "true", "True": "true",
	"false": "false", "False": "false",
}

// lineReader reads a line from the left. It returns values as JSON, whose numbers
// are as they were written.
type lineReader struct {
	text  string
	pos   int // in bytes
	depth int
}

func (l *lineReader) atEnd() bool { return l.pos == len(l.text) }

// next returns the character that comes next; it is not called at the end.
func (l *lineReader) next() rune {
	r, _ := utf8.DecodeRuneInString(l.text[l.pos:])
	return r
}

func (l *lineReader) skipSpace() {
	for !l.atEnd() && unicode.IsSpace(l.next()) {
		l.pos += utf8.RuneLen(l.next())
	}
}

// errorf returns an error about what comes next.
func (l *lineReader) errorf(format string, args ...any) error {
	return &lineError{utf8.RuneCountInString(l.text[:l.pos]) + 1, fmt.Sprintf(format, args...)}
}

// shown names what comes next.
func (l *lineReader) shown() string {
	if l.atEnd() {
		return "the end of the line"
	}
	return strconv.QuoteRune(l.next())
}

// end returns an error unless the line ends here.
func (l *lineReader) end() error {
	l.skipSpace()
	if !l.atEnd() {
		return l.errorf("the line should end before %s", l.shown())
	}
	return nil
}

// word reads to the next space, and not beyond any of the stops.
func (l *lineReader) word(stops string) string {
	start := l.pos
	for !l.atEnd() && !unicode.IsSpace(l.next()) && !strings.ContainsRune(stops, l.next()) {
		l.pos += utf8.RuneLen(l.next())
	}
	return l.text[start:l.pos]
}

// wordValue reads a value that ends with a space or the line. What is not quoted
// is a string, unless it is a number or a constant.
func (l *lineReader) wordValue() (json.RawMessage, error) {
	if l.atEnd() || !strings.ContainsRune(`"'[{`, l.next()) {
		word := l.word("")
		if constant, ok := constants[word]; ok {
			word = constant
		}
		return asJSON(argument(word)), nil
	}
	value, err := l.value()
	if err == nil && !l.atEnd() && !unicode.IsSpace(l.next()) {
		err = l.errorf("a space is wanted here, not %s", l.shown())
	}
	return value, err
}

// value reads one as JSON and Python write it.
func (l *lineReader) value() (json.RawMessage, error) {
	rest := l.text[l.pos:]
	switch {
	case l.atEnd():
		return nil, l.errorf("a value is missing")
	case rest[0] == '"', rest[0] == '\'':
		text, err := l.quoted()
		return asJSON(text), err
	case rest[0] == '[':
		return l.list()
	case rest[0] == '{':
		return l.object()
	}
	if literal := number.FindString(rest); literal != "" && !beginsName(rest[len(literal):]) {
		l.pos += len(literal)
		return json.RawMessage(literal), nil
	}
	start := l.pos
	word := l.word(`,:()[]{}"'=`)
	if constant, ok := constants[word]; ok {
		return json.RawMessage(constant), nil
	}
	l.pos = start
	if word == "" {
		return nil, l.errorf("a value is wanted here, not %s", l.shown())
	}
	return nil, l.errorf("%q is no value; a string stands in quotes", word)
}

// beginsName reports whether a text goes on with what would belong to a number.
func beginsName(text string) bool {
	r, _ := utf8.DecodeRuneInString(text)
	return r == '_' || r == '.' || unicode.IsLetter(r) || unicode.IsDigit(r)
}

func (l *lineReader) list() (json.RawMessage, error) {
	list := json.RawMessage{'['}
	err := l.items('[', ']', func() error {
		item, err := l.value()
		list = append(separated(list), item...)
		return err
	})
	return append(list, ']'), err
}

func (l *lineReader) object() (json.RawMessage, error) {
	object := json.RawMessage{'{'}
	err := l.items('{', '}', func() error {
		if l.next() != '"' && l.next() != '\'' {
			return l.errorf("a name in quotes is wanted here, not %s", l.shown())
		}
		name, err := l.quoted()
		if err != nil {
			return err
		}
		l.skipSpace()
		if l.atEnd() || l.next() != ':' {
			return l.errorf("a : is wanted after the name, not %s", l.shown())
		}
		l.pos++
		l.skipSpace()
		value, err := l.value()
		object = append(separated(object), asJSON(name)...)
		object = append(append(object, ':'), value...)
		return err
	})
	return append(object, '}'), err
}

// separated returns what was begun, ready for another item.
func separated(begun json.RawMessage) json.RawMessage {
	if len(begun) > 1 {
		return append(begun, ',')
	}
	return begun
}

// items reads what stands between two brackets, separated by commas. As in
// Python, there may be one at the end.
func (l *lineReader) items(begin, end rune, item func() error) error {
	start := l.pos
	if l.depth++; l.depth > maxDepth {
		return l.errorf("more than %d lists and objects lie in each other", maxDepth)
	}
	defer func() { l.depth-- }()
	l.pos += utf8.RuneLen(begin)
	for {
		l.skipSpace()
		if l.atEnd() {
			break
		}
		if l.next() == end {
			l.pos += utf8.RuneLen(end)
			return nil
		}
		if err := item(); err != nil {
			return err
		}
		l.skipSpace()
		if l.atEnd() {
			break
		}
		switch l.next() {
		case ',':
			l.pos++
		case end:
		default:
			return l.errorf("a comma or %c is wanted here, not %s", end, l.shown())
		}
	}
	l.pos = start
	return l.errorf("%c is never closed", begin)
}

// quoted reads a string in quotes of either kind.
func (l *lineReader) quoted() (string, error) {
	start, quote := l.pos, l.next()
	l.pos++
	var text strings.Builder
	for !l.atEnd() {
		switch r := l.next(); r {
		case quote:
			l.pos++
			return text.String(), nil
		case '\\':
			escaped, err := l.escape()
			if err != nil {
				return "", err
			}
			text.WriteRune(escaped)
		default:
			text.WriteRune(r)
			l.pos += utf8.RuneLen(r)
		}
	}
	l.pos = start
	return "", l.errorf("the string has no end: %c is missing", quote)
}

// escapes are JSON's, and Python's for its other quote.
var escapes = map[byte]rune{
	'"': '"', '\'': '\'', '\\': '\\', '/': '/', 'b': '\b', 'f': '\f', 'n': '\n', 'r': '\r', 't': '\t',
}

// escape reads a character that is written with a backslash.
func (l *lineReader) escape() (rune, error) {
	rest := l.text[l.pos+len(`\`):]
	if rest == "" {
		return 0, l.errorf("nothing comes after the backslash")
	}
	if r, ok := escapes[rest[0]]; ok {
		l.pos += len(`\n`)
		return r, nil
	}
	unit, ok := unicodeEscape(l.text[l.pos:])
	if !ok {
		return 0, l.errorf(`no such escape; there are \\ \/ \" \' \b \f \n \r \t and \uXXXX`)
	}
	const length = len(`\uXXXX`)
	if !utf16.IsSurrogate(unit) {
		l.pos += length
		return unit, nil
	}
	second, _ := unicodeEscape(l.text[l.pos+length:])
	r := utf16.DecodeRune(unit, second)
	if r == unicode.ReplacementChar {
		return 0, l.errorf("half of a surrogate pair is no character")
	}
	l.pos += 2 * length
	return r, nil
}

// unicodeEscape returns the UTF-16 code unit that a text begins with.
func unicodeEscape(text string) (rune, bool) {
	if len(text) < len(`\uXXXX`) || !strings.HasPrefix(text, `\u`) {
		return 0, false
	}
	unit, err := strconv.ParseUint(text[len(`\u`):len(`\uXXXX`)], 16, 16)
	return rune(unit), err == nil
}

// asJSON returns a string, or JSON as it is.
func asJSON(value any) json.RawMessage {
	if raw, ok := value.(json.RawMessage); ok {
		return raw
	}
	text, _ := json.Marshal(value) // cannot fail: it is a string
	return text
}
