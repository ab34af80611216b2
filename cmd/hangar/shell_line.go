package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"unicode/utf8"

	"hangar/nameko"
)

// What a line of the shell may ask for, beside a nameko.Call.
type (
	// dispatch publishes an event.
	dispatch struct {
		source, event string
		payload       json.RawMessage
	}

	// explain tells of a service or a method; "" is the shell itself.
	explain struct{ topic string }

	// listServices shows what services there are.
	listServices struct{}

	// leave ends the shell.
	leave struct{}
)

// What begins a line as nameko's own shell has it.
const (
	pythonCall     = "n.rpc."
	pythonDispatch = "n.dispatch_event"
)

// lineError is what is wrong with a line, and where.
type lineError struct {
	column  int // in characters, from 1
	message string
}

// Error says what is wrong, and where.
func (e *lineError) Error() string { return fmt.Sprintf("column %d: %s", e.column, e.message) }

// parseLine reads what a line asks for: nil if it is empty or a comment. The
// error is a *lineError.
//
// Words are separated by spaces, as in a system's shell, or, in parentheses, by
// commas, as in Python. Values are those of JSON and of Python.
func parseLine(line string) (any, error) {
	l := &lineReader{text: line}
	if valid := validPrefix(line); valid < len(line) {
		l.pos = valid
		return nil, l.errorf("no character: the line is not UTF-8")
	}
	l.skipSpace()
	if l.atEnd() || l.next() == '#' {
		return nil, nil
	}
	start := l.pos
	name := l.word("(")
	switch {
	case name == "help", name == "services", name == "exit", name == "quit", name == "dispatch":
		return l.command(name)
	case name == pythonDispatch:
		return l.pythonDispatch()
	}
	service, method, ok := splitMethod(strings.TrimPrefix(name, pythonCall))
	if !ok {
		l.pos = start
		return nil, l.errorf("%q is neither a method, such as products.get, nor a command; help shows them", name)
	}
	return l.call(service, method)
}

// validPrefix returns how many bytes of a text are UTF-8.
func validPrefix(text string) int {
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 {
			return i
		}
	}
	return len(text)
}

// command reads what comes after the name of a command.
func (l *lineReader) command(name string) (any, error) {
	if name == "exit" || name == "quit" {
		if strings.HasPrefix(l.text[l.pos:], "()") { // as Python has it
			l.pos += len("()")
		}
		return leave{}, l.end()
	}
	if name == "dispatch" {
		return l.dispatch()
	}
	l.skipSpace()
	if name == "help" && !l.atEnd() {
		return explain{l.word("")}, l.end()
	}
	if name == "help" {
		return explain{}, nil
	}
	return listServices{}, l.end()
}

// dispatch reads the words of an event.
func (l *lineReader) dispatch() (any, error) {
	const wanted = `%s is missing, as in: dispatch orders order_created {"order": {"id": 1}}`
	var d dispatch
	for _, part := range []struct {
		what string
		into *string
	}{{"the service that the event is of", &d.source}, {"the event's type", &d.event}} {
		l.skipSpace()
		if l.atEnd() {
			return nil, l.errorf(wanted, part.what)
		}
		*part.into = l.word("")
	}
	l.skipSpace()
	if l.atEnd() {
		return nil, l.errorf(wanted, "the event's payload")
	}
	value, err := l.wordValue()
	if err != nil {
		return nil, err
	}
	d.payload = value
	return d, l.end()
}

// pythonDispatch reads the arguments of n.dispatch_event.
func (l *lineReader) pythonDispatch() (any, error) {
	start := l.pos
	call, err := l.call("", "")
	if err != nil {
		return nil, err
	}
	var d dispatch
	if len(call.Args) != 3 || len(call.Kwargs) > 0 || !isText(call.Args[0], &d.source) || !isText(call.Args[1], &d.event) {
		l.pos = start
		return nil, l.errorf(`three arguments are wanted, as in: n.dispatch_event("orders", "order_created", {"order": {"id": 1}})`)
	}
	d.payload = call.Args[2].(json.RawMessage)
	return d, nil
}

func isText(value any, into *string) bool {
	raw, ok := value.(json.RawMessage)
	return ok && raw[0] == '"' && json.Unmarshal(raw, into) == nil && *into != ""
}

// call reads the arguments of a method, to the end of the line.
func (l *lineReader) call(service, method string) (nameko.Call, error) {
	call := nameko.Call{Service: service, Method: method, Kwargs: make(map[string]any)}
	var err error
	if !l.atEnd() && l.next() == '(' {
		err = l.arguments(&call)
	} else {
		err = l.words(&call)
	}
	if err != nil {
		return nameko.Call{}, err
	}
	return call, l.end()
}

// words reads arguments that are separated by spaces.
func (l *lineReader) words(call *nameko.Call) error {
	for {
		l.skipSpace()
		if l.atEnd() {
			return nil
		}
		if err := l.argument(call, l.wordValue); err != nil {
			return err
		}
	}
}

// arguments reads arguments that are separated by commas, in parentheses.
func (l *lineReader) arguments(call *nameko.Call) error {
	return l.items('(', ')', func() error { return l.argument(call, l.value) })
}

// argument reads one, which may have a name.
func (l *lineReader) argument(call *nameko.Call, read func() (json.RawMessage, error)) error {
	start := l.pos
	name, isNamed := strings.CutSuffix(keyword.FindString(l.text[l.pos:]), "=")
	if isNamed {
		l.pos += len(name) + len("=")
	}
	value, err := read()
	switch {
	case err != nil:
		return err
	case !isNamed && len(call.Kwargs) > 0:
		l.pos = start
		return l.errorf("an argument without a name comes after one that has one")
	case !isNamed:
		call.Args = append(call.Args, value)
		return nil
	case call.Kwargs[name] != nil:
		l.pos = start
		return l.errorf("%s is given twice", name)
	}
	call.Kwargs[name] = value
	return nil
}
