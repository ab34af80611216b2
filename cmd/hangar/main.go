// Command hangar is the store: it serves it, shows its configuration, and tries
// it out.
//
// This package wires a process and holds no rules of the store: which services
// run, where they keep their data, in what order they start and stop.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1
	exitUsage   = 2 // the command line or the configuration cannot be understood
)

// gcPercent is how much the heap may grow before it is collected. It holds a few
// megabytes, whatever is stored: collecting it at every doubling costs more time
// than it saves memory. GOGC overrides it.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		// The next signal does what signals do by default, and ends the process.
		signal.Reset(os.Interrupt, syscall.SIGTERM)
		cancel()
	}()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr, os.Getenv))
}

// run executes a command line and returns the exit code. When ctx is done, the
// command ends in good order.
func run(ctx context.Context, args []string, stdout, stderr io.Writer, getenv func(string) string) int {
	root := rootCommand(getenv)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	cmd, err := root.ExecuteContextC(ctx)
	if err == nil {
		return exitOK
	}
	message := strings.ReplaceAll(err.Error(), "\n", "; ")
	if _, ok := errors.AsType[*usageError](err); ok {
		fmt.Fprintf(stderr, "hangar: %s (see %s --help)\n", message, cmd.CommandPath())
		return exitUsage
	}
	fmt.Fprintf(stderr, "hangar: %s\n", message)
	return exitFailure
}

// usageError is what the user got wrong on the command line or in the
// configuration.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

func rootCommand(getenv func(string) string) *cobra.Command {
	root := &cobra.Command{
		Use:   "hangar COMMAND",
		Short: "A storefront backend: products with stock, orders, and an HTTP API",
		Example: `  hangar serve                   # the whole store, on http://127.0.0.1:8000
  hangar smoke                   # try out the store that runs there
  hangar config                  # what is set, and where it comes from`,
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
		Args:              cobra.ArbitraryArgs, // so that RunE sees an unknown command
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return unknownCommand(cmd, args[0])
			}
			return cmd.Help()
		},
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(
		serveCommand(getenv),
		configCommand(getenv),
		smokeCommand(getenv),
		rpcCommand(getenv),
		shellCommand(getenv),
		eventsCommand(getenv),
		versionCommand(),
		completionCommand(),
	)
	root.SetHelpCommand(helpCommand())
	return root
}

func unknownCommand(cmd *cobra.Command, name string) error {
	if similar := cmd.SuggestionsFor(name); len(similar) > 0 {
		return usagef("unknown command %q; did you mean %s?", name, strings.Join(similar, " or "))
	}
	return usagef("unknown command %q", name)
}

func helpCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "help [COMMAND]",
		Short: "Explain a command",
		RunE: func(cmd *cobra.Command, args []string) error {
			about, rest, err := cmd.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(cmd.Root(), strings.Join(args, " "))
			}
			about.InitDefaultHelpFlag()
			return about.Help()
		},
	}
}

// wrongUsage makes the complaint of an argument check one about usage.
func wrongUsage(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}
