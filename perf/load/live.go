package main

import (
	"encoding/json"
	"net"
	"net/http"
	"sync"
	"time"
)

// liveAddress is next to that of k6's own dashboard.
const liveAddress = "127.0.0.1:5666"

// livePage serves the page of the run that is going on, on loopback only.
type livePage struct {
	address string
	server  *http.Server
	serving sync.WaitGroup
}

func serveLive(now func() summary) (*livePage, error) {
	l, err := listen(liveAddress)
	if err != nil {
		return nil, err
	}
	handler, err := liveHandler(now, l.Addr())
	if err != nil {
		l.Close()
		return nil, err
	}
	p := &livePage{address: l.Addr().String(), server: &http.Server{Handler: handler, ReadHeaderTimeout: 5 * time.Second}}
	p.serving.Go(func() { _ = p.server.Serve(l) }) // ends when closed
	return p, nil
}

func (p *livePage) close() {
	_ = p.server.Close()
	p.serving.Wait()
}

// liveHandler serves the page, and what it shows as JSON. A browser may ask under
// the address only: under another name, the page of a stranger may be asking.
func liveHandler(now func() summary, address net.Addr) (http.Handler, error) {
	page := livePageOf("Load test of " + now().Settings.Target)
	html, err := page.render()
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(html)
	})
	mux.HandleFunc("GET /summary.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(now())
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Host != address.String() {
			http.Error(w, "ask for http://"+address.String()+"/", http.StatusMisdirectedRequest)
			return
		}
		h := w.Header()
		h.Set("Content-Security-Policy", page.policy()+"; frame-ancestors 'none'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	}), nil
}
