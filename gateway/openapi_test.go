package gateway_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"hangar/gateway"
	"hangar/hangartest/openapi"
)

func TestEveryRouteIsDescribed(t *testing.T) {
	want := make(map[string][]string)
	for path, methods := range gateway.Routes() {
		path = strings.TrimSuffix(path, "{$}")
		if path != "/" {
			path = strings.TrimSuffix(path, "/") // which makes no difference
		}
		slices.Sort(methods)
		want[path] = methods
	}
	got := openapi.Paths()
	for _, methods := range got {
		slices.Sort(methods)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what openapi.yaml has of paths and methods (-served +described):\n%s", diff)
	}
}

// Each code is in the list of codes, in the table of the introduction, and in the
// answer of some operation.
func TestEveryCodeIsDescribed(t *testing.T) {
	var document struct {
		Info       struct{ Description string }
		Paths      any
		Components struct {
			Schemas   map[string]any
			Responses any
		}
	}
	if err := yaml.Unmarshal(gateway.OpenAPI(), &document); err != nil {
		t.Fatal(err)
	}
	schemas := document.Components.Schemas
	var described []string
	code, _ := schemas["Code"].(map[string]any)
	enum, _ := code["enum"].([]any)
	for _, code := range enum {
		described = append(described, code.(string))
	}
	slices.Sort(described)
	delete(schemas, "Code")
	answers, err := yaml.Marshal([]any{document.Paths, document.Components.Responses, schemas})
	if err != nil {
		t.Fatal(err)
	}
	codes := definedCodes(t)
	if diff := cmp.Diff(codes, described); diff != "" {
		t.Errorf("codes (-defined +described):\n%s", diff)
	}
	for _, code := range codes {
		if !strings.Contains(document.Info.Description, "| `"+code+"` |") {
			t.Errorf("the introduction does not explain %s", code)
		}
		if !strings.Contains(string(answers), code) {
			t.Errorf("no operation answers %s", code)
		}
	}
}

// definedCodes returns the codes that error.go defines, sorted.
func definedCodes(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../error.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var codes []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); !ok || typ.Name != "Code" {
			return true
		}
		for _, value := range spec.Values {
			code, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes = append(codes, code)
		}
		return true
	})
	slices.Sort(codes)
	if len(codes) < 10 {
		t.Fatalf("found the codes %v in error.go, want all", codes)
	}
	return codes
}
