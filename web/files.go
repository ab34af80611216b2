package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"path"
	"strings"
	"time"
)

// Files are files by their names.
type Files map[string]File

// ReadFiles reads the files at the top of a folder that is part of the binary. One
// whose name ends with .gz is known under the name without.
func ReadFiles(folder fs.FS) (Files, error) {
	entries, err := fs.ReadDir(folder, ".")
	if err != nil {
		return nil, err
	}
	files := make(Files, len(entries))
	for _, entry := range entries {
		content, err := fs.ReadFile(folder, entry.Name())
		if err != nil {
			return nil, err
		}
		name, compressed := strings.CutSuffix(entry.Name(), ".gz")
		f := NewFile(name, content)
		f.compressed = compressed
		files[name] = f
	}
	return files, nil
}

// File is served as it is. What is kept compressed is sent so to those that take it,
// and unpacked to others. A browser keeps what it got, and asks each time whether it
// is still the same.
type File struct {
	content     []byte
	contentType string
	tag         string // of the content, however it is sent
	compressed  bool   // with gzip
}

// contentTypes maps the ends of names to types. The standard library's map depends
// on the machine.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
	".yaml": "application/yaml",
}

// NewFile returns a file with that content, whose type the end of its name tells.
func NewFile(name string, content []byte) File {
	sum := sha256.Sum256(content)
	tag := `W/"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`
	return File{content: content, contentType: contentTypes[path.Ext(name)], tag: tag}
}

// ServeHTTP implements http.Handler.
func (f File) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Content-Type", f.contentType)
	header.Set("ETag", f.tag)
	header.Set("Cache-Control", "no-cache") // which is to keep it, and to ask
	content := f.content
	if f.compressed {
		header.Add("Vary", "Accept-Encoding")
		if takesGzip(r) {
			header.Set("Content-Encoding", "gzip")
		} else {
			content = unpack(content)
		}
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
}

// takesGzip reports whether a client names gzip among the encodings that it takes.
func takesGzip(r *http.Request) bool {
	for encoding := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		name, weight, _ := strings.Cut(strings.ReplaceAll(encoding, " ", ""), ";")
		if strings.EqualFold(name, "gzip") {
			return strings.TrimRight(weight, "0.") != "q=" // a weight of zero forbids it
		}
	}
	return false
}

// unpack returns what was compressed when hangar was built.
func unpack(content []byte) []byte {
	var unpacked bytes.Buffer
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err == nil {
		_, err = io.Copy(&unpacked, reader)
	}
	if err != nil {
		panic(fmt.Errorf("a file of the binary is damaged: %w", err))
	}
	return unpacked.Bytes()
}
