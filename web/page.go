// Package web is what hangar's web pages have in common: headers that keep a page
// to itself, and files that are part of the binary. Its folders hold the libraries
// of others that pages use, each as its maker publishes it, with its licence; pages
// load nothing from anywhere else.
package web

import (
	"net/http"
	"strings"
)

// policy is what a page may do unless it asks for more: use scripts, styles,
// pictures and answers of its own origin, and nothing that is written into it.
var policy = []string{
	"default-src 'none'",
	"script-src 'self'",
	"style-src 'self'",
	"img-src 'self' data:",
	"font-src 'self'",
	"connect-src 'self'",
	"form-action 'self'",
	"base-uri 'none'",
	"frame-ancestors 'none'",
}

// Policy returns the Content-Security-Policy of a page. Each of the directives,
// such as "img-src 'self' https://images.example", stands instead of the one of its
// name.
func Policy(directives ...string) string {
	all := append([]string(nil), policy...)
next:
	for _, directive := range directives {
		name, _, _ := strings.Cut(directive, " ")
		for i := range all {
			if strings.HasPrefix(all[i], name+" ") {
				all[i] = directive
				continue next
			}
		}
		all = append(all, directive)
	}
	return strings.Join(all, "; ")
}

// Page gives what next answers the headers of a page with that policy: no other
// page may embed it, script it or read it, browsers take each answer for what it
// says it is, and the page gets at no device.
func Page(policy string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", policy)
		header.Set("X-Content-Type-Options", "nosniff")
		// Not "no-referrer": browsers then name no origin when a form is sent, by which
		// forged ones are told apart.
		header.Set("Referrer-Policy", "same-origin")
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Permissions-Policy", "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()")
		next.ServeHTTP(w, r)
	})
}
