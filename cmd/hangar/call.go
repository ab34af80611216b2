package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/spf13/cobra"

	"hangar/nameko"
)

func rpcCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rpc SERVICE.METHOD [ARG...] [name=value...]",
		Short: "Call a method of a service over the message broker",
		Long: `Call a method of a service over the message broker, and print what it returns
as JSON. The service may be hangar's or a Python one.

An argument that is JSON is sent as that, any other as a string: 1 is a number,
'"1"' and one are strings. After -- all arguments are positional.`,
		Example: `  hangar rpc products.get the_odyssey
  hangar rpc products.create '{"id": "a", "title": "A", "passenger_capacity": 1, "maximum_speed": 1, "in_stock": 5}'
  hangar rpc orders.get_order order_id=1`,
		Args: wrongUsage(cobra.MinimumNArgs(1)),
	}
	addFlags(cmd.Flags(), "amqp", "log-level", "log-format")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		call, err := parseCall(args, cmd.ArgsLenAtDash())
		if err != nil {
			return err
		}
		return withBroker(cmd, getenv, slog.LevelError, func(ctx context.Context, broker *nameko.Broker) error {
			return callMethod(ctx, broker, call, cmd.OutOrStdout())
		})
	}
	return cmd
}

var keyword = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*=`)

// parseCall reads a command line; from index dash on there are no keywords, -1
// is nowhere.
func parseCall(args []string, dash int) (nameko.Call, error) {
	service, method, ok := splitMethod(args[0])
	if !ok {
		return nameko.Call{}, usagef("%q is no method, such as products.get", args[0])
	}
	call := nameko.Call{Service: service, Method: method, Kwargs: make(map[string]any)}
	for i, arg := range args[1:] {
		if keyword.MatchString(arg) && (dash < 0 || i+1 < dash) {
			name, value, _ := strings.Cut(arg, "=")
			call.Kwargs[name] = argument(value)
			continue
		}
		call.Args = append(call.Args, argument(arg))
	}
	return call, nil
}

// splitMethod takes the full name of a method apart.
func splitMethod(name string) (service, method string, ok bool) {
	service, method, _ = strings.Cut(name, ".")
	return service, method, service != "" && method != ""
}

// argument returns JSON as it is, and other text as a string.
func argument(text string) any {
	if json.Valid([]byte(text)) {
		return json.RawMessage(text)
	}
	return text
}

func callMethod(ctx context.Context, broker *nameko.Broker, call nameko.Call, out io.Writer) error {
	client := nameko.NewClient(broker, "hangar")
	stage := startStage(ctx, make(chan struct{}, 1), []task{client.Run})
	result, err := resultOf(ctx, client, call)
	if err := errors.Join(err, stage.end(stopTimeout)); err != nil {
		return err
	}
	return printIndented(out, result)
}

// resultOf calls a method and returns its result as JSON. Of what it raised the
// error has the full name.
func resultOf(ctx context.Context, client *nameko.Client, call nameko.Call) (json.RawMessage, error) {
	reply, err := client.Call(ctx, call)
	if failure, ok := errors.AsType[*nameko.Error](err); ok {
		return nil, fmt.Errorf("%s: %s", failure.Path, failure.Value)
	}
	if err != nil {
		return nil, err
	}
	var result json.RawMessage
	err = reply.Decode(&result)
	return result, err
}

func printIndented(out io.Writer, result json.RawMessage) error {
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, result, "", "  "); err != nil {
		return err
	}
	_, err := fmt.Fprintln(out, pretty.String())
	return err
}

func eventsCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events SOURCE EVENT",
		Short: "Print the events of a service as they come",
		Long: `Print the events of a service as they come, one line of JSON each, until the
command is ended. It takes them from nobody: it has a queue of its own, which
goes when it does.

parked and replay deal with events that could not be handled.`,
		Example: `  hangar events orders order_created
  hangar events parked
  hangar events replay`,
		Args: wrongUsage(cobra.ExactArgs(2)),
	}
	cmd.AddCommand(parkedCommand(getenv), replayCommand(getenv))
	addFlags(cmd.Flags(), "amqp", "log-level", "log-format")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		return withBroker(cmd, getenv, slog.LevelWarn, func(ctx context.Context, broker *nameko.Broker) error {
			return printEvents(ctx, broker, args[0], args[1], cmd.OutOrStdout())
		})
	}
	return cmd
}

func printEvents(ctx context.Context, broker *nameko.Broker, source, event string, out io.Writer) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	server := nameko.NewServer(broker, "hangar", 1, 0) // one at a time, in their order
	sub := nameko.Subscription{Source: source, Event: event, Method: "events", Kind: nameko.Broadcast}
	server.HandleEvent(sub, func(_ context.Context, e nameko.Event) error {
		var line bytes.Buffer
		if err := json.Compact(&line, e.Payload); err != nil {
			return fmt.Errorf("%w: %w", nameko.ErrUnusable, err)
		}
		if _, err := fmt.Fprintln(out, line.String()); err != nil {
			stop(err) // who read them has left
		}
		return nil
	})
	err := server.Run(ctx)
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) {
		err = errors.Join(err, cause)
	}
	return err
}

// withBroker runs do beside a connection to the broker that is configured. Unless
// a level of the log is asked for, it is the given one.
func withBroker(cmd *cobra.Command, getenv func(string) string, quiet slog.Level, do func(context.Context, *nameko.Broker) error) error {
	return withConfig(cmd, getenv, quiet, func(ctx context.Context, _ *Config, broker *nameko.Broker) error { return do(ctx, broker) })
}

// withConfig is withBroker where do wants to know how it is configured, too.
func withConfig(cmd *cobra.Command, getenv func(string) string, quiet slog.Level, do func(context.Context, *Config, *nameko.Broker) error) error {
	c, err := loadConfig(cmd.Flags(), getenv)
	if err != nil {
		return err
	}
	if c.AMQP == "" {
		return usagef("there is no message broker to ask; name one with --amqp or AMQP_URI, such as amqp://guest:guest@localhost " +
			"(a store that is one process has none: ask it over HTTP)")
	}
	if origin := c.Origins["log-level"]; origin.Source == "default" {
		c.LogLevel = quiet
	}
	broker, err := newBroker(c, nil, nil, c.logger(cmd.ErrOrStderr()))
	if err != nil {
		return err
	}
	stage := startStage(context.WithoutCancel(cmd.Context()), make(chan struct{}, 1), []task{broker.Run})
	err = do(cmd.Context(), c, broker)
	return errors.Join(err, stage.end(stopTimeout))
}
