package rpc

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"hangar/nameko"
)

const (
	readTimeout  = 5 * time.Second
	writeTimeout = 10 * time.Second

	// missingFor is how long a method that an instance did not have is not
	// asked for. Another instance may have it, and this one be replaced.
	missingFor = 10 * time.Second
)

// peer is a service on the other side of the broker.
type peer struct {
	client  *nameko.Client
	service string
	now     func() time.Time
	log     *slog.Logger
	breaker breaker
	retries budget

	mu      sync.Mutex
	missing map[string]time.Time // methods that an instance did not have, and when
}

func newPeer(c *nameko.Client, service string) *peer {
	return &peer{
		client:  c,
		service: service,
		now:     time.Now,
		log:     c.Log().With("called_service", service),
		missing: make(map[string]time.Time),
	}
}

// begin returns a context for the calls that make up one request. They are made
// by that method of the calling service, unless it runs within one that nameko
// knows of.
func (p *peer) begin(ctx context.Context, method string, timeout time.Duration) (context.Context, context.CancelFunc) {
	if len(nameko.CallIDs(ctx)) == 0 {
		ctx = nameko.Begin(ctx, p.client.Name(), method)
		if id := requestID(ctx); id != "" {
			ctx = nameko.WithData(ctx, nameko.RequestID, id)
		}
	}
	return context.WithTimeout(ctx, timeout)
}

// read calls a method that changes nothing.
func (p *peer) read(ctx context.Context, method string, result any, args ...any) error {
	return p.call(ctx, nameko.Call{Method: method, Args: args, Repeatable: true}, result, tryAgain)
}

// call calls a method and stores what it returns in what result points to. Its
// errors are hangar's; the advice is for a caller whose answer is lost.
func (p *peer) call(ctx context.Context, c nameko.Call, result any, advice string) error {
	return p.explain(p.send(ctx, c, result), advice)
}

// callNew calls a method that Python instances do not have. It reports false if
// that is why there is no result.
func (p *peer) callNew(ctx context.Context, c nameko.Call, result any, advice string) (known bool, err error) {
	if p.isMissing(c.Method) {
		return false, nil
	}
	err = p.send(ctx, c, result)
	if nameko.IsError(err, nameko.MethodNotFound) {
		p.noteMissing(c.Method)
		return false, nil
	}
	return true, p.explain(err, advice)
}

// send is call with nameko's errors, and errCutOff. A call that may be repeated
// is made again where that may mend it, as long as there is time for it.
func (p *peer) send(ctx context.Context, c nameko.Call, result any) error {
	c.Service = p.service
	p.retries.deposit()
	reply, err := p.try(ctx, c)
	for n := 0; c.Repeatable && mayMend(err) && p.retries.take() && pauseBefore(ctx, n); n++ {
		var again error
		if reply, again = p.try(ctx, c); again == nil || !nothingDone(again) {
			err = again
		} // else what is known is what the earlier one said: it may have been executed
	}
	if err != nil || result == nil {
		return err
	}
	if err := reply.Decode(result); err != nil {
		return fmt.Errorf("result of %s.%s: %w", c.Service, c.Method, err)
	}
	return nil
}

// try makes a call once, unless the service is cut off.
func (p *peer) try(ctx context.Context, c nameko.Call) (nameko.Reply, error) {
	if !p.breaker.admit(time.Now()) {
		return nameko.Reply{}, cutOff(p.service)
	}
	began := time.Now()
	reply, err := p.client.Call(ctx, c)
	p.breaker.note(ctx, began, err, p.log)
	return reply, err
}

func (p *peer) isMissing(method string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	noted, ok := p.missing[method]
	return ok && p.now().Sub(noted) < missingFor
}

func (p *peer) noteMissing(method string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missing[method] = p.now()
}
