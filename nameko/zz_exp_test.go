package nameko_test

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"hangar/hangartest"
	"hangar/nameko"
)

func cpuOf(pid string) time.Duration {
	data, _ := os.ReadFile("/proc/" + pid + "/stat")
	f := strings.Fields(string(data[strings.LastIndexByte(string(data), ')')+1:]))
	u, _ := strconv.Atoi(f[11])
	s, _ := strconv.Atoi(f[12])
	return time.Duration(u+s) * 10 * time.Millisecond
}
func own() time.Duration {
	var r syscall.Rusage
	syscall.Getrusage(0, &r)
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func TestExp(t *testing.T) {
	pid := os.Getenv("BEAM")
	calls := map[string]func(context.Context) error{}
	b := &testing.B{}
	_ = b
	url := hangartest.RabbitMQ(t)
	r := newRawPeers(t, url)
	calls["raw"] = r.call
	server := nameko.NewServer(newBroker(t, url), "products", 0, 0)
	server.Handle("get", nameko.Params("product_id"), func(_ context.Context, args nameko.Args) (any, error) {
		return map[string]any{"id": args["product_id"], "title": "The Odyssey", "in_stock": 10}, nil
	})
	start(t, server)
	client := newClient(t, newBroker(t, url))
	calls["ours"] = func(ctx context.Context) error {
		_, err := client.Call(ctx, nameko.Call{Service: "products", Method: "get", Args: []any{"the_odyssey"}, Repeatable: true})
		return err
	}
	slices, _ := strconv.Atoi(os.Getenv("SLICES"))
	type sum struct {
		n          int64
		wall, beam time.Duration
		own        time.Duration
	}
	sums := map[string]*sum{"raw": {}, "ours": {}}
	for i := range slices {
		for name, call := range calls {
			var n atomic.Int64
			w, c, o := time.Now(), cpuOf(pid), own()
			ctx, cancel := context.WithTimeout(t.Context(), 1500*time.Millisecond)
			var wg sync.WaitGroup
			for range 64 {
				wg.Go(func() {
					for time.Since(w) < time.Second {
						if call(ctx) == nil {
							n.Add(1)
						}
					}
				})
			}
			wg.Wait()
			cancel()
			if i == 0 {
				continue
			}
			s := sums[name]
			s.n += n.Load()
			s.wall += time.Since(w)
			s.beam += cpuOf(pid) - c
			s.own += own() - o
		}
	}
	for name, s := range sums {
		fmt.Printf("%s: %.0f/s  broker %v/call  go %v/call\n", name, float64(s.n)/s.wall.Seconds(), s.beam/time.Duration(s.n), s.own/time.Duration(s.n))
	}
	ra, ou := sums["raw"], sums["ours"]
	fmt.Printf("ratio wall %.2f  cpu %.2f\n", float64(ou.n)/ou.wall.Seconds()/(float64(ra.n)/ra.wall.Seconds()),
		float64((ra.beam+ra.own)/time.Duration(ra.n))/float64((ou.beam+ou.own)/time.Duration(ou.n)))
}
