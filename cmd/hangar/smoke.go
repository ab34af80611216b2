package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

func smokeCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "smoke [local|URL]",
		Short: "Try out a running store from end to end",
		Long: `Try out a running store from end to end: create a product, order it, see that
the stock fell, delete it, and see that the order stays. Each step prints what
the store answered, and is checked. What it made is removed at the end.

local, which is also the default, is the store that "hangar serve" with the same
configuration runs here.`,
		Example: `  hangar smoke
  hangar smoke --addr 127.0.0.1:9000
  hangar smoke https://store.example.com`,
		Args: wrongUsage(cobra.MaximumNArgs(1)),
	}
	addFlags(cmd.Flags(), "addr")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		root, err := smokeTarget(cmd, args, getenv)
		if err != nil {
			return err
		}
		out := cmd.OutOrStdout()
		if err := newSmoke(root, out).run(cmd.Context()); err != nil {
			return fmt.Errorf("smoke: %w", err)
		}
		_, err = fmt.Fprintf(out, "=== All is well at %s ===\n", mask(root))
		return err
	}
	return cmd
}

// smokeTarget returns the URL of the store to try out, without a slash at its end.
func smokeTarget(cmd *cobra.Command, args []string, getenv func(string) string) (string, error) {
	if len(args) == 1 && args[0] != "local" {
		u, err := url.Parse(args[0])
		if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.RawQuery != "" || u.Fragment != "" {
			return "", usagef(`%q is neither "local" nor a URL such as http://127.0.0.1:8000`, mask(args[0]))
		}
		return strings.TrimRight(args[0], "/"), nil
	}
	c, err := loadConfig(cmd.Flags(), getenv)
	if err != nil {
		return "", err
	}
	host, port, err := net.SplitHostPort(c.Addr)
	if err != nil {
		return "", err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, port), nil
}

// The product that the reference's smoke test creates, and an order of one.
const (
	smokeProduct = "the_odyssey"
	smokeStock   = 10
	smokePrice   = "100000.99"
)

// smoke is one smoke test of a store, and what it made there so far.
type smoke struct {
	root   string
	out    io.Writer
	client *http.Client

	hasProduct bool
	orderID    int64 // 0 is none
}

