package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"hangar"
)

// FuzzDecodeJSON compares with what encoding/json reads. That takes more: broken
// UTF-8, names that come twice, any depth.
func FuzzDecodeJSON(f *testing.F) {
	for _, seed := range []string{
		`{"a": [1, 2.50, -0, 1e400, "x\u0000\ud83d\ude80", null, true, {}]}`, `[]`, `1`, `"\ud800"`, `{"a":1,"a":2}`, "\"\xff\"",
		`[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]`, `[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]`, ` 1 2`, "", "\n", "\ufeff{}", `{"A":1,"a":2}`, `01`, `NaN`, `{"a"}`, `{`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := decodeJSON(bytes.Clone(body))
		want, wantErr := decodeWithStandardLibrary(body)
		if err != nil {
			if hangar.CodeOf(err) != hangar.BadRequest {
				t.Fatalf("decodeJSON(%q): %v with code %s, want BAD_REQUEST", body, err, hangar.CodeOf(err))
			}
			if wantErr == nil && isStrict(body) {
				t.Fatalf("decodeJSON(%q): %v, want %v", body, err, want)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("decodeJSON(%q) = %v, want the error %v", body, got, wantErr)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("decodeJSON(%q) (-want +got):\n%s", body, diff)
		}
	})
}

func decodeWithStandardLibrary(body []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("more than one value")
	}
	return v, nil
}

// isStrict reports whether nothing in a body is left open by RFC 8259: no text
// that is in doubt, few names, and little depth.
func isStrict(body []byte) bool {
	return utf8.Valid(body) && !bytes.Contains(body, []byte(`\u`)) && bytes.Count(body, []byte(":")) < 2 &&
		bytes.Count(body, []byte("["))+bytes.Count(body, []byte("{")) <= maxDepth
}
