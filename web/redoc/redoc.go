// Package redoc holds Redoc 3.0.1, which makes a reference of an OpenAPI document,
// as its makers publish it in the npm package redoc, but for their logo, which it
// would fetch from their server. It is under the MIT licence, see LICENSE; what is in
// it of others is named in the script. update.sh in the folder above takes it anew.
//
// Unless it is told otherwise it reports to its makers how it is used.
package redoc

import "embed"

// Files are redoc.standalone.js, a module, with .gz at the end.
//
//go:embed *.gz
var Files embed.FS
