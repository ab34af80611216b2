// Package swaggerui holds Swagger UI 5.35.0, which shows an OpenAPI document and
// tries out what it describes, as its makers publish it in the npm package
// swagger-ui-dist. It is under the Apache License 2.0; see LICENSE, NOTICE, and for
// what is in it of others swagger-ui-bundle.js.LICENSE.txt. update.sh in the folder
// above takes it anew.
package swaggerui

import "embed"

// Files are swagger-ui-bundle.js, which defines the global name SwaggerUIBundle, and
// swagger-ui.css; both with .gz at the end.
//
//go:embed *.gz
var Files embed.FS
