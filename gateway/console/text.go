package console

import (
	"net/url"
	"strconv"
	"strings"
)

// URLs of pages.
const (
	productsURL = "/console/products"
	ordersURL   = "/console/orders"
)

func productURL(id string) string { return productsURL + "/" + url.PathEscape(id) }

func orderURL(id int64) string { return ordersURL + "/" + strconv.FormatInt(id, 10) }

// newOrderURL leads to the form for an order of that product.
func newOrderURL(product string) string {
	return "/console/new-order?product=" + url.QueryEscape(product)
}

// count returns a number with its thousands apart, such as 1,234,567.
func count(n int64) string { return money(strconv.FormatInt(n, 10)) }

// money returns an amount such as 1234.50 with its thousands apart: 1,234.50.
func money(amount string) string {
	sign := ""
	if rest, ok := strings.CutPrefix(amount, "-"); ok {
		sign, amount = "−", rest
	}
	whole, cents, hasCents := strings.Cut(amount, ".")
	var b strings.Builder
	b.WriteString(sign)
	for i, digit := range whole {
		if i > 0 && (len(whole)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	if hasCents {
		b.WriteString("." + cents)
	}
	return b.String()
}
