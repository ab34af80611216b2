package console

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"html/template"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"

	"hangar/gateway"
	"hangar/web/htmx"
	"hangar/web/uplot"
)

//go:embed templates static
var files embed.FS

// htmxConfig makes htmx fit for the content policy, keep no copies of pages, show
// answers that are errors too, and finish at once what it exchanges: by default the
// focus moves later, away from where one types meanwhile.
const htmxConfig = `{"allowEval":false,"allowScriptTags":false,"includeIndicatorStyles":false,"historyCacheSize":0,` +
	`"refreshOnHistoryMiss":true,"defaultSettleDelay":0,"responseHandling":[{"code":".*","swap":true}]}`

// page is what a request is answered with: a template with its data, or a
// redirect.
type page struct {
	status   int    // 0 is 200
	template string // its file's name without .html
	title    string
	section  string // of the navigation
	part     bool   // of a page: without the layout
	problem  *problem
	data     any
	redirect string // URL to go on to
	err      error  // the cause of what the page says, for the log
}

// layout is what the layout's template shows around a page.
type layout struct {
	Title      string
	Section    string
	Sections   []link
	Notice     string
	Problem    *problem
	HTMXConfig string
	Data       any
}

// link leads to a part of the console.
type link struct {
	Name    string
	URL     string
	Current bool
}

// looks are the templates and the files that pages refer to.
type looks struct {
	pages  map[string]*template.Template
	assets map[string]asset
}

// asset is a file that never changes under the same URL: the URL has its hash.
type asset struct {
	content     []byte
	contentType string
	hash        string
}

func newLooks() *looks {
	l := &looks{pages: map[string]*template.Template{}, assets: map[string]asset{}}
	l.add("htmx.js", []byte(htmx.Script))
	l.add("uplot.js", []byte(uplot.Script))
	l.add("uplot.css", []byte(uplot.Style))
	for _, name := range mustGlob("static/*") {
		l.add(path.Base(name), mustRead(name))
	}
	functions := template.FuncMap{
		"asset": l.url, "count": count, "money": money, "productURL": productURL, "orderURL": newOrderURL,
	}
	base := template.Must(template.New("").Funcs(functions).ParseFS(files, "templates/layout.html"))
	for _, name := range mustGlob("templates/*") {
		t := template.Must(template.Must(base.Clone()).ParseFS(files, name))
		l.pages[strings.TrimSuffix(path.Base(name), ".html")] = t
	}
	return l
}

// mustGlob and mustRead cannot fail: the files are in the binary.
func mustGlob(pattern string) []string {
	names, err := fs.Glob(files, pattern)
	if err != nil {
		panic(err)
	}
	return names
}

func mustRead(name string) []byte {
	content, err := files.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return content
}

func (l *looks) add(name string, content []byte) {
	types := map[string]string{".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
	sum := sha256.Sum256(content)
	l.assets[name] = asset{content, types[path.Ext(name)], hex.EncodeToString(sum[:8])}
}

// url fails for a file that there is not, so that no page refers to one.
func (l *looks) url(name string) (string, error) {
	a, ok := l.assets[name]
	if !ok {
		return "", fmt.Errorf("there is no asset %s", name)
	}
	return "/console/static/" + name + "?v=" + a.hash, nil
}

func (l *looks) serveAsset(w http.ResponseWriter, r *http.Request) {
	a, ok := l.assets[r.PathValue("name")]
	if !ok {
		http.Error(w, "There is no such file.", http.StatusNotFound)
		return
	}
	header := w.Header()
	header.Set("Content-Type", a.contentType)
	header.Set("Cache-Control", "public, max-age=31536000, immutable")
	if r.URL.Query().Get("v") != a.hash {
		header.Set("Cache-Control", "no-cache") // asked for by another version's page
	}
	header.Set("Content-Length", strconv.Itoa(len(a.content)))
	_, _ = w.Write(a.content) // if the client is gone, nobody is left to tell
}

// write answers with a page. It is made whole before anything of it is sent.
func (l *looks) write(w http.ResponseWriter, r *http.Request, p page) {
	if p.redirect != "" {
		http.Redirect(w, r, p.redirect, http.StatusSeeOther)
		return
	}
	var body bytes.Buffer
	if err := l.render(&body, r, p); err != nil {
		gateway.NoteError(w, fmt.Errorf("make the page %s: %w", p.template, err))
		http.Error(w, "The page could not be made. The log has the cause under this answer's X-Request-Id.", http.StatusInternalServerError)
		return
	}
	header := w.Header()
	if p.template == "failure" { // it has none of the parts that a script asked for
		header.Set("HX-Retarget", "#main")
		header.Set("HX-Reselect", "#main")
		header.Set("HX-Reswap", "outerHTML")
	}
	header.Set("Cache-Control", "private, no-cache")
	header.Set("Content-Type", "text/html; charset=utf-8")
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	if p.status == http.StatusServiceUnavailable {
		header.Set("Retry-After", "1")
	}
	w.WriteHeader(max(p.status, http.StatusOK))
	_, _ = w.Write(body.Bytes()) // if the client is gone, nobody is left to tell
}

func (l *looks) render(body *bytes.Buffer, r *http.Request, p page) error {
	t := l.pages[p.template]
	if p.part {
		return t.ExecuteTemplate(body, p.template+".html", p.data)
	}
	return t.ExecuteTemplate(body, "layout", layout{
		Title:      p.title,
		Section:    p.section,
		Sections:   sections(p.section),
		Notice:     notices[r.URL.Query().Get("notice")],
		Problem:    p.problem,
		HTMXConfig: htmxConfig,
		Data:       p.data,
	})
}

// The sections of the navigation.
const (
	productsSection = "Products"
	ordersSection   = "Orders"
	liveSection     = "Live"
)

func sections(current string) []link {
	links := []link{
		{Name: productsSection, URL: productsURL},
		{Name: ordersSection, URL: ordersURL},
		{Name: liveSection, URL: "/console/live"},
		{Name: "API docs", URL: "/docs"},
	}
	for i := range links {
		links[i].Current = links[i].Name == current
	}
	return links
}

// notices are the sentences that a page may begin with, by the parameter notice
// of its URL. So no link can make it say anything else.
var notices = map[string]string{
	"created":   "The product was created.",
	"saved":     "The details were saved.",
	"restocked": "The stock was added.",
	"again":     "This had been done already, and was not done twice.",
	"deleted":   "The product was deleted.",
	"placed":    "The order was placed.",
	"cancelled": "The order was cancelled, and its stock is back.",
}

func withNotice(url, notice string) string { return url + "?notice=" + notice }
