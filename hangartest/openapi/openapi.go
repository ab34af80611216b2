// Package openapi holds what goes to and from a gateway against openapi.yaml, so
// that the document names all there is, and nothing else.
package openapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/pb33f/go-yaml"
	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	"github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	"github.com/pb33f/libopenapi/datamodel/high/base"
	v3 "github.com/pb33f/libopenapi/datamodel/high/v3"
	"github.com/pb33f/libopenapi/orderedmap"

	"hangar/gateway"
)

// Client returns a client that fails the test with each answer that the document
// does not describe: its path, method, status, header, or a member that is not
// named. A request must be as described if it is answered with success; and where
// the document says so exactly, one that is must not be refused as not valid.
func Client(t testing.TB) *http.Client {
	return &http.Client{Transport: transport{t}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type transport struct{ t testing.TB }

// RoundTrip implements http.RoundTripper.
func (tr transport) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		var err error
		if sent, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
		r.Body.Close()
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	for _, complaint := range Check(r, sent, resp, body) {
		tr.t.Errorf("%s %s %.200q was answered %d %.300q, which is not as openapi.yaml has it: %s",
			r.Method, r.URL.RequestURI(), sent, resp.StatusCode, body, complaint)
	}
	return resp, nil
}

// Check returns what is not as the document has it in a request and its answer,
// with their bodies.
func Check(r *http.Request, sent []byte, resp *http.Response, body []byte) []string {
	d := readDocument()
	path, item := d.find(r.URL.EscapedPath())
	asked := r.Clone(r.Context())
	if asked.Method == http.MethodHead {
		asked.Method = http.MethodGet
	}
	if item == nil || !slices.Contains(Methods(item), asked.Method) {
		path, item, asked.Method = "any other", d.other, http.MethodGet
	}
	answered := *resp
	complaints := d.checkAnswer(asked, &answered, body, item, path, r.Method == http.MethodHead)
	if item == d.other {
		return complaints
	}
	asked.Body = io.NopCloser(bytes.NewReader(sent))
	asked.Header.Set("Content-Type", "application/json") // any is read as that
	if query := asked.URL.Query(); query.Has("status") && query.Get("status") == "" {
		query.Del("status") // as good as none
		asked.URL.RawQuery = query.Encode()
	}
	valid, errs := d.validator.ValidateHttpRequestSyncWithPathItem(asked, item, path)
	named := parametersOf(item, asked.Method)
	for name := range asked.URL.Query() {
		if !slices.Contains(named, name) {
			complaints = append(complaints, "the parameter "+name+" is not named")
		}
	}
	switch {
	case resp.StatusCode < 300 && !valid:
		return append(complaints, "the request is not valid, but was not refused: "+strings.Join(describe(errs), "; "))
	case resp.StatusCode == http.StatusBadRequest && valid && isExact(r) && bytes.Contains(body, []byte(`"VALIDATION_ERROR"`)):
		return append(complaints, "the request is valid, but was refused")
	}
	return complaints
}

// isExact reports whether the document tells exactly which requests of a kind are
// valid. It does not where that depends on what is stored or on how large a price
// is, nor of text that is no UTF-8.
func isExact(r *http.Request) bool {
	query, err := url.QueryUnescape(r.URL.RawQuery)
	return err == nil && utf8.ValidString(query) && (r.Method == http.MethodGet || r.URL.Path == "/products")
}

func parametersOf(item *v3.PathItem, method string) []string {
	var names []string
	for _, parameter := range append(slices.Clone(item.Parameters), operation(item, method).Parameters...) {
		names = append(names, parameter.Name)
	}
	return names
}

func (d *document) checkAnswer(r *http.Request, resp *http.Response, body []byte, item *v3.PathItem, path string, head bool) []string {
	var complaints []string
	declared := operation(item, r.Method).Responses.Codes.GetOrZero(strconv.Itoa(resp.StatusCode))
	switch {
	case declared == nil:
		return []string{"the status is not named"}
	case head || orderedmap.Len(declared.Content) == 0:
		if len(body) > 0 {
			complaints = append(complaints, "the answer has a body")
		}
		// Only the header is left to look at.
		item = only(&v3.Response{Headers: declared.Headers}, resp.StatusCode)
		r = r.Clone(r.Context())
		r.Method = http.MethodGet
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	for name := range resp.Header {
		named := slices.ContainsFunc(slices.Collect(declared.Headers.KeysFromOldest()), func(n string) bool { return strings.EqualFold(n, name) })
		if !named && !slices.Contains(pageHeaders, name) {
			complaints = append(complaints, "the header "+name+" is not named")
		}
	}
	_, errs := d.validator.GetResponseBodyValidator().ValidateResponseBodyWithPathItem(r, resp, item, path)
	return append(complaints, describe(errs)...)
}

func describe(errs []*errors.ValidationError) []string {
	var all []string
	for _, err := range errs {
		text := err.Message + ": " + err.Reason
		for _, failure := range err.SchemaValidationErrors {
			text += fmt.Sprintf(" (%s: %s)", failure.FieldPath, failure.Reason)
		}
		all = append(all, text)
	}
	return all
}

// document is openapi.yaml.
type document struct {
	model     *v3.Document
	validator validator.Validator
	other     *v3.PathItem // what every path and method answers that has no operation
}

// pageHeaders are those of pages, and of how a body is sent. They are not the API's.
var pageHeaders = []string{
	"Cache-Control", "Connection", "Content-Encoding", "Content-Length", "Content-Type", "Date", "Vary",
	"Content-Security-Policy", "Cross-Origin-Opener-Policy", "Cross-Origin-Resource-Policy", "Permissions-Policy", "Referrer-Policy",
	"X-Content-Type-Options", "Accept-Ranges",
}

var readDocument = sync.OnceValue(func() *document {
	parsed, err := libopenapi.NewDocument(gateway.OpenAPI())
	if err != nil {
		panic(err)
	}
	model, err := parsed.BuildV3Model()
	if err != nil {
		panic(err)
	}
	v := validator.NewValidatorFromV3Model(&model.Model, config.WithFormatAssertions())
	v.SetDocument(parsed)
	d := &document{model: &model.Model, validator: v}
	responses := model.Model.Components.Responses
	d.other = only(responses.GetOrZero("NotFound"), http.StatusNotFound)
	d.other.Get.Responses.Codes.Set("405", responses.GetOrZero("MethodNotAllowed"))
	d.other.Get.Responses.Codes.Set("503", responses.GetOrZero("Unavailable"))
	return d
})

// only returns a path whose GET has that one answer.
func only(response *v3.Response, status int) *v3.PathItem {
	codes := orderedmap.New[string, *v3.Response]()
	codes.Set(strconv.Itoa(status), response)
	return &v3.PathItem{Get: &v3.Operation{Responses: &v3.Responses{Codes: codes}}}
}

// find returns the path of the document that a request's path is one of, nil for
// none.
func (d *document) find(path string) (template string, item *v3.PathItem) {
	for template, item := range d.model.Paths.PathItems.FromOldest() {
		if matches(template, path) {
			return template, item
		}
	}
	return "", nil
}

func matches(template, path string) bool {
	if path != "/" {
		path = strings.TrimSuffix(path, "/") // which makes no difference
	}
	wanted, got := strings.Split(template, "/"), strings.Split(path, "/")
	return slices.EqualFunc(wanted, got, func(want, got string) bool {
		return want == got || strings.HasPrefix(want, "{") && got != ""
	})
}

// Methods returns the methods of a path, in capitals.
func Methods(item *v3.PathItem) []string {
	var methods []string
	for method := range item.GetOperations().KeysFromOldest() {
		methods = append(methods, strings.ToUpper(method))
	}
	return methods
}

func operation(item *v3.PathItem, method string) *v3.Operation {
	return item.GetOperations().GetOrZero(strings.ToLower(method))
}

// Paths returns the paths of the document, each with its methods.
func Paths() map[string][]string {
	paths := make(map[string][]string)
	for path, item := range readDocument().model.Paths.PathItems.FromOldest() {
		paths[path] = Methods(item)
	}
	return paths
}

// CheckDocument returns what is wrong with the document by itself: where it is no
// OpenAPI, each example that is not as its schema says, and each answer that may have
// members that are not named.
func CheckDocument() []string {
	d := readDocument()
	_, errs := d.validator.ValidateDocument()
	complaints := describe(errs)
	check := func(where string, contents *orderedmap.Map[string, *v3.MediaType]) {
		for mediaType, content := range contents.FromOldest() {
			examples := []*yaml.Node{content.Example}
			for example := range content.Examples.ValuesFromOldest() {
				examples = append(examples, example.Value)
			}
			for _, example := range examples {
				if example == nil {
					continue
				}
				var value any
				if err := example.Decode(&value); err != nil {
					complaints = append(complaints, fmt.Sprintf("%s, %s: %v", where, mediaType, err))
					continue
				}
				_, errs := schema_validation.NewSchemaValidator().ValidateSchemaObject(content.Schema.Schema(), value)
				for _, complaint := range describe(errs) {
					complaints = append(complaints, fmt.Sprintf("%s, %s: %s", where, mediaType, complaint))
				}
			}
		}
	}
	for path, item := range d.model.Paths.PathItems.FromOldest() {
		for method, operation := range item.GetOperations().FromOldest() {
			if operation.RequestBody != nil {
				check(method+" "+path, operation.RequestBody.Content)
			}
			for status, response := range operation.Responses.Codes.FromOldest() {
				for _, content := range response.Content.FromOldest() {
					complaints = append(complaints, open(method+" "+path+" "+status, content.Schema.Schema(), 0)...)
				}
				check(method+" "+path+" "+status, response.Content)
			}
		}
	}
	return complaints
}

// open returns where a schema of an answer lets members pass that it does not name.
func open(where string, schema *base.Schema, depth int) []string {
	const enough = 8 // levels; complaints have complaints in them
	if depth > enough {
		return nil
	}
	var complaints []string
	if slices.Contains(schema.Type, "object") && schema.AdditionalProperties == nil {
		complaints = append(complaints, where+": an object without additionalProperties")
	}
	next := slices.Concat(schema.AllOf, schema.OneOf, schema.AnyOf)
	if schema.Items != nil && schema.Items.IsA() {
		next = append(next, schema.Items.A)
	}
	if schema.AdditionalProperties != nil && schema.AdditionalProperties.IsA() {
		next = append(next, schema.AdditionalProperties.A)
	}
	for name, member := range schema.Properties.FromOldest() {
		complaints = append(complaints, open(where+" "+name, member.Schema(), depth+1)...)
	}
	for _, proxy := range next {
		complaints = append(complaints, open(where, proxy.Schema(), depth+1)...)
	}
	return complaints
}
