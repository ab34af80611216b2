package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// leftOut is a step that the target does not have.
type leftOut struct {
	Step string `json:"step"`
	Why  string `json:"why"`
}

// noProduct is asked for, and asked to be deleted, to see what the target has.
const noProduct = "/products/hangar-load-no-such-product"

// probe returns the steps that the target has, and those that it lacks: the Python
// services have no DELETE of a product and no list of orders, their forks have. It
// fails if nothing answers. Nothing is changed.
func probe(ctx context.Context, target *url.URL) ([]string, []leftOut, error) {
	if _, err := ask(ctx, target, "GET", noProduct); err != nil {
		return nil, nil, unreachable(target, err)
	}
	var have []string
	var lack []leftOut
	for _, step := range journeySteps {
		var why string
		switch step {
		case "list-orders":
			why = whyNoList(ask(ctx, target, "GET", "/orders"))
		case "product-delete":
			why = whyNoDelete(ask(ctx, target, "DELETE", noProduct))
		}
		if why != "" {
			lack = append(lack, leftOut{Step: step, Why: why})
			continue
		}
		have = append(have, step)
	}
	return have, lack, nil
}

func unreachable(target *url.URL, err error) error {
	help := "is it running, and is this its URL?"
	if target.String() == localTarget {
		help = `start a store there with "make run" or "make dev", or name another with TARGET=URL`
	}
	return fmt.Errorf("nothing answers at %s (%w): %s", target.Redacted(), err, help)
}

// reply is a status and, of a short JSON object, the member "error".
type reply struct {
	status int
	code   string
}

// ask sends a request without a body. A redirect is an answer.
func ask(ctx context.Context, target *url.URL, method, path string) (reply, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, target.String()+path, nil)
	if err != nil {
		return reply{}, err
	}
	if user := target.User; user != nil { // a transport leaves that to its client
		password, _ := user.Password()
		request.SetBasicAuth(user.Username(), password)
	}
	transport := http.Transport{Proxy: http.ProxyFromEnvironment}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		return reply{}, err
	}
	defer answer.Body.Close()
	var body struct{ Error string }
	start, _ := io.ReadAll(io.LimitReader(answer.Body, 16<<10))
	_ = json.Unmarshal(start, &body) // anything else has no code
	return reply{status: answer.StatusCode, code: body.Error}, nil
}

// whyNoList returns "" where there is a list, or where it is too slow to tell.
func whyNoList(r reply, err error) string {
	if err != nil || r.status == http.StatusOK {
		return ""
	}
	return "GET /orders answers " + r.String()
}

func whyNoDelete(r reply, err error) string {
	deleted := r.status == http.StatusOK || r.status == http.StatusNoContent
	if err != nil || deleted || r.status == http.StatusNotFound && r.code != "" {
		return ""
	}
	return "DELETE of a product answers " + r.String()
}

func (r reply) String() string {
	s := fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	if r.code != "" {
		s += ", " + r.code
	}
	return s
}
