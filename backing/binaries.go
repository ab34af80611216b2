package backing

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
)

// ErrMissing says that a server's program is not on the machine.
var ErrMissing = errors.New("not installed")

func missing(program, debianPackage string) error {
	return fmt.Errorf("%s is %w; `make deps` installs it where it can (Debian's package is %s)", program, ErrMissing, debianPackage)
}

func find(program, debianPackage string) (string, error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", missing(program, debianPackage)
	}
	return path, nil
}

// findRabbitMQ returns a program of RabbitMQ. In the PATH Debian has wrappers
// that want to be its own user.
func findRabbitMQ(program string) (string, error) {
	path := "/usr/lib/rabbitmq/bin/" + program
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return find(program, "rabbitmq-server")
}

// Missing returns an error, that is ErrMissing, if a server cannot be started
// here. The name is postgres, redis or rabbitmq.
func Missing(name string) error {
	var err error
	switch name {
	case "postgres":
		if _, e := exec.LookPath(PostgresBinary("postgres")); e != nil {
			err = missing("postgres", "postgresql")
		}
	case "redis":
		_, err = find("redis-server", "redis-server")
	case "rabbitmq":
		_, err = findRabbitMQ("rabbitmq-server")
	}
	return err
}