func newSmoke(root string, out io.Writer) *smoke {
	return &smoke{root: root, out: out, client: &http.Client{
		// A transport of its own, so that nothing of it outlives the test.
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment},
		// Followed, a redirected POST would become a GET.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// run takes the steps until one goes wrong, and removes what they made.
func (s *smoke) run(ctx context.Context) error {
	defer s.client.CloseIdleConnections()
	steps := []func(context.Context) error{
		s.createProduct,
		s.getProduct,
		s.createOrder,
		s.getOrder,
		s.checkStock,
		s.listOrders,
		s.deleteProduct,
		s.productIsGone,
		s.orderStays,
	}
	var err error
	for _, step := range steps {
		if err = ctx.Err(); err != nil {
			err = errors.New("interrupted")
			break
		}
		if err = step(ctx); err != nil {
			break
		}
	}
	return errors.Join(err, s.cleanUp(context.WithoutCancel(ctx)))
}

func (s *smoke) createProduct(ctx context.Context) error {
	s.title("Creating a product id: %s", smokeProduct)
	body := fmt.Sprintf(`{"id": %q, "title": "The Odyssey", "passenger_capacity": 101, "maximum_speed": 5, "in_stock": %d}`,
		smokeProduct, smokeStock)
	// A product of the shop with this name is not the test's to replace.
	a, err := s.ask(ctx, "POST", "/products", body, "If-None-Match", "*")
	if err != nil {
		return err
	}
	if a.status == http.StatusPreconditionFailed {
		return fmt.Errorf("the product %s exists already, and is left as it is; if it is no real one, remove it "+
			"and try again: curl -X DELETE %s/products/%s", smokeProduct, mask(s.root), smokeProduct)
	}
	if err := a.wantStatus(http.StatusOK); err != nil {
		return err
	}
	s.hasProduct = true
	var created struct{ ID string }
	if err := a.decode(&created); err != nil {
		return err
	}
	return a.want(created.ID == smokeProduct, "the id "+smokeProduct)
}

func (s *smoke) getProduct(ctx context.Context) error {
	s.title("Getting product id: %s", smokeProduct)
	return s.wantProduct(ctx, smokeStock)
}

func (s *smoke) createOrder(ctx context.Context) error {
	s.title("Creating an order of one %s", smokeProduct)
	body := fmt.Sprintf(`{"order_details": [{"product_id": %q, "price": %q, "quantity": 1}]}`, smokeProduct, smokePrice)
	a, err := s.ask(ctx, "POST", "/orders", body)
	if err != nil {
		return err
	}
	if err := a.wantStatus(http.StatusOK); err != nil {
		return err
	}
	var created struct{ ID int64 }
	if err := a.decode(&created); err != nil {
		return err
	}
	s.orderID = created.ID
	return a.want(created.ID > 0, "the id of an order")
}

func (s *smoke) getOrder(ctx context.Context) error {
	s.title("Getting order id: %d", s.orderID)
	a, line, err := s.askOrder(ctx)
	if err != nil {
		return err
	}
	return errors.Join(
		a.want(line.Image != "", "the URL of an image"),
		a.want(line.Product != nil && line.Product.ID == smokeProduct, "the product "+smokeProduct+" in its line"),
	)
}

func (s *smoke) checkStock(ctx context.Context) error {
	s.title("Checking that the stock fell by one")
	return s.wantProduct(ctx, smokeStock-1)
}

func (s *smoke) listOrders(ctx context.Context) error {
	s.title("Listing orders, newest first")
	a, err := s.ask(ctx, "GET", "/orders?sort=-id&limit=100", "")
	if err != nil {
		return err
	}
	if err := a.wantStatus(http.StatusOK); err != nil {
		return err
	}
	var orders []smokeOrder
	if err := a.decode(&orders); err != nil {
		return err
	}
	for _, o := range orders {
		if o.ID == s.orderID {
			_, err := o.check(a)
			return err
		}
	}
	return a.want(false, fmt.Sprintf("order %d among them", s.orderID))
}

func (s *smoke) deleteProduct(ctx context.Context) error {
	s.title("Deleting product id: %s", smokeProduct)
	if err := s.delete(ctx, "/products/"+smokeProduct); err != nil {
		return err
	}
	s.hasProduct = false
	return nil
}

func (s *smoke) productIsGone(ctx context.Context) error {
	s.title("Checking that the product is gone")
	a, err := s.ask(ctx, "GET", "/products/"+smokeProduct, "")
	if err != nil {
		return err
	}
	if err := a.wantStatus(http.StatusNotFound); err != nil {
		return err
	}
	var refusal struct{ Error string }
	if err := a.decode(&refusal); err != nil {
		return err
	}
	return a.want(refusal.Error == "PRODUCT_NOT_FOUND", "the error PRODUCT_NOT_FOUND")
}

func (s *smoke) orderStays(ctx context.Context) error {
	s.title("Checking that order id %d still answers", s.orderID)
	a, line, err := s.askOrder(ctx)
	if err != nil {
		return err
	}
	return a.want(line.Product == nil, "null for the product of its line")
}

// cleanUp removes what the steps made and did not remove themselves.
func (s *smoke) cleanUp(ctx context.Context) error {
	var errs []error
	if s.orderID > 0 {
		s.title("Cleaning up: order id: %d", s.orderID)
		errs = append(errs, s.delete(ctx, fmt.Sprintf("/orders/%d", s.orderID)))
	}
	if s.hasProduct {
		s.title("Cleaning up: product id: %s", smokeProduct)
		errs = append(errs, s.delete(ctx, "/products/"+smokeProduct))
	}
	return errors.Join(errs...)
}
