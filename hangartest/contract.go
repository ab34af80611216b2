package hangartest

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"hangar/hangartest/openapi"
)

//go:embed testdata/http.json
var httpContract []byte

// contractCase is a request, and what the answer to it must be.
type contractCase struct {
	Request struct {
		Method, Path, Body string
	}
	Want struct {
		Status  int
		Error   string
		Message string
		Details any
		JSON    any
	}
}

// TestHTTPContract sends the recorded requests to an empty store at that URL, in
// their order, and compares what it answers with what is wanted: equal error,
// message and details, and a body that has at least the wanted members; openapi.yaml
// must describe all of it.
func TestHTTPContract(t *testing.T, url string) {
	var contract struct{ Cases []contractCase }
	if err := json.Unmarshal(httpContract, &contract); err != nil {
		t.Fatal(err)
	}
	if len(contract.Cases) == 0 {
		t.Fatal("the contract has no cases")
	}
	last := "" // the id of the last order created
	for i, c := range contract.Cases {
		c.Request.Path = strings.ReplaceAll(c.Request.Path, "{last}", last)
		name := fmt.Sprintf("%02d %s %s", i, c.Request.Method, c.Request.Path)
		status, body := send(t, url, c)
		t.Run(name, func(t *testing.T) { c.check(t, status, body, last) })
		if created, ok := body.(map[string]any); ok && status == http.StatusOK &&
			c.Request.Method == http.MethodPost && c.Request.Path == "/orders" {
			last = fmt.Sprint(created["id"])
		}
	}
}

func send(t *testing.T, url string, c contractCase) (status int, body any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), c.Request.Method, url+c.Request.Path, strings.NewReader(c.Request.Body))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := openapi.Client(t).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	decoder := json.NewDecoder(resp.Body)
	decoder.UseNumber()
	if err := decoder.Decode(&body); err != nil && err != io.EOF {
		t.Fatalf("%s %s answered %d and a body that is no JSON: %v", c.Request.Method, c.Request.Path, resp.StatusCode, err)
	}
	if id := resp.Header.Get("X-Request-Id"); id == "" {
		t.Errorf("%s %s was answered without X-Request-Id", c.Request.Method, c.Request.Path)
	}
	return resp.StatusCode, body
}

func (c contractCase) check(t *testing.T, status int, body any, last string) {
	if status != c.Want.Status {
		t.Fatalf("%q answered %d %v, want %d", c.Request.Body, status, body, c.Want.Status)
	}
	if c.Want.JSON != nil && !contains(body, c.Want.JSON, last) {
		t.Errorf("%q answered %v, want at least %v", c.Request.Body, body, c.Want.JSON)
	}
	members, _ := body.(map[string]any)
	if c.Want.Error != "" && members["error"] != c.Want.Error {
		t.Errorf("%q answered the error %v, want %s", c.Request.Body, members["error"], c.Want.Error)
	}
	if c.Want.Error != "" && members["message"] == "" {
		t.Errorf("%q answered an error without a message", c.Request.Body)
	}
	if c.Want.Message != "" && members["message"] != c.Want.Message {
		t.Errorf("%q answered the message %q, want %q", c.Request.Body, members["message"], c.Want.Message)
	}
	if c.Want.Details != nil {
		if diff := cmp.Diff(c.Want.Details, members["details"]); diff != "" {
			t.Errorf("%q answered other details than wanted (-want +got):\n%s", c.Request.Body, diff)
		}
	}
}

// contains reports whether got has at least what want has. "<integer>" stands
// for any integer, "<last>" for the id of the last order.
func contains(got, want any, last string) bool {
	switch want := want.(type) {
	case map[string]any:
		got, ok := got.(map[string]any)
		for name, value := range want {
			ok = ok && contains(got[name], value, last)
		}
		return ok
	case []any:
		got, ok := got.([]any)
		ok = ok && len(got) == len(want)
		for i := 0; ok && i < len(want); i++ {
			ok = contains(got[i], want[i], last)
		}
		return ok
	case string:
		number, _ := got.(json.Number)
		switch want {
		case "<integer>":
			_, err := number.Int64()
			return err == nil
		case "<last>":
			return number.String() == last
		}
		return got == want
	case float64:
		return fmt.Sprint(got) == fmt.Sprint(want)
	}
	return got == want
}
