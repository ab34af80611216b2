package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"hangar/nameko"
	"hangar/rpc"
)

const (
	shownText = 60   // characters of a reason or a body that a table shows
	shownBody = 1000 // bytes of a body that are read for it
)

// parkedEvent is an event that somebody has to look at. A zero time is one that
// is not known.
type parkedEvent struct {
	Handler  string    `json:"handler"`  // the source's name
	Position int       `json:"position"` // among the handler's, from 1
	Event    string    `json:"event"`
	ParkedAt time.Time `json:"parked_at,omitzero"`
	FailedAt time.Time `json:"failed_at,omitzero"` // for the first time
	Tries    int64     `json:"tries"`
	Reason   string    `json:"reason"`
	Body     string    `json:"body"` // its beginning
	Size     int       `json:"size"` // of all the body, in bytes
}

// parkedEvents is a place where events are parked, in the order in which they
// came there.
type parkedEvents interface {
	// list returns the first events, at most that many, and how many there are. It
	// need not fill in the handler and the position.
	list(ctx context.Context, most int) (events []parkedEvent, all int, err error)

	// replay lets the first events be tried again, at most that many, and returns
	// how many.
	replay(ctx context.Context, most int) (int, error)
}

// parkedSource is such a place under its name, which the user gives and sees.
type parkedSource struct {
	name string
	parkedEvents
}

// parkedSources returns where events of the named handler may be parked; without
// a name, those of all handlers that hangar has.
func parkedSources(broker *nameko.Broker, name string) ([]parkedSource, error) {
	if strings.HasPrefix(name, "evt-") {
		return []parkedSource{{name, parkedInQueue{nameko.NewParked(broker, name)}}}, nil
	}
	var sources []parkedSource
	var names []string
	for _, s := range rpc.Subscribers() {
		handler := s.Service + "." + s.Method
		names = append(names, handler)
		if name == "" || name == handler {
			sources = append(sources, parkedSource{handler, parkedInQueue{nameko.NewParked(broker, s.Queue())}})
		}
	}
	if len(sources) == 0 {
		return nil, usagef("%q is neither %s nor the name of a queue of events, which begins with evt-", name, strings.Join(append(names, outboxName), " nor "))
	}
	return sources, nil
}

// parkedInQueue are the events that are parked at the broker.
type parkedInQueue struct{ parked *nameko.Parked }

func (p parkedInQueue) list(ctx context.Context, most int) ([]parkedEvent, int, error) {
	list, all, err := p.parked.List(ctx, most)
	events := make([]parkedEvent, len(list))
	for i, e := range list {
		events[i] = parkedEvent{Event: e.Type, ParkedAt: e.ParkedAt, FailedAt: e.FailedAt, Tries: e.Tries, Reason: e.Reason,
			Body: strings.ToValidUTF8(string(e.Body), "�"), Size: e.Size}
	}
	return events, all, err
}

func (p parkedInQueue) replay(ctx context.Context, most int) (int, error) {
	return p.parked.Replay(ctx, most)
}

func parkedCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "parked [HANDLER]",
		Short: "List the events that could not be handled",
		Long: `List the events that could not be handled: at once those that never can be, the
others after they were tried again for hours. They stay where they are, until
"hangar events replay" puts them back.

With a message broker, those are the events that a service failed to handle;
those that never left the orders' database are listed as orders.outbox.

A handler is named as in the list. That of another service is named by its
queue, such as evt-orders-order_created--mailer.on_order.`,
		Example: `  hangar events parked
  hangar events parked products.handle_order_created --limit 1000 --json`,
		Args: wrongUsage(cobra.MaximumNArgs(1)),
	}
	limit := cmd.Flags().Int("limit", 100, "list at most so many of each handler, the oldest first")
	asJSON := cmd.Flags().Bool("json", false, "print a line of JSON for each, with more of the body")
	addFlags(cmd.Flags(), "amqp", "orders-db", "data", "log-level", "log-format")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *limit < 1 {
			return usagef("limit is %d, want 1 or more", *limit)
		}
		show := showTable
		if *asJSON {
			show = showLines
		}
		return withParked(cmd, getenv, args, func(ctx context.Context, sources []parkedSource) error {
			return listParked(ctx, sources, *limit, cmd.OutOrStdout(), show)
		})
	}
	return cmd
}

func replayCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "replay [HANDLER]",
		Short: "Put events that could not be handled back, to be tried again",
		Long: `Put the events that "hangar events parked" lists back into their queue, the
oldest first: all of them, or those of one handler. They are tried again as if
they were new. One may be handled twice if this is interrupted, as any event may.`,
		Example: `  hangar events replay
  hangar events replay products.handle_order_created --limit 1`,
		Args: wrongUsage(cobra.MaximumNArgs(1)),
	}
	limit := cmd.Flags().Int("limit", 0, "put back at most so many of each handler; 0 is all")
	addFlags(cmd.Flags(), "amqp", "orders-db", "data", "log-level", "log-format")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if *limit < 0 {
			return usagef("limit is %d, want 0 or more", *limit)
		}
		return withParked(cmd, getenv, args, func(ctx context.Context, sources []parkedSource) error {
			return replayParked(ctx, sources, *limit, cmd.OutOrStdout())
		})
	}
	return cmd
}

// withParked runs do with the places that the arguments name: the broker's
// queues, and the outbox, as far as they are configured.
func withParked(cmd *cobra.Command, getenv func(string) string, args []string, do func(context.Context, []parkedSource) error) error {
	name := strings.Join(args, "")
	c, err := loadConfig(cmd.Flags(), getenv)
	if err != nil {
		return err
	}
	var outbox []parkedSource
	if name == "" || name == outboxName {
		p, err := openOutbox(cmd.Context(), c, slog.New(slog.DiscardHandler))
		if err != nil {
			return err
		}
		if p != nil {
			defer p.Close()
			outbox = append(outbox, parkedSource{outboxName, p})
		}
	}
	if len(outbox) > 0 && (c.AMQP == "" || name == outboxName) {
		return do(cmd.Context(), outbox)
	}
	if name == outboxName { // which no broker has
		return usagef("there is nothing to look into: no orders are in %s; name their database with --data or --orders-db", c.Data)
	}
	if c.AMQP == "" {
		return usagef("there is nothing to look into: no orders are in %s; name their database with --data or --orders-db, "+
			"or a message broker with --amqp", c.Data)
	}
	return withBroker(cmd, getenv, slog.LevelError, func(ctx context.Context, broker *nameko.Broker) error {
		sources, err := parkedSources(broker, name)
		if err != nil {
			return err
		}
		return do(ctx, append(sources, outbox...))
	})
}

// listParked shows what it finds, even if it does not find everything.
func listParked(ctx context.Context, sources []parkedSource, most int, out io.Writer, show showParked) error {
	var events []parkedEvent
	var errs []error
	left := 0
	for _, s := range sources {
		found, all, err := s.list(ctx, most)
		if err != nil {
			errs = append(errs, fmt.Errorf("list what is parked of %s: %w", s.name, err))
		}
		for i := range found {
			found[i].Handler, found[i].Position = s.name, i+1
		}
		events = append(events, found...)
		left += max(0, all-len(found))
	}
	if err := errors.Join(errs...); err != nil && len(events) == 0 {
		return err
	}
	return errors.Join(append(errs, show(out, events, left))...)
}

// showParked prints events, of which so many more are left out.
type showParked func(out io.Writer, events []parkedEvent, left int) error

func showTable(out io.Writer, events []parkedEvent, left int) error {
	if len(events) == 0 {
		_, err := fmt.Fprintln(out, "no events are parked")
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "HANDLER\t#\tEVENT\tPARKED\tTRIES\tREASON\tBODY")
	for _, e := range events {
		parked := "?"
		if !e.ParkedAt.IsZero() {
			parked = e.ParkedAt.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%d\t%s\t%s\n", e.Handler, e.Position, onOneLine(e.Event), parked, e.Tries, onOneLine(e.Reason), onOneLine(e.Body))
	}
	if err := table.Flush(); err != nil || left == 0 {
		return err
	}
	_, err := fmt.Fprintf(out, "and %d more; --limit shows them\n", left)
	return err
}

func showLines(out io.Writer, events []parkedEvent, _ int) error {
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for _, e := range events {
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	return nil
}

// onOneLine returns the beginning of a text, without what a terminal would obey.
func onOneLine(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if runes := []rune(text); len(runes) > shownText {
		return string(runes[:shownText-1]) + "…"
	}
	return text
}

// replayParked says how many it has put back, also when it fails in between.
func replayParked(ctx context.Context, sources []parkedSource, most int, out io.Writer) error {
	if most == 0 {
		most = math.MaxInt
	}
	var errs []error
	for _, s := range sources {
		n, err := s.replay(ctx, most)
		if err != nil {
			errs = append(errs, fmt.Errorf("replay what is parked of %s: %w", s.name, err))
		}
		if _, err := fmt.Fprintf(out, "%s: %d replayed\n", s.name, n); err != nil {
			return err
		}
	}
	return errors.Join(errs...)
}
