// Package uplot holds uPlot 1.6.32, which draws the charts of hangar's web pages,
// as its maker publishes it in the npm package uplot. It is under the MIT licence,
// see LICENSE. To replace it by another version, copy the files of that package here.
package uplot

import _ "embed"

// Script defines the one global name uPlot. It writes no HTML and no style
// elements, so that pages with a strict Content-Security-Policy can use it.
//
//go:embed uPlot.iife.min.js
var Script string

// Style is what the charts need of CSS.
//
//go:embed uPlot.min.css
var Style string
