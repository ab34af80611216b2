package console

import (
	"net/url"
)

// pageSize is how many rows a page of a listing has.
const pageSize = 50

const (
	// maxTrail bounds how many pages back a listing leads.
	maxTrail = 20

	// maxURL bounds the URL of a page with its trail, in bytes: ids may be long, and a
	// request names the page that it comes from too. Servers read 16 KiB of both.
	maxURL = 6 << 10
)

// pager leads to the pages around one of a listing. The empty URLs lead nowhere.
type pager struct {
	First    string
	Previous string
	Next     string
}

// newPager makes the links around a page of the listing at path, which was asked
// for with query. Pages only know what comes after them, so the URL carries where
// the pages before began: that is the trail. Next is the id that the next page
// begins after, "" if this is the last.
func newPager(path string, query url.Values, next string) pager {
	after, trail := query.Get("after"), query["trail"]
	to := func(after string, trail []string) string {
		u := url.Values{}
		for name, values := range query {
			if name == "prefix" || name == "status" {
				u[name] = values
			}
		}
		if after != "" {
			u.Set("after", after)
			u["trail"] = trail
		}
		if len(u) == 0 {
			return path
		}
		return path + "?" + u.Encode()
	}
	var p pager
	if after != "" {
		p.First = to("", nil)
		if n := len(trail); n > 0 {
			p.Previous = to(trail[n-1], trail[:n-1])
		}
	}
	if next != "" {
		trail = append(trail[:len(trail):len(trail)], after)
		trail = trail[max(0, len(trail)-maxTrail):]
		for len(trail) > 0 && len(to(next, trail)) > maxURL {
			trail = trail[1:]
		}
		p.Next = to(next, trail)
	}
	return p
}
