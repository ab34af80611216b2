package gateway

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"hangar"
)

// Limits of a request's body.
const (
	maxBody  = 1 << 20 // bytes
	maxDepth = 16      // of nested arrays and objects; an order needs 3
)

// readJSON reads the body as one JSON value: nil, bool, string, json.Number,
// []any or map[string]any. Whatever RFC 8259 leaves open is refused: broken
// UTF-8, a name that comes twice in an object, anything after the value.
// Errors: BadRequest, BodyTooLarge.
func readJSON(r *http.Request) (any, error) {
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return nil, hangar.Errorf(hangar.BodyTooLarge, "The body is larger than %d bytes.", maxBody)
	}
	if err != nil {
		return nil, &hangar.Error{Code: hangar.BadRequest, Message: "The body could not be read.", Err: err}
	}
	return decodeJSON(body)
}

func decodeJSON(body []byte) (any, error) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil, hangar.Errorf(hangar.BadRequest, "Invalid json: the body is empty.")
	}
	d := jsontext.NewDecoder(bytes.NewBuffer(body))
	v, err := decodeValue(d)
	if err != nil {
		return nil, invalidJSON(err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, hangar.Errorf(hangar.BadRequest, "Invalid json: more data after the value, at byte %d.", d.InputOffset())
	}
	return v, nil
}

var errTooDeep = errors.New("nested too deep")

func decodeValue(d *jsontext.Decoder) (any, error) {
	if d.StackDepth() > maxDepth {
		return nil, errTooDeep
	}
	token, err := d.ReadToken()
	if err != nil {
		return nil, err
	}
	switch token.Kind() {
	case 'n':
		return nil, nil
	case 't', 'f':
		return token.Bool(), nil
	case '"':
		return token.String(), nil
	case '0':
		return json.Number(token.String()), nil
	case '[':
		return decodeArray(d)
	default:
		return decodeObject(d)
	}
}

func decodeArray(d *jsontext.Decoder) (any, error) {
	values := []any{}
	for d.PeekKind() != ']' {
		v, err := decodeValue(d)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	_, err := d.ReadToken()
	return values, err
}

func decodeObject(d *jsontext.Decoder) (any, error) {
	members := make(map[string]any, 8)
	for d.PeekKind() != '}' {
		token, err := d.ReadToken()
		if err != nil {
			return nil, err
		}
		name := token.String()
		if members[name], err = decodeValue(d); err != nil {
			return nil, err
		}
	}
	_, err := d.ReadToken()
	return members, err
}

func invalidJSON(err error) error {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return hangar.Errorf(hangar.BadRequest, "Invalid json: %v, at byte %d.", syntax.Err, syntax.ByteOffset)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return hangar.Errorf(hangar.BadRequest, "Invalid json: it ends in the middle of a value.")
	}
	return hangar.Errorf(hangar.BadRequest, "Invalid json: %v.", err)
}

// orderID reads the path's id. What is no number is no route.
func orderID(r *http.Request) (int64, error) {
	literal := r.PathValue("id")
	for _, c := range literal {
		if c < '0' || c > '9' {
			_, err := notFound(r)
			return 0, err
		}
	}
	id, err := strconv.ParseInt(literal, 10, 64)
	if err != nil {
		return 0, hangar.NewOrderNotFound(literal) // beyond every id there is
	}
	return id, nil
}

// pageLimit reads ?limit=, in range or not. Error: ValidationError.
func pageLimit(query url.Values) (int, error) {
	if !query.Has("limit") {
		return hangar.DefaultPageSize, nil
	}
	limit, err := strconv.Atoi(query.Get("limit"))
	if err != nil {
		return 0, notAnInteger("limit")
	}
	return limit, nil
}

func notAnInteger(name string) error {
	return hangar.NewValidationError(map[string]any{name: []string{"Not a valid integer."}})
}

// nextPage returns the header that leads to the page after the given id, with
// the other parameters as they were.
func nextPage(r *http.Request, query url.Values, after string) http.Header {
	query.Set("after", after)
	next := url.URL{Path: r.URL.Path, RawQuery: query.Encode()}
	return http.Header{"Link": {"<" + next.String() + `>; rel="next"`}}
}
