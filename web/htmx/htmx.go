// Package htmx holds htmx 2.0.11, which lets hangar's web pages exchange a part of
// themselves, as its maker publishes it in the npm package htmx.org. It is under the
// Zero-Clause BSD licence, see LICENSE. To replace it by another version, copy the
// files of that package here.
package htmx

import _ "embed"

// Script defines the one global name htmx. Pages with a strict
// Content-Security-Policy can use it if they set allowEval and
// includeIndicatorStyles to false: it then evaluates nothing and writes no style.
//
//go:embed htmx.min.js
var Script string
