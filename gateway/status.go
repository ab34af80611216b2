package gateway

import (
	"net/http"

	"hangar"
)

// ErrorAnswer returns what a person or a program may see of an error, and the
// status that goes with it. It says nothing of the inside.
func ErrorAnswer(err error) (status int, e *hangar.Error) { return errorAnswer(err) }

// NoteError keeps the cause of an answer for the request's line in the log. What
// handlers beside the API answer with an error, they note so.
func NoteError(w http.ResponseWriter, err error) { noteError(w, err) }

// NoteRepeated says that the request is one of many that a page makes by itself: its
// line in the log is at level debug, unless it is answered with 5xx.
func NoteRepeated(w http.ResponseWriter) {
	if rec, ok := w.(*recorder); ok {
		rec.quiet = true
	}
}
