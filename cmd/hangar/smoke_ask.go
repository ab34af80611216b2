package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"
)

const (
	askTimeout = 15 * time.Second // more than the gateway takes for the slowest
	maxAnswer  = 16 << 20         // bytes that are read of an answer
	maxShown   = 4 << 10          // bytes that are printed of it
)

// smokeAnswer is what the store answered, and to what.
type smokeAnswer struct {
	asked  string
	status int
	body   []byte
}

// smokeOrder is what the smoke test looks at in an order.
type smokeOrder struct {
	ID      int64
	Status  string
	Total   string
	Details []smokeLine `json:"order_details"`
}

type smokeLine struct {
	ProductID string `json:"product_id"`
	Price     string
	Quantity  int64
	Image     string
	Product   *smokeProductBody
}

type smokeProductBody struct {
	ID                string
	Title             string
	PassengerCapacity int64 `json:"passenger_capacity"`
	MaximumSpeed      int64 `json:"maximum_speed"`
	InStock           int64 `json:"in_stock"`
}

// title prints the heading of a step.
func (s *smoke) title(format string, args ...any) {
	fmt.Fprintf(s.out, "=== %s ===\n", fmt.Sprintf(format, args...))
}

// ask sends a request, and prints what it is answered. The header is names and
// values.
func (s *smoke) ask(ctx context.Context, method, path, body string, header ...string) (smokeAnswer, error) {
	if method != http.MethodGet {
		// Broken off, nobody knew whether it made something to clean up.
		ctx = context.WithoutCancel(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	a := smokeAnswer{asked: method + " " + mask(s.root+path)}
	req, err := http.NewRequestWithContext(ctx, method, s.root+path, strings.NewReader(body))
	if err != nil {
		return a, err
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return a, a.noAnswer(err)
	}
	defer resp.Body.Close()
	a.status = resp.StatusCode
	if a.body, err = io.ReadAll(io.LimitReader(resp.Body, maxAnswer)); err != nil {
		return a, a.noAnswer(err)
	}
	if shown := a.shown(); shown != "" {
		fmt.Fprintln(s.out, shown)
	}
	return a, nil
}

// noAnswer drops the URL that the client puts into its errors: it is in asked,
// masked.
func (a smokeAnswer) noAnswer(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		err = fmt.Errorf("nothing came within %v", askTimeout)
	case errors.Is(err, syscall.ECONNREFUSED):
		err = errors.New(`nothing listens there; "hangar serve" starts a store`)
	}
	return fmt.Errorf("%s was not answered: %w", a.asked, err)
}

// shown returns the body for people: JSON is indented, and a long one cut.
func (a smokeAnswer) shown() string {
	var b bytes.Buffer
	if json.Indent(&b, bytes.TrimSpace(a.body), "", "  ") != nil {
		b.Reset()
		b.Write(a.body)
	}
	if b.Len() > maxShown {
		return fmt.Sprintf("%s… (%d bytes)", strings.ToValidUTF8(b.String()[:maxShown], ""), len(a.body))
	}
	return b.String()
}

// want returns an error that says what was asked, what came and what was wanted,
// unless ok.
func (a smokeAnswer) want(ok bool, what string) error {
	if ok {
		return nil
	}
	const enough = 500
	body := strings.TrimSpace(string(a.body))
	if len(body) > enough {
		body = strings.ToValidUTF8(body[:enough], "") + "…"
	}
	return fmt.Errorf("%s answered %d %s, want %s", a.asked, a.status, body, what)
}

func (a smokeAnswer) wantStatus(status int) error {
	return a.want(a.status == status, fmt.Sprintf("%d", status))
}

func (a smokeAnswer) decode(v any) error {
	if err := json.Unmarshal(a.body, v); err != nil {
		return a.want(false, fmt.Sprintf("JSON of another shape: %v", err))
	}
	return nil
}

// wantProduct gets the product and compares all of it.
func (s *smoke) wantProduct(ctx context.Context, inStock int64) error {
	a, err := s.ask(ctx, "GET", "/products/"+smokeProduct, "")
	if err != nil {
		return err
	}
	if err := a.wantStatus(http.StatusOK); err != nil {
		return err
	}
	var p smokeProductBody
	if err := a.decode(&p); err != nil {
		return err
	}
	want := smokeProductBody{smokeProduct, "The Odyssey", 101, 5, inStock}
	return a.want(p == want, fmt.Sprintf("the product as it was created, with %d in stock", inStock))
}

// askOrder gets the order, checks it, and returns its line.
func (s *smoke) askOrder(ctx context.Context) (smokeAnswer, smokeLine, error) {
	a, err := s.ask(ctx, "GET", fmt.Sprintf("/orders/%d", s.orderID), "")
	if err != nil {
		return a, smokeLine{}, err
	}
	if err := a.wantStatus(http.StatusOK); err != nil {
		return a, smokeLine{}, err
	}
	var o smokeOrder
	if err := a.decode(&o); err != nil {
		return a, smokeLine{}, err
	}
	if err := a.want(o.ID == s.orderID, fmt.Sprintf("the id %d", s.orderID)); err != nil {
		return a, smokeLine{}, err
	}
	line, err := o.check(a)
	return a, line, err
}

// check compares the order with what was ordered, and returns its line.
func (o smokeOrder) check(a smokeAnswer) (smokeLine, error) {
	if len(o.Details) != 1 {
		return smokeLine{}, a.want(false, "one line in the order")
	}
	line := o.Details[0]
	ok := o.Status == "confirmed" && o.Total == smokePrice &&
		line.ProductID == smokeProduct && line.Price == smokePrice && line.Quantity == 1
	return line, a.want(ok, fmt.Sprintf("a confirmed order of one %s for %s", smokeProduct, smokePrice))
}

func (s *smoke) delete(ctx context.Context, path string) error {
	a, err := s.ask(ctx, "DELETE", path, "")
	if err != nil {
		return err
	}
	return errors.Join(a.wantStatus(http.StatusNoContent), a.want(len(a.body) == 0, "no body"))
}
