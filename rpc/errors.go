package rpc

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode"

	"hangar"
	"hangar/nameko"
)

// The exceptions that the Python services raise and expect, and hangar's own
// beside them.
const (
	orderNotFound   = "orders.exceptions.NotFound"
	productNotFound = "products.exceptions.NotFound"
	outOfStock      = "products.exceptions.OutOfStock"
	validationError = "marshmallow.exceptions.ValidationError"
	ownExceptions   = "hangar.exceptions." // and then the code, as a class is spelled
)

// Exceptions that Python services fall over with.
const (
	keyError       = "builtins.KeyError"
	attributeError = "builtins.AttributeError"
	unmappedError  = "sqlalchemy.orm.exc.UnmappedInstanceError"
	integrityError = "sqlalchemy.exc.IntegrityError"
)

// What to do when no answer came.
const (
	tryAgain  = "Try again."
	lookFirst = "Whether it was done is not known: look before you try again."
	sameKey   = "Whether the order was placed is not known: ask again with the same Idempotency-Key."

	sameRestockKey = "Whether the units were added is not known: ask again with the same Idempotency-Key."
)

func pathOf(code hangar.Code) string {
	switch code {
	case hangar.OrderNotFound:
		return orderNotFound
	case hangar.ProductNotFound:
		return productNotFound
	case hangar.OutOfStock:
		return outOfStock
	case hangar.ValidationError:
		return validationError
	}
	var class strings.Builder
	for word := range strings.SplitSeq(string(code), "_") {
		class.WriteString(word[:1] + strings.ToLower(word[1:]))
	}
	return ownExceptions + class.String()
}

// ownClass is how pathOf spells a code, of whatever version of hangar.
var ownClass = regexp.MustCompile(`^([A-Z][a-z0-9]*)+$`)

// codeOf returns "" for an exception that stands for no code.
func codeOf(path string) hangar.Code {
	switch path {
	case orderNotFound:
		return hangar.OrderNotFound
	case productNotFound:
		return hangar.ProductNotFound
	case outOfStock:
		return hangar.OutOfStock
	case validationError:
		return hangar.ValidationError
	}
	class, isOwn := strings.CutPrefix(path, ownExceptions)
	if !isOwn || !ownClass.MatchString(class) {
		return ""
	}
	var code strings.Builder
	for i, letter := range class {
		if i > 0 && unicode.IsUpper(letter) {
			code.WriteByte('_')
		}
		code.WriteRune(unicode.ToUpper(letter))
	}
	return hangar.Code(code.String())
}

// replayed is a refusal that an idempotency key brought back.
type replayed struct{ error }

// Unwrap returns the refusal.
func (r replayed) Unwrap() error { return r.error }

// toWire returns a service's error as it travels: [message, details], or the
// fields of a ValidationError alone, as Python has it. An error that no user may
// see becomes one that nameko logs and hides.
func toWire(err error) error {
	e, ok := errors.AsType[*hangar.Error](err)
	if !ok && hangar.CodeOf(err) == hangar.Unavailable {
		e = &hangar.Error{Code: hangar.Unavailable, Message: "The request took too long. Try again.", Err: err}
	}
	if e == nil || e.Code == hangar.Unexpected {
		return errors.New(err.Error()) // without its causes: one of another service's would be sent on
	}
	w := &nameko.Error{Path: pathOf(e.Code), Value: e.Message, Args: []any{e.Message}}
	switch {
	case e.Code == hangar.ValidationError:
		w.Args = []any{e.Details}
	case e.Code == hangar.OutOfStock:
		w.Args = append(w.Args, readShortages(e.Details))
	case e.Details != nil:
		w.Args = append(w.Args, e.Details)
	}
	if _, ok := errors.AsType[replayed](err); ok {
		for len(w.Args) < 2 {
			w.Args = append(w.Args, nil)
		}
		w.Args = append(w.Args, replayMark{true})
	}
	if e.Err != nil {
		return fmt.Errorf("%w: %w", w, e.Err) // for the log
	}
	return w
}

