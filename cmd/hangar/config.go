package main

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// addFlags adds --config and the flags of the settings with the given names,
// all of them when none is given.
func addFlags(flags *pflag.FlagSet, names ...string) {
	flags.SortFlags = false
	for _, s := range settings() {
		if len(names) > 0 && !slices.Contains(names, s.name) {
			continue
		}
		flags.String(s.name, s.fallback, fmt.Sprintf("%s (environment %s)", s.usage, s.variables()))
	}
	flags.String("config", "", "YAML `FILE` with settings; flags and environment go before it")
}

// loadConfig settles every setting that has a flag: flags go before the
// environment, that before the file, and that before the defaults.
func loadConfig(flags *pflag.FlagSet, getenv func(string) string) (*Config, error) {
	path, err := flags.GetString("config")
	if err != nil {
		return nil, err
	}
	f, err := readFile(path, getenv)
	if err != nil {
		return nil, err
	}
	c := &Config{Origins: make(map[string]Origin), File: path, UnknownKeys: f.unknownKeys()}
	if c.Messaging, err = f.messaging(); err != nil {
		return nil, &usageError{err}
	}
	for _, s := range settings() {
		flag := flags.Lookup(s.name)
		if flag == nil {
			continue
		}
		origin, err := s.find(flag, getenv, f)
		if err == nil {
			err = s.set(c, origin.Text)
		}
		if err != nil {
			return nil, usagef("%s is %q (%s), want %w", s.name, mask(origin.Text), origin.Source, err)
		}
		c.Origins[s.name] = origin
	}
	return c, nil
}

// find returns the value that counts. The error says what is wanted of it.
func (s setting) find(flag *pflag.Flag, getenv func(string) string, f *file) (Origin, error) {
	if flag.Changed {
		return Origin{flag.Value.String(), "flag --" + s.name}, nil
	}
	for _, v := range s.env {
		origin := Origin{getenv(v.name), "environment " + v.name}
		if origin.Text == "" {
			continue
		}
		if v.value == nil {
			return origin, nil
		}
		meant, err := v.value(origin.Text)
		if err != nil {
			return origin, err
		}
		origin.Text = meant
		return origin, nil
	}
	text, err := f.value(s.key)
	if text != "" || err != nil {
		return Origin{text, fmt.Sprintf("file %s %s", f.path, strings.Join(s.key, "."))}, err
	}
	return Origin{s.fallback, "default"}, nil
}

// logger returns the log as configured, and warns there of keys in the file
// that say nothing: they may be misspelled.
func (c *Config) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if c.LogFormat == "text" || c.LogFormat == "auto" && isTerminal(w) {
		handler = slog.NewTextHandler(w, options)
	}
	log := slog.New(handler)
	for _, key := range c.UnknownKeys {
		log.Warn("unknown key in the configuration file", "file", c.File, "key", key)
	}
	return log
}

// print writes a table of the settings in force.
func (c *Config) print(w io.Writer) error {
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "SETTING\tVALUE\tSOURCE")
	for _, s := range settings() {
		origin := c.Origins[s.name]
		fmt.Fprintf(table, "%s\t%s\t%s\n", s.name, s.show(origin.Text), origin.Source)
	}
	return table.Flush()
}

// settingsTable explains where each setting can be given.
func settingsTable() string {
	var b strings.Builder
	table := tabwriter.NewWriter(&b, 0, 0, 3, ' ', 0)
	fmt.Fprintln(table, "FLAG\tENVIRONMENT\tKEY IN THE FILE\tDEFAULT")
	for _, s := range settings() {
		fmt.Fprintf(table, "--%s\t%s\t%s\t%s\n", s.name, s.variables(), strings.Join(s.key, "."), s.show(s.fallback))
	}
	table.Flush() // into memory: cannot fail
	return b.String()
}

func configCommand(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "Print what is configured, and where each value comes from",
		Long: `Print what is configured, and where each value comes from, passwords masked.

A flag goes before the environment, that before the file, and that before the
default. An empty environment variable counts as not set. PORT is that port on
all interfaces. A value in the file may hold ${NAME} and ${NAME:default}, which
the environment fills in.

` + settingsTable(),
		Example: `  hangar config
  hangar config --config config.yml
  PORT=80 hangar config`,
		Args: wrongUsage(cobra.NoArgs),
	}
	addFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := loadConfig(cmd.Flags(), getenv)
		if err != nil {
			return err
		}
		c.logger(cmd.ErrOrStderr())
		return c.print(cmd.OutOrStdout())
	}
	return cmd
}
