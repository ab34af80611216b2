package main

import (
	"encoding/json"
	"net"
	"net/http"
	"net/rpc"
	"net/rpc/jsonrpc"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.." // of the project

// debugger is Delve, as its clients see it:
// https://github.com/go-delve/delve/tree/master/Documentation/api.
type debugger struct{ client *rpc.Client }

// call calls a method. What goes in and comes out is JSON, by Delve's names.
func (d debugger) call(t *testing.T, method string, in any) (out map[string]any) {
	t.Helper()
	if err := d.client.Call("RPCServer."+method, in, &out); err != nil {
		t.Fatalf("%s %v: %v", method, in, err)
	}
	return out
}

// resume lets the program run, and returns what stops it.
func (d debugger) resume() *rpc.Call {
	return d.client.Go("RPCServer.Command", map[string]any{"name": "continue"}, new(map[string]any), make(chan *rpc.Call, 1))
}

// The store is not served before the debugger says so, stops where it says, and
// ends with it.
func TestMakeDebug(t *testing.T) {
	for _, program := range []string{"make", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Fatal(err) // whoever runs this test has both, or wants to know
		}
	}
	const anyPort = "127.0.0.1:0"
	cmd := exec.CommandContext(t.Context(), "make", "debug", "DEBUG_ADDR="+anyPort, "ARGS=--addr "+anyPort+" --data "+t.TempDir())
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "DEBUG=1") // as the Python services have it
	term := startInTerminal(t, cmd)
	const building = 5 * time.Minute // what is not in Go's cache
	if rest, shown := term.await(building, "Nothing runs until a debugger is attached to "+anyPort); !shown {
		t.Fatalf("make debug does not say what it does: %s", rest)
	}
	if rest, shown := term.await(building, "API server listening at: "); !shown {
		if strings.Contains(rest, "not permitted") && os.Getenv("CI") == "" {
			t.Skipf("Delve may trace no process here: %s", rest)
		}
		t.Fatalf("Delve does not start: %s", rest)
	}
	client, err := jsonrpc.Dial("tcp", term.expectLine(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	d := debugger{client}
	if state := d.call(t, "State", map[string]any{"NonBlocking": true})["State"].(map[string]any); state["Running"] != false {
		t.Fatalf("the program runs before a debugger says so: %v", state)
	}
	if _, shown := term.await(0, "hangar serves"); shown {
		t.Fatal("the store is served before a debugger says so")
	}
	d.call(t, "CreateBreakpoint", map[string]any{"Breakpoint": map[string]any{"functionName": "hangar/gateway.(*gateway).getProduct"}})

	stopped := d.resume()
	store := term.expectLine(t, "hangar serves http://")
	status := make(chan int, 1)
	go func() {
		defer close(status)
		if resp, err := http.Get("http://" + store + "/products/nope"); err == nil {
			resp.Body.Close()
			status <- resp.StatusCode
		}
	}()
	reply := <-stopped.Done
	if text, err := json.Marshal(reply.Reply); reply.Error != nil || err != nil || !strings.Contains(string(text), `hangar/gateway.(*gateway).getProduct`) {
		t.Fatalf("the program has stopped with %.500s, %v, want it at the breakpoint", text, reply.Error)
	}
	select {
	case got := <-status:
		t.Fatalf("the request is answered with %d while the program stands", got)
	default:
	}
	d.resume()
	if got := <-status; got != http.StatusNotFound {
		t.Errorf("the request is answered with %d, want 404", got)
	}
	http.DefaultClient.CloseIdleConnections()

	term.press(t, ctrlC)
	term.end(t)
	waitFor(t, "the store to end with its debugger", func() bool {
		c, err := net.Dial("tcp", store)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
}

// launchFile is .vscode/launch.json, as far as it names what must be there.
type launchFile struct {
	Version        string `json:"version"`
	Configurations []struct {
		Name         string          `json:"name"`
		Type         string          `json:"type"`
		Request      string          `json:"request"`
		Mode         string          `json:"mode"`
		DebugAdapter string          `json:"debugAdapter"`
		Host         string          `json:"host"`
		Port         json.Number     `json:"port"`
		Program      string          `json:"program"`
		Cwd          string          `json:"cwd"`
		Args         []string        `json:"args"`
		EnvFile      string          `json:"envFile"`
		Console      string          `json:"console"`
		Presentation json.RawMessage `json:"presentation"`
	} `json:"configurations"`
	Compounds []struct {
		Name           string   `json:"name"`
		Configurations []string `json:"configurations"`
		PreLaunchTask  string   `json:"preLaunchTask"`
		StopAll        bool     `json:"stopAll"`
	} `json:"compounds"`
}

type tasksFile struct {
	Version string `json:"version"`
	Tasks   []struct {
		Label          string   `json:"label"`
		Type           string   `json:"type"`
		Command        string   `json:"command"`
		ProblemMatcher []string `json:"problemMatcher"`
	} `json:"tasks"`
}

func readStrictly(t *testing.T, name string, into any) {
	t.Helper()
	file, err := os.Open(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	d := json.NewDecoder(file)
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// What the editor is told to start and to attach to is there.
func TestEditorConfiguration(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	makefile := string(text)
	address := regexp.MustCompile(`(?m)^DEBUG_ADDR +\?= (.*)$`).FindStringSubmatch(makefile)
	if address == nil {
		t.Fatal("the Makefile does not say where make debug listens")
	}
	var launch launchFile
	readStrictly(t, ".vscode/launch.json", &launch)
	var names []string
	attaches := false
	for _, c := range launch.Configurations {
		if slices.Contains(names, c.Name) {
			t.Errorf("two configurations are named %q", c.Name)
		}
		names = append(names, c.Name)
		if c.Request == "attach" {
			attaches = true
			if got := net.JoinHostPort(c.Host, c.Port.String()); got != address[1] {
				t.Errorf("%s: it attaches to %s, and make debug listens at %s", c.Name, got, address[1])
			}
			continue
		}
		if c.Mode == "test" {
			if c.Program != "${fileDirname}" {
				t.Errorf("%s: it tests %s, want the package of the file that is open", c.Name, c.Program)
			}
			continue
		}
		program := strings.Replace(c.Program, "${workspaceFolder}", root, 1)
		if main, err := os.ReadFile(filepath.Join(program, "main.go")); err != nil || !strings.Contains(string(main), "\npackage main\n") {
			t.Errorf("%s: %s is no program: %v", c.Name, c.Program, err)
		}
		if len(c.Args) == 0 || c.Args[0] != "serve" || slices.ContainsFunc(c.Args[1:], func(s string) bool { return !slices.Contains(services[:], s) }) {
			t.Errorf("%s: %q serves nothing", c.Name, c.Args)
		}
		if c.EnvFile != "" && !strings.Contains(makefile, ". "+strings.TrimPrefix(c.EnvFile, "${workspaceFolder}/")+";") {
			t.Errorf("%s: make dev uses no %s", c.Name, c.EnvFile)
		}
	}
	if !attaches {
		t.Error("no configuration attaches to make debug")
	}
	var tasks tasksFile
	readStrictly(t, ".vscode/tasks.json", &tasks)
	for _, c := range launch.Compounds {
		for _, name := range c.Configurations {
			if !slices.Contains(names, name) {
				t.Errorf("%s: there is no configuration %q", c.Name, name)
			}
		}
		if !slices.Equal(slices.Sorted(slices.Values(c.Configurations)), services[:]) {
			t.Errorf("%s: it starts %q, want each of %q", c.Name, c.Configurations, services)
		}
		known := false
		for _, task := range tasks.Tasks {
			known = known || task.Label == c.PreLaunchTask
		}
		if !known {
			t.Errorf("%s: there is no task %q", c.Name, c.PreLaunchTask)
		}
	}
	for _, task := range tasks.Tasks {
		target, isMake := strings.CutPrefix(task.Command, "make ")
		if !isMake || !strings.Contains(makefile, "\n"+target+":") {
			t.Errorf("the task %s runs %q, which the Makefile does not know", task.Label, task.Command)
		}
	}
}
