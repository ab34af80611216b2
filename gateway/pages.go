package gateway

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"strings"
	"sync"

	"github.com/goccy/go-yaml"

	"hangar/web"
	"hangar/web/redoc"
	swaggerui "hangar/web/swagger-ui"
)

var (
	//go:embed openapi.yaml
	openAPI []byte

	//go:embed pages
	pageFiles embed.FS
)

// OpenAPI returns the document that describes the API, in YAML.
func OpenAPI() []byte { return bytes.Clone(openAPI) }

// consolePath is the root of the console's pages.
const consolePath = "/console/"

// Policies of the pages that show the API. Redoc makes an empty style element and
// adds rules to that; the hash is of nothing. It also has the font of a few signs in
// its script.
var (
	docsPolicy  = web.Policy()
	redocPolicy = web.Policy("style-src 'self' 'sha256-47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU='", "font-src 'self' data:")
)

// pages is what is for people, and the documents that describe the API. Everybody
// may GET them; the console, if there is one, has all below its path for itself.
func (g *gateway) pages() map[string]http.Handler {
	docs := web.Page(docsPolicy, files{g, "docs", "index.html"})
	reference := web.Page(redocPolicy, files{g, "redoc", "index.html"})
	return map[string]http.Handler{
		"/{$}":          http.HandlerFunc(g.index),
		"/openapi.yaml": files{g, "", "openapi.yaml"},
		"/openapi.json": files{g, "", "openapi.json"},
		"/docs":         docs,
		"/docs/{$}":     docs,
		"/docs/{file}":  web.Page(docsPolicy, files{g, "docs", ""}),
		"/redoc":        reference,
		"/redoc/{$}":    reference,
		"/redoc/{file}": web.Page(redocPolicy, files{g, "redoc", ""}),
	}
}

// index leads browsers to a page, and tells others what there is.
func (g *gateway) index(w http.ResponseWriter, r *http.Request) {
	w.Header().Add("Vary", "Accept")
	if strings.Contains(strings.Join(r.Header.Values("Accept"), ","), "text/html") {
		page := "/docs"
		if g.Console != nil {
			page = consolePath
		}
		http.Redirect(w, r, page, http.StatusFound)
		return
	}
	links := indexBody{
		Products: "/products", Orders: "/orders", OpenAPI: "/openapi.json", Docs: "/docs", Redoc: "/redoc", Live: livePath, Ready: readyPath,
	}
	if g.Console != nil {
		links.Console = consolePath
	}
	answer{body: links}.write(w)
}

// indexBody has the path of each thing there is.
type indexBody struct {
	Products string `json:"products"`
	Orders   string `json:"orders"`
	OpenAPI  string `json:"openapi"`
	Docs     string `json:"docs"`
	Redoc    string `json:"redoc"`
	Console  string `json:"console,omitempty"`
	Live     string `json:"livez"`
	Ready    string `json:"readyz"`
}

// files serves one file of a folder, or without a name the one that the path names.
type files struct {
	g            *gateway
	folder, name string
}

// ServeHTTP implements http.Handler.
func (f files) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name := f.name
	if name == "" {
		name = r.PathValue("file")
	}
	file, ok := folders()[f.folder][name]
	if !ok {
		endpoint{f.g, notFound}.ServeHTTP(w, r)
		return
	}
	file.ServeHTTP(w, r)
}

// folders are the documents, in "", and what each page that shows them is made of.
// They are read when something of them is first asked for. What fails there is part
// of the binary and fails always, so a test that asks for each finds it.
var folders = sync.OnceValue(func() map[string]web.Files {
	asJSON, err := yaml.YAMLToJSON(openAPI)
	if err != nil {
		panic(fmt.Errorf("openapi.yaml: %w", err))
	}
	return map[string]web.Files{
		"":      {"openapi.yaml": web.NewFile("openapi.yaml", openAPI), "openapi.json": web.NewFile("openapi.json", asJSON)},
		"docs":  readFolder("docs", swaggerui.Files),
		"redoc": readFolder("redoc", redoc.Files),
	}
})

// readFolder reads a page's own files, and those of the library that it uses.
func readFolder(name string, library fs.FS) web.Files {
	own, err := fs.Sub(pageFiles, "pages/"+name)
	if err != nil {
		panic(err)
	}
	all := make(web.Files)
	for _, folder := range []fs.FS{own, library} {
		read, err := web.ReadFiles(folder)
		if err != nil {
			panic(err)
		}
		maps.Copy(all, read)
	}
	return all
}
