package backing

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

type redis struct{}

func (redis) commands(_ context.Context, dir string, ports []int) ([]command, error) {
	binary, err := find("redis-server", "redis-server")
	if err != nil {
		return nil, err
	}
	data := filepath.Join(dir, "data")
	if err := os.MkdirAll(data, 0o755); err != nil {
		return nil, err
	}
	return []command{{
		name: binary,
		args: []string{
			"--port", strconv.Itoa(ports[0]), "--bind", "127.0.0.1", "--dir", data,
			"--appendonly", "yes", "--appendfsync", "always", "--save", "",
			"--maxmemory-policy", "noeviction", "--set-proc-title", "no", "--databases", "16",
		},
		stopBy: syscall.SIGTERM,
		killBy: syscall.SIGKILL,
	}}, nil
}

func (redis) url(ports []int) string { return "redis://" + loopback(ports[0]) + "/0" }

func (redis) answers(ctx context.Context, url string) error {
	addr, _, _ := strings.Cut(strings.TrimPrefix(url, "redis://"), "/")
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" { // it is loading its data
		err = fmt.Errorf("it answered %q", answer)
	}
	return err
}
