package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"hangar"
	"hangar/hangartest"
	"hangar/nameko"
	"hangar/rpc"
)

// failing is an orders service whose every answer is an error.
type failing struct {
	hangar.OrderService
	err error
}

func (f *failing) Order(context.Context, int64) (hangar.Order, error) { return hangar.Order{}, f.err }

func TestErrorsAreTheSameOnTheOtherSide(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	service := new(failing)
	serve(t, connect(t, url), "orders", func(s *nameko.Server) { rpc.ServeOrders(s, service) })
	client := newClient(t, url, "gateway")
	o := rpc.NewOrders(client, existing{})
	stock := map[string]hangar.Shortage{"__type__": {Requested: 1 << 60}, "__value__": {InStock: -1}}
	for _, test := range []struct {
		path string
		err  *hangar.Error
	}{
		{"orders.exceptions.NotFound", hangar.NewOrderNotFound("1")},
		{"products.exceptions.NotFound", hangar.NewHeldProductNotFound("ü \"'☃")},
		{"products.exceptions.NotFound", hangar.NewProductNotFound("a")},
		{"products.exceptions.OutOfStock", hangar.NewOutOfStock(map[string]hangar.Shortage{"a": {Requested: 2, InStock: 1}})},
		{"products.exceptions.OutOfStock", hangar.NewOutOfStock(stock)},
		{"marshmallow.exceptions.ValidationError", hangar.NewValidationError(map[string]any{
			"a": []string{"x", "y"}, "b": map[string]any{"0": map[string]any{"c": []string{"z"}}}})},
		{"hangar.exceptions.Conflict", hangar.Errorf(hangar.Conflict, "c")},
		{"hangar.exceptions.OrderNotConfirmed", hangar.Errorf(hangar.OrderNotConfirmed, "c")},
		{"hangar.exceptions.IdempotencyKeyReused", hangar.Errorf(hangar.IdempotencyKeyReused, "c")},
		{"hangar.exceptions.ProductExists", hangar.NewProductExists("a")},
		{"hangar.exceptions.Unavailable", hangar.Errorf(hangar.Unavailable, "Later.")},
		{"hangar.exceptions.BadRequest", &hangar.Error{Code: hangar.BadRequest, Message: "b", Details: map[string]any{"at": []any{"x"}}}},
	} {
		service.err = fmt.Errorf("somewhere: %w", &hangar.Error{Code: test.err.Code, Message: test.err.Message, Details: test.err.Details, Err: errors.New("inside")})
		_, err := client.Call(t.Context(), nameko.Call{Service: "orders", Method: "get_order", Args: []any{1}})
		if !nameko.IsError(err, test.path) || strings.Contains(fmt.Sprintf("%+v", err), "inside") {
			t.Errorf("%s travels as %#v, want %s and nothing of the inside", test.err.Code, err, test.path)
		}
		_, err = o.Order(t.Context(), 1)
		wantError(t, "Order", err, test.err)
		if got := err.Error(); got != test.err.Message {
			t.Errorf("%s reads %q on the other side, want %q", test.err.Code, got, test.err.Message)
		}
		if test.err.Code == hangar.OutOfStock {
			e, _ := errors.AsType[*hangar.Error](err)
			wantEqual(t, "details", e.Details, test.err.Details)
		}
	}
	for _, inside := range []error{
		errors.New("disk"),
		&hangar.Error{Code: hangar.Unexpected, Message: "The products service failed.", Err: nameko.Errorf("builtins.KeyError", "disk")},
		nameko.Errorf("builtins.KeyError", "disk"),
	} {
		service.err = inside
		_, err := o.Order(t.Context(), 1)
		if hangar.CodeOf(err) != hangar.Unexpected || strings.Contains(fmt.Sprintf("%+v", err), "disk") || nameko.IsError(err, "builtins.KeyError") {
			t.Errorf("%v is on the other side %v, want UNEXPECTED_ERROR and nothing of the inside", inside, err)
		}
	}
	service.err = context.DeadlineExceeded
	_, err := o.Order(t.Context(), 1)
	wantError(t, "Order", err, hangar.Errorf(hangar.Unavailable, "The request took too long. Try again."))
}

// Errors that only Python services raise.
func TestErrorsOfPython(t *testing.T) {
	t.Parallel()
	url := hangartest.RabbitMQ(t)
	var raise *nameko.Error
	serve(t, connect(t, url), "orders", func(s *nameko.Server) {
		s.Handle("get_order", nameko.Params("order_id"), func(context.Context, nameko.Args) (any, error) { return nil, raise })
	})
	o := rpc.NewOrders(newClient(t, url, "gateway"), existing{})
	for _, test := range []struct {
		raise nameko.Error
		want  *hangar.Error
	}{
		{nameko.Error{Path: "orders.exceptions.NotFound"}, hangar.Errorf(hangar.OrderNotFound, "")},
		{nameko.Error{Path: "orders.exceptions.NotFound", Args: []any{5}, Value: "5"}, hangar.Errorf(hangar.OrderNotFound, "5")},
		{nameko.Error{Path: "marshmallow.exceptions.ValidationError", Args: []any{"bad"}, Value: "bad"},
			hangar.NewValidationError(map[string]any{"_schema": []string{"bad"}})},
		{nameko.Error{Path: "marshmallow.exceptions.ValidationError", Args: []any{[]any{"a", 1}}},
			hangar.NewValidationError(map[string]any{"_schema": []string{"a", "1"}})},
		{nameko.Error{Path: "products.exceptions.OutOfStock", Args: []any{"sold", "everything"}}, hangar.Errorf(hangar.OutOfStock, "sold")},
		{nameko.Error{Path: "sqlalchemy.exc.OperationalError", Args: []any{"disk"}, Value: "disk"}, hangar.Errorf(hangar.Unexpected, "The orders service failed.")},
		{nameko.Error{Path: "hangar.exceptions."}, hangar.Errorf(hangar.Unexpected, "The orders service failed.")},
		{nameko.Error{}, hangar.Errorf(hangar.Unexpected, "The orders service failed.")},
	} {
		raise = &test.raise
		_, err := o.Order(t.Context(), 1)
		e, ok := errors.AsType[*hangar.Error](err)
		if !ok || e.Code != test.want.Code || e.Message != test.want.Message {
			t.Errorf("%+v: %#v, want %s %q", test.raise, err, test.want.Code, test.want.Message)
		}
	}
}
