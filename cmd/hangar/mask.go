package main

import (
	"regexp"
	"strings"
)

const masked = "***"

var (
	scheme            = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]*://`)
	passwordParameter = regexp.MustCompile(`(?i)([?&;][^=&;]*(?:pass|pwd|secret|token)[^=&;]*=)[^&;]*`)
)

// mask hides the password of a URL. It errs on the side of hiding too much: the
// text need not be a URL, and a password that should have been escaped may hold
// any character.
func mask(text string) string {
	// The user's password first: it may hold what looks like a parameter.
	return passwordParameter.ReplaceAllString(maskUser(text), "${1}"+masked)
}

func maskUser(text string) string {
	start := len(scheme.FindString(text))
	end := strings.LastIndex(text, "@")
	if end < start {
		return text
	}
	user, _, found := strings.Cut(text[start:end], ":")
	if !found {
		return text
	}
	return text[:start] + user + ":" + masked + text[end:]
}
