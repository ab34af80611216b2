package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"unicode/utf8"

	"github.com/peterh/liner"
)

// maxRemembered is how many bytes of a line are worth remembering.
const maxRemembered = 4 << 10

// historyPath returns where lines are remembered: in the user's folder for the
// state of programs, as the XDG Base Directory Specification has it. "" is that
// there is none.
func historyPath(getenv func(string) string) string {
	folder := getenv("XDG_STATE_HOME")
	if !filepath.IsAbs(folder) {
		home, err := os.UserHomeDir()
		if err != nil {
			return ""
		}
		folder = filepath.Join(home, ".local", "state")
	}
	return filepath.Join(folder, "hangar", "shell_history")
}

// history is the file that remembers lines for the next time. Shells that run at
// the same time add to it in turn. Only its user can read it.
type history struct {
	file *os.File // nil is that nothing can be remembered
}

// openHistory returns the lines that a file remembers, the newest
// liner.HistoryLimit of them, and what adds to them. When there are more than
// twice as many, the others are removed.
func openHistory(path string) (*history, []string, error) {
	if path == "" {
		return nil, nil, errors.New("there is no home folder")
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, nil, err
	}
	lines, all, err := readHistory(path)
	if err == nil && all > 2*liner.HistoryLimit {
		err = writeHistory(path, lines)
	}
	if err != nil {
		return nil, nil, err
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if err := file.Chmod(0o600); err != nil {
		return nil, nil, errors.Join(err, file.Close())
	}
	return &history{file}, lines, nil
}

// readHistory returns the newest lines, and how many there are in all.
func readHistory(path string) (lines []string, all int, err error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	defer file.Close()
	scanner := bufio.NewScanner(file)
	for scanner.Scan() {
		all++
		if line := scanner.Text(); isRemembered(line) {
			lines = append(lines, line)
		}
		if len(lines) > liner.HistoryLimit {
			lines = lines[1:]
		}
	}
	return lines, all, scanner.Err()
}

// writeHistory replaces what is remembered.
func writeHistory(path string, lines []string) error {
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+"-")
	if err != nil {
		return err
	}
	_, err = io.WriteString(file, strings.Join(lines, "\n")+"\n")
	if err = errors.Join(err, file.Close()); err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(file.Name()))
	}
	return nil
}

func isRemembered(line string) bool {
	return strings.TrimSpace(line) != "" && len(line) <= maxRemembered && utf8.ValidString(line)
}

// add remembers a line. After an error nothing more is remembered.
func (h *history) add(line string) error {
	if h == nil || h.file == nil || !isRemembered(line) {
		return nil
	}
	if _, err := fmt.Fprintln(h.file, line); err != nil {
		h.file = nil
		return err
	}
	return nil
}