// busy is what a service answers to a call that it has no room for.
func busy(service string) *nameko.Error {
	message := fmt.Sprintf("The %s service has too much to do. Nothing was done: try again.", service)
	return &nameko.Error{Path: pathOf(hangar.Unavailable), Value: message, Args: []any{message, nil, busyMark{true}}}
}

// busyMark is what such an answer carries beside its message.
type busyMark struct {
	Busy bool `json:"busy"`
}

func isBusy(err error) bool {
	e, ok := errors.AsType[*nameko.Error](err)
	var mark busyMark
	return ok && len(e.Args) > 2 && recode(e.Args[2], &mark) == nil && mark.Busy
}

// replayMark is what an error carries beside its message and details.
type replayMark struct {
	Replayed bool `json:"replayed"`
}

func isReplayed(err error) bool {
	e, ok := errors.AsType[*nameko.Error](err)
	var mark replayMark
	return ok && len(e.Args) > 2 && recode(e.Args[2], &mark) == nil && mark.Replayed
}

// explain returns what came back from nameko as an error of hangar's.
func (p *peer) explain(err error, advice string) error {
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*nameko.Error](err); ok {
		return p.fromWire(e)
	}
	switch {
	case errors.Is(err, nameko.ErrUnknownService), errors.Is(err, nameko.ErrNoBroker), errors.Is(err, errCutOff):
		return &hangar.Error{
			Code:    hangar.Unavailable,
			Message: fmt.Sprintf("The %s service cannot be reached now. Try again.", p.service),
			Err:     err,
		}
	case errors.Is(err, nameko.ErrNoReply), errors.Is(err, nameko.ErrReplyQueueGone),
		errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return &hangar.Error{
			Code:    hangar.Unavailable,
			Message: fmt.Sprintf("The %s service did not answer in time. %s", p.service, advice),
			Err:     err,
		}
	}
	return err
}

func (p *peer) fromWire(e *nameko.Error) error {
	var arg, details any
	if len(e.Args) > 0 {
		arg = e.Args[0]
	}
	if len(e.Args) > 1 {
		details = e.Args[1]
	}
	message, ok := arg.(string)
	if !ok {
		message = e.Value
	}
	switch code := codeOf(e.Path); code {
	case "":
		return &hangar.Error{
			Code:    hangar.Unexpected,
			Message: fmt.Sprintf("The %s service failed.", p.service),
			Err:     fmt.Errorf("%w (%s)", e, e.Path),
		}
	case hangar.ValidationError:
		return hangar.NewValidationError(readFields(arg))
	case hangar.OutOfStock:
		return &hangar.Error{Code: code, Message: message, Details: map[string]hangar.Shortage(readShortages(details))}
	default:
		return &hangar.Error{Code: code, Message: message, Details: details}
	}
}

// cannot returns the error for what an instance of a service has no method for,
// and nothing that would do instead.
func (p *peer) cannot(what string) error {
	return hangar.Errorf(hangar.Unavailable, "The %s service that was asked is not hangar's, and cannot %s.", p.service, what)
}

// readShortages reads the details of an OutOfStock, in whatever form they are.
func readShortages(details any) byProduct[hangar.Shortage] {
	var shortages byProduct[hangar.Shortage]
	if recode(details, &shortages) != nil {
		return nil // the message says it too
	}
	return shortages
}

// readFields reads the complaints of a ValidationError. Python also has it with
// nothing but sentences: they are of the whole, which marshmallow calls _schema.
func readFields(tree any) map[string]any {
	if fields, ok := complaints(tree).(map[string]any); ok {
		return fields
	}
	return map[string]any{"_schema": complaints(tree)}
}

// complaints returns a tree whose leaves are lists of sentences.
func complaints(tree any) any {
	switch tree := tree.(type) {
	case map[string]any:
		fields := make(map[string]any, len(tree))
		for name, deeper := range tree {
			fields[name] = complaints(deeper)
		}
		return fields
	case []any:
		sentences := make([]string, len(tree))
		for i, sentence := range tree {
			sentences[i] = fmt.Sprint(sentence)
		}
		return sentences
	}
	return []string{fmt.Sprint(tree)}
}
