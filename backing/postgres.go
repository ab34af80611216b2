package backing

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	osuser "os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5"
)

type postgres struct{}

func (postgres) commands(ctx context.Context, dir string, ports []int) ([]command, error) {
	binary := PostgresBinary("postgres")
	if _, err := exec.LookPath(binary); err != nil {
		return nil, missing("postgres", "postgresql")
	}
	as, err := unprivileged()
	if err != nil {
		return nil, err
	}
	data, err := postgresData(ctx, dir, as)
	if err != nil {
		return nil, err
	}
	return []command{{
		name: binary,
		args: []string{
			"-D", data, "-p", strconv.Itoa(ports[0]), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=",
			"-c", "max_connections=500",
		},
		as:     as,
		stopBy: syscall.SIGINT,  // fast: does not wait for clients to leave
		killBy: syscall.SIGQUIT, // immediate
	}}, nil
}

// unprivileged returns whom to run the server as: it refuses to be root. It is
// nil for who runs this.
func unprivileged() (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := osuser.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL refuses to run as root, and there is no user postgres to run it as: %w", err)
	}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, errors.Join(err1, err2)
}

// postgresData returns the folder of the cluster, made if it is not there.
func postgresData(ctx context.Context, dir string, as *syscall.Credential) (string, error) {
	data := filepath.Join(dir, "data")
	resolved, err := filepath.EvalSymlinks(data)
	if err == nil {
		// The server's first start leaves this: initdb was not interrupted.
		_, err = os.Stat(filepath.Join(resolved, "postmaster.opts"))
	}
	if err == nil {
		return resolved, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if err := os.RemoveAll(data); err != nil { // unfinished, or gone after a reboot
		return "", err
	}
	made, err := makeData(data, as)
	if err != nil {
		return "", err
	}
	password := made + ".password"
	if err := os.WriteFile(password, []byte(user+"\n"), 0o600); err != nil {
		return "", err
	}
	defer os.Remove(password)
	if as != nil {
		if err := os.Chown(password, int(as.Uid), int(as.Gid)); err != nil {
			return "", err
		}
	}
	cmd := exec.CommandContext(ctx, PostgresBinary("initdb"), "-D", made, "-U", user, "--auth=scram-sha-256", "--pwfile="+password,
		"--encoding=UTF8", "--locale=C", "--no-sync")
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: as}
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("initdb: %w: %s", err, out)
	}
	return made, nil
}

// makeData makes the folder for a cluster, at data or, where another user could
// not get there, elsewhere with a link at data.
func makeData(data string, as *syscall.Credential) (string, error) {
	if as == nil || reachable(filepath.Dir(data)) {
		if err := os.Mkdir(data, 0o700); err != nil {
			return "", err
		}
	} else {
		elsewhere, err := os.MkdirTemp("", "hangar-postgres-")
		if err != nil {
			return "", err
		}
		if err := os.Symlink(elsewhere, data); err != nil {
			return "", err
		}
		data = elsewhere
	}
	if as == nil {
		return data, nil
	}
	return data, os.Chown(data, int(as.Uid), int(as.Gid))
}

// reachable reports whether any user can get to a folder.
func reachable(dir string) bool {
	for ; ; dir = filepath.Dir(dir) {
		info, err := os.Stat(dir)
		const search = 0o001
		if err != nil || info.Mode()&search == 0 {
			return false
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

func (postgres) url(ports []int) string {
	return "postgres://" + user + ":" + user + "@" + loopback(ports[0]) + "/postgres"
}

func (postgres) answers(ctx context.Context, url string) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	return conn.Close(ctx)
}

// PostgresBinary returns the path of a program of PostgreSQL, such as pgbench:
// Debian keeps them beside the PATH.
func PostgresBinary(name string) string {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin") // the pattern is good
	if out, err := exec.Command("pg_config", "--bindir").Output(); err == nil {
		dirs = append(dirs, strings.TrimSpace(string(out)))
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		path := filepath.Join(dirs[i], name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	return name
}

// Remove deletes what lies outside of the folder of a server that has ended.
func (s *Server) Remove() error {
	if elsewhere, err := os.Readlink(filepath.Join(s.dir, "data")); err == nil {
		return os.RemoveAll(elsewhere)
	}
	return nil
}
