package main

import (
	"bytes"
	"errors"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hangar/backing"
)

// asCommand makes the test binary be the command.
const asCommand = "HANGAR_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func TestExecPassesTheExitCodeOn(t *testing.T) {
	out, code := runCommand(t, t.TempDir(), "exec", "--", "sh", "-c", "echo $HANGAR_TEST_SERVERS; exit 7")
	if code != 7 {
		t.Errorf("exec of a command that exits with 7 exited with %d: %s, want 7", code, out)
	}
	dir := strings.TrimSpace(out)
	if _, err := os.Stat(dir); dir == "" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder of the servers is %q, and after exec: %v, want that it is gone", dir, err)
	}
}

func TestStartAndStop(t *testing.T) {
	for _, s := range servers {
		if err := backing.Missing(s.name); err != nil && os.Getenv("CI") == "" {
			t.Skip(err)
		}
	}
	dir := t.TempDir()
	t.Cleanup(func() {
		runCommand(t, dir, "stop")
		// Root's data lies where PostgreSQL's own user can get to it.
		if elsewhere, err := os.Readlink(filepath.Join(dir, folder, "postgres", "data")); err == nil {
			os.RemoveAll(elsewhere)
		}
	})
	wantExit(t, dir, "stop") // there is nothing yet
	first := wantExit(t, dir, "start")
	if again := wantExit(t, dir, "start"); again != first {
		t.Errorf("start beside running servers printed %q, want what the first printed: %q", again, first)
	}
	lines := strings.Split(strings.TrimSpace(first), "\n")
	if len(lines) != len(servers) {
		t.Fatalf("start printed %q, want a line for each of %d servers", first, len(servers))
	}
	wantExit(t, dir, "stop")
	wantExit(t, dir, "stop")
	for _, line := range lines {
		_, server, _ := strings.Cut(line, "=")
		u, err := url.Parse(server)
		if err != nil {
			t.Fatal(err)
		}
		if conn, err := net.Dial("tcp", u.Host); err == nil {
			conn.Close()
			t.Errorf("after stop something listens at %s of %s", u.Host, line)
		}
	}
}

// wantExit runs the command in a folder, and fails unless it succeeds.
func wantExit(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, code := runCommand(t, dir, args...)
	if code != 0 {
		t.Fatalf("backing %v exited with %d: %s, want 0", args, code, out)
	}
	return out
}

func runCommand(t *testing.T, dir string, args ...string) (string, int) {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), asCommand+"=1")
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		t.Fatal(err)
	}
	if errs.Len() > 0 {
		t.Logf("backing %v: %s", args, errs.String())
	}
	return string(out), cmd.ProcessState.ExitCode()
}
