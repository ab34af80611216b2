package backing

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	amqp "github.com/rabbitmq/amqp091-go"
)

type rabbitMQ struct{}

// commands runs the name server of Erlang, epmd, as a process of its own: left
// to itself the broker starts one that stays when it ends.
func (rabbitMQ) commands(_ context.Context, dir string, ports []int) ([]command, error) {
	binary, err := findRabbitMQ("rabbitmq-server")
	if err != nil {
		return nil, err
	}
	epmd, err := find("epmd", "erlang-base")
	if err != nil {
		return nil, err
	}
	if err := writeRabbitMQConfig(dir, ports); err != nil {
		return nil, err
	}
	env := rabbitMQEnv(dir, ports)
	return []command{
		{
			name:   epmd,
			args:   []string{"-port", strconv.Itoa(ports[1]), "-address", "127.0.0.1"},
			env:    env,
			stopBy: syscall.SIGKILL, // it has nothing to lose
			killBy: syscall.SIGKILL,
		},
		{name: binary, env: env, stopBy: syscall.SIGTERM, killBy: syscall.SIGKILL},
	}, nil
}

func rabbitMQEnv(dir string, ports []int) []string {
	return []string{
		"HOME=" + dir, // for Erlang's cookie
		"RABBITMQ_NODENAME=" + rabbitMQNode(ports),
		"RABBITMQ_NODE_PORT=" + strconv.Itoa(ports[0]),
		"RABBITMQ_NODE_IP_ADDRESS=127.0.0.1",
		"ERL_EPMD_PORT=" + strconv.Itoa(ports[1]),
		"ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_DIST_PORT=" + strconv.Itoa(ports[2]),
		"RABBITMQ_MNESIA_BASE=" + filepath.Join(dir, "data"),
		"RABBITMQ_LOG_BASE=" + dir,
		"RABBITMQ_LOGS=-",
		"RABBITMQ_CONFIG_FILE=" + filepath.Join(dir, "rabbitmq.conf"),
		"RABBITMQ_ENABLED_PLUGINS_FILE=" + filepath.Join(dir, "enabled_plugins"),
		"RABBITMQ_PID_FILE=" + filepath.Join(dir, "rabbitmq.pid"),
		// Idle schedulers sleep instead of spinning.
		"RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+sbwt none +sbwtdcpu none +sbwtdio none -kernel inet_dist_use_interface {127,0,0,1}",
		// The script then becomes the broker, instead of waiting for it.
		"RUNNING_UNDER_SYSTEMD=1",
	}
}

func rabbitMQNode(ports []int) string { return fmt.Sprintf("hangar-%d@localhost", ports[0]) }

func writeRabbitMQConfig(dir string, ports []int) error {
	config := "listeners.tcp.1 = " + loopback(ports[0]) + "\n" +
		"default_user = " + user + "\ndefault_pass = " + user + "\n" +
		"log.console.level = warning\n" +
		"disk_free_limit.absolute = 50MB\n" +
		"max_message_size = 16777216\n" // what version 4 has by default
	for name, content := range map[string]string{"rabbitmq.conf": config, "enabled_plugins": "[].\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (rabbitMQ) url(ports []int) string {
	return "amqp://" + user + ":" + user + "@" + loopback(ports[0]) + "/"
}

func (rabbitMQ) answers(_ context.Context, url string) error {
	conn, err := amqp.Dial(url)
	if err != nil {
		return err
	}
	return conn.Close()
}

// NewVhost returns the URL of an empty vhost on a RabbitMQ, which nobody else is
// given.
func (s *Server) NewVhost(ctx context.Context) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.vhosts) == 0 {
		made, err := s.makeVhosts(ctx)
		if err != nil {
			return "", fmt.Errorf("make vhosts: %w", err)
		}
		s.vhosts = made
	}
	u, err := url.Parse(s.URL)
	if err != nil {
		return "", err
	}
	u.Path = "/" + s.vhosts[0]
	s.vhosts = s.vhosts[1:]
	return u.String(), nil
}

// makeVhosts makes several: the start of the command takes half a second or
// more, each vhost a fiftieth.
func (s *Server) makeVhosts(ctx context.Context) ([]string, error) {
	binary, err := findRabbitMQ("rabbitmqctl")
	if err != nil {
		return nil, err
	}
	_, st, err := open(s.dir, s.life)
	if err != nil {
		return nil, err
	}
	const count = 8
	base := "v" + strings.ToLower(rand.Text()) + "-"
	script := fmt.Sprintf(`[begin
		V = list_to_binary(["%[1]s", integer_to_list(I)]),
		rabbit_vhost:add(V, <<"%[2]s">>),
		rabbit_auth_backend_internal:set_permissions(<<"%[2]s">>, V, <<".*">>, <<".*">>, <<".*">>, <<"%[2]s">>)
	end || I <- lists:seq(1, %[3]d)].`, base, user, count)
	cmd := exec.CommandContext(ctx, binary, "-n", rabbitMQNode(st.Ports), "eval", script)
	cmd.Env = append(os.Environ(), rabbitMQEnv(s.dir, st.Ports)...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w: %s", err, out)
	}
	var names []string
	for i := range count {
		names = append(names, base+strconv.Itoa(i+1))
	}
	return names, nil
}
