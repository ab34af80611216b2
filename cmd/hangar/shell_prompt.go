package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/peterh/liner"

	"hangar/nameko"
)

const shellPrompt = "hangar> "

// converse asks for lines in a terminal until the user leaves or ctx is done. It
// remembers them in a file.
func (s *shell) converse(ctx context.Context, broker, path string) error {
	// From here on Ctrl-C ends a call and not the process; between calls it is a key
	// like any other, or means nothing.
	signal.Reset(os.Interrupt)
	signal.Notify(make(chan os.Signal, 1), os.Interrupt)
	s.print = printIndented
	terminal := liner.NewLiner()
	defer terminal.Close() // leaves the terminal as it was; says no more than that it is gone
	terminal.SetCtrlCAborts(true)
	terminal.SetTabCompletionStyle(liner.TabPrints)
	terminal.SetWordCompleter(complete)
	remembered, lines, err := openHistory(path)
	if err != nil {
		fmt.Fprintf(s.out, "lines are not remembered: %v\n", err)
	}
	for _, line := range lines {
		terminal.AppendHistory(line)
	}
	fmt.Fprintf(s.out, "%s: help explains, Tab completes, Ctrl-D ends\n", broker)
	for {
		line, err := await(ctx, func() (string, error) { return terminal.Prompt(shellPrompt) })
		switch {
		case errors.Is(err, liner.ErrPromptAborted):
			continue
		case errors.Is(err, io.EOF), ctx.Err() != nil:
			fmt.Fprintln(s.out)
			return nil
		case err != nil:
			return fmt.Errorf("read from the terminal: %w", err)
		}
		if isRemembered(line) {
			terminal.AppendHistory(line)
		}
		if err := remembered.add(line); err != nil {
			fmt.Fprintf(s.out, "lines are not remembered any more: %v\n", err)
		}
		if errors.Is(s.answer(ctx, line), errLeave) {
			return nil
		}
	}
}

// answer does what a line asks for, and says how it went and how long it took.
// The error is only that the user leaves.
func (s *shell) answer(ctx context.Context, line string) error {
	request, err := parseLine(line)
	if err != nil {
		fmt.Fprintln(s.out, err)
		return nil
	}
	began := time.Now()
	interruptible, stop := signal.NotifyContext(ctx, os.Interrupt)
	err = s.do(interruptible, request)
	interrupted := interruptible.Err() != nil
	stop()
	switch {
	case errors.Is(err, errLeave):
		return err
	case err != nil && interrupted && !errors.Is(err, nameko.ErrNoBroker):
		fmt.Fprintln(s.out, "given up; what was asked for may happen all the same")
	case err != nil:
		fmt.Fprintln(s.out, err)
	}
	switch request.(type) {
	case nameko.Call, dispatch:
		fmt.Fprintf(s.out, "(%v)\n", time.Since(began).Round(100*time.Microsecond))
	}
	return nil
}
