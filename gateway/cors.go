package gateway

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/rs/cors"

	"hangar"
)

// AllOrigins is the one origin that stands for all.
const AllOrigins = "*"

// preflightAge is how long a browser may remember what it may send, in seconds.
const preflightAge = 600

// allowOrigins lets pages of these origins ask, and read what is answered. Browsers
// are told before anything else is looked at, so that a page can also read why it
// was refused. The console and the metrics are not for other pages.
func allowOrigins(origins []string, next http.Handler) http.Handler {
	allowed := cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete},
		AllowedHeaders: []string{"Content-Type", "Idempotency-Key", "If-None-Match", requestIDHeader},
		ExposedHeaders: []string{"Idempotent-Replayed", "Link", "Retry-After", requestIDHeader},
		MaxAge:         preflightAge,
	}).Handler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, consolePath) || r.URL.Path == metricsPath {
			next.ServeHTTP(w, r)
			return
		}
		allowed.ServeHTTP(w, r)
	})
}

// onlyOwnPages refuses what browsers say that pages of other origins change here,
// unless these are allowed: an answer that they cannot read does not keep them from
// asking. Reads pass, and so do clients that are no browsers.
func (g *gateway) onlyOwnPages() *http.CrossOriginProtection {
	protection := http.NewCrossOriginProtection()
	for _, origin := range g.CORSOrigins {
		if origin == AllOrigins {
			protection.AddInsecureBypassPattern("/")
			continue
		}
		if err := protection.AddTrustedOrigin(origin); err != nil {
			g.Log.Error("an origin cannot be allowed to change anything", "origin", origin, "error", err)
		}
	}
	protection.SetDenyHandler(endpoint{g, func(*http.Request) (answer, error) {
		return answer{}, hangar.Errorf(hangar.Forbidden,
			"A page of another origin sent this, so nothing was done. Origins that may are named with --cors-origins.")
	}})
	return protection
}

// ParseOrigins reads origins that are separated by commas, or AllOrigins alone. None
// is no text. An origin is as browsers send it; one that they would never send is an
// error, which quotes it and says what is wrong with it.
func ParseOrigins(text string) ([]string, error) {
	if text == "" {
		return nil, nil
	}
	var origins []string
	for origin := range strings.SplitSeq(text, ",") {
		origin = strings.TrimSpace(origin)
		if err := checkOrigin(origin); err != nil {
			return nil, fmt.Errorf("%q %w", origin, err)
		}
		origins = append(origins, origin)
	}
	if slices.Contains(origins, AllOrigins) && len(origins) > 1 {
		return nil, errors.New(`"*" is all origins, and stands alone`)
	}
	return origins, nil
}

// defaultPorts are left out by browsers.
var defaultPorts = map[string]string{"http": "80", "https": "443"}

func checkOrigin(origin string) error {
	if origin == AllOrigins {
		return nil
	}
	u, err := url.Parse(origin)
	switch {
	case origin == "":
		return errors.New("is empty")
	case err != nil:
		return errors.New("is no URL")
	case u.Scheme != "http" && u.Scheme != "https":
		return errors.New("does not begin with http:// or https://")
	case u.Hostname() == "":
		return errors.New("has no host")
	case strings.Contains(origin, "*"):
		return errors.New("has a * in it, which is only known alone")
	case origin != u.Scheme+"://"+u.Host:
		return errors.New("has more than scheme, host and port")
	case origin != strings.ToLower(origin):
		return errors.New("has capital letters, which browsers do not send")
	case u.Port() != "" && u.Port() == defaultPorts[u.Scheme]:
		return errors.New("names the port that it has anyway, which browsers do not send")
	}
	return nil
}
