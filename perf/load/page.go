package main

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"html/template"
	"os"
	"strings"

	"hangar/web/uplot"
)

var (
	//go:embed page/page.html
	pageHTML string
	//go:embed page/page.css
	pageStyle string
	//go:embed page/charts.js
	chartsScript string
	//go:embed page/report.js
	reportScript string
	//go:embed page/compare.js
	compareScript string

	pageTemplate = template.Must(template.New("page").Parse(pageHTML))
)

// page is an HTML document in one piece. All that comes from a target is in Data,
// as JSON, and the scripts put it into the document as text, never as HTML.
type page struct {
	Title   string
	Live    bool // asks for summary.json every second
	Data    any  // nil if live
	Styles  []template.CSS
	Scripts []template.JS
}

func newPage(title, script string) page {
	return page{
		Title:   title,
		Styles:  []template.CSS{template.CSS(uplot.Style), template.CSS(pageStyle)},
		Scripts: []template.JS{template.JS(uplot.Script), template.JS(chartsScript), template.JS(script)},
	}
}

func livePageOf(title string) page {
	p := newPage(title, reportScript)
	p.Live = true
	return p
}

func reportPage(title string, s summary) page {
	p := newPage(title, reportScript)
	p.Data = s
	return p
}

func comparePage(title string, a, b summary) page {
	p := newPage(title, compareScript)
	p.Data = map[string]summary{"a": a, "b": b}
	return p
}

// policy is the page's Content-Security-Policy: its own scripts and styles, and
// nothing from anywhere; no text may become HTML or script.
func (p page) policy() string {
	var scripts, styles strings.Builder
	for _, s := range p.Scripts {
		scripts.WriteString(" " + hash(string(s)))
	}
	for _, s := range p.Styles {
		styles.WriteString(" " + hash(string(s)))
	}
	connect := "'none'"
	if p.Live {
		connect = "'self'"
	}
	return "default-src 'none'; script-src" + scripts.String() + "; style-src" + styles.String() +
		"; img-src data:; connect-src " + connect + "; base-uri 'none'; form-action 'none'" +
		"; require-trusted-types-for 'script'; trusted-types 'none'"
}

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

func (p page) render() ([]byte, error) {
	var html bytes.Buffer
	err := pageTemplate.Execute(&html, struct {
		page
		Policy string
	}{p, p.policy()})
	return html.Bytes(), err
}

func writePage(file string, p page) error {
	html, err := p.render()
	if err != nil {
		return err
	}
	return os.WriteFile(file, html, 0o644)
}
