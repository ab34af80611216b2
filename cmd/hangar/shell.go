package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"hangar/nameko"
	"hangar/rpc"
)

const (
	callTimeout = 10 * time.Second // of a line, unless --timeout says otherwise
	mostTimeout = 30 * time.Second // no call waits longer, whoever makes it
	maxLine     = 1 << 20          // bytes of a line that is not typed
)

func shellCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "shell",
		Short: "Call methods and dispatch events over the message broker, line by line",
		Long: `Call methods and dispatch events over the message broker, line by line. The
services may be hangar's or Python ones.

In a terminal there is a prompt, which completes names with Tab and remembers
lines from one time to the next; Ctrl-C gives up the call that runs, Ctrl-D ends
the shell. Elsewhere it runs the lines that it reads from its standard input,
prints each result as a line of JSON, and ends with 1 at the first that fails.

` + shellHelp,
		Example: `  hangar shell
  echo 'products.get the_odyssey' | hangar shell
  hangar shell --amqp amqp://guest:guest@localhost <lines.txt >results.jsonl`,
		Args: wrongUsage(cobra.NoArgs),
	}
	timeout := cmd.Flags().Duration("timeout", callTimeout, "wait `TIME` for what a line asks for, 30s at most")
	addFlags(cmd.Flags(), "amqp", "log-level", "log-format")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if *timeout <= 0 || *timeout > mostTimeout {
			return usagef("timeout is %v, want more than 0s and at most %v", *timeout, mostTimeout)
		}
		return withConfig(cmd, getenv, slog.LevelError, func(ctx context.Context, c *Config, broker *nameko.Broker) error {
			s := newShell(broker, *timeout, cmd.OutOrStdout())
			stage := startStage(context.WithoutCancel(ctx), make(chan struct{}, 1), []task{s.client.Run})
			var err error
			if isatty.IsTerminal(os.Stdin.Fd()) && isatty.IsTerminal(os.Stdout.Fd()) {
				err = s.converse(ctx, mask(c.AMQP), historyPath(getenv))
			} else {
				err = s.runLines(ctx, cmd.InOrStdin())
			}
			return errors.Join(err, stage.end(stopTimeout))
		})
	}
	return cmd
}

// shell does what lines ask for.
type shell struct {
	broker     *nameko.Broker
	client     *nameko.Client
	publishers map[string]*nameko.Publisher // by the service that the events are of
	timeout    time.Duration
	out        io.Writer
	print      func(io.Writer, json.RawMessage) error
}

func newShell(broker *nameko.Broker, timeout time.Duration, out io.Writer) *shell {
	return &shell{
		broker:     broker,
		client:     nameko.NewClient(broker, "hangar"),
		publishers: make(map[string]*nameko.Publisher),
		timeout:    timeout,
		out:        out,
		print:      printLine,
	}
}

// runLines does what lines ask for, until the first that fails.
func (s *shell) runLines(ctx context.Context, in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, maxLine)
	read := func() (string, error) {
		if lines.Scan() {
			return lines.Text(), nil
		}
		err := lines.Err()
		if errors.Is(err, bufio.ErrTooLong) {
			return "", fmt.Errorf("it has more than %d bytes", maxLine-1)
		}
		return "", cmp.Or(err, io.EOF)
	}
	for n := 1; ; n++ {
		line, err := await(ctx, read)
		if errors.Is(err, io.EOF) {
			return nil
		}
		var request any
		if err == nil {
			request, err = parseLine(line)
		}
		if err == nil {
			err = s.do(ctx, request)
		}
		if errors.Is(err, errLeave) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
	}
}

// await returns what read returns, or the end of ctx: then read may still wait
// for input, which only the end of the process keeps from it.
func await(ctx context.Context, read func() (string, error)) (string, error) {
	type input struct {
		line string
		err  error
	}
	inputs := make(chan input, 1)
	go func() {
		line, err := read()
		inputs <- input{line, err}
	}()
	select {
	case in := <-inputs:
		return in.line, in.err
	case <-ctx.Done():
		return "", ctx.Err()
	}
}

// errLeave says that a line has asked to end the shell.
var errLeave = errors.New("the shell ends")

// do does what a line asks for.
func (s *shell) do(ctx context.Context, request any) error {
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	switch r := request.(type) {
	case nameko.Call:
		result, err := resultOf(ctx, s.client, r)
		if err != nil {
			return err
		}
		return s.print(s.out, result)
	case dispatch:
		return s.publisher(r.source).Publish(ctx, nameko.Event{Type: r.event, Payload: r.payload})
	case explain:
		return s.explain(r.topic)
	case listServices:
		return s.listServices()
	case leave:
		return errLeave
	}
	return nil
}

// publisher returns what publishes a service's events as that service does: who
// must not miss them gets them.
func (s *shell) publisher(source string) *nameko.Publisher {
	if s.publishers[source] == nil {
		var subscribers []nameko.Subscriber
		for _, sub := range rpc.Subscribers() {
			if sub.Source == source {
				subscribers = append(subscribers, sub)
			}
		}
		s.publishers[source] = nameko.NewPublisher(s.broker, source, subscribers...)
	}
	return s.publishers[source]
}

func printLine(out io.Writer, result json.RawMessage) error {
	var line bytes.Buffer
	if err := json.Compact(&line, result); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, line.String())
	return err
}
