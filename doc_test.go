package hangar_test

import (
	"encoding/json"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// contractCase is a body of the HTTP contract, and what is wrong with it.
type contractCase struct {
	Body    string
	Details any
}

func contractCases(t testing.TB, name string) []contractCase {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var cases []contractCase
	if err := json.Unmarshal(b, &cases); err != nil || len(cases) == 0 {
		t.Fatalf("testdata/%s has %d cases, error %v", name, len(cases), err)
	}
	return cases
}

// The domain depends on nothing: not on a technology, and not on the packages
// around it.
func TestImportsAreOfTheStandardLibrary(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		checked++
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			// Paths outside the standard library begin with a domain, or with
			// the name of this module.
			first, _, _ := strings.Cut(path, "/")
			if strings.Contains(first, ".") || first == "hangar" {
				t.Errorf("%s imports %s, want the standard library only", name, path)
			}
		}
	}
	if checked == 0 {
		t.Error("no files to check")
	}
}
