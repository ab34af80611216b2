package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// sample is one line that k6 writes for each value of each metric, see
// https://grafana.com/docs/k6/latest/results-output/real-time/json/.
type sample struct {
	Metric string
	Data   struct {
		Time  time.Time
		Value float64
		Tags  struct {
			Label   string
			Outcome string // ok, failed or unanswered
		}
		Metadata struct {
			Check  string
			Status string
			Answer string
		}
	}
}

// k6 writes a dozen lines for a request. All but these are passed over unread.
var wanted = [][]byte{
	[]byte(`{"metric":"step","type":"Point"`),
	[]byte(`{"metric":"vus","type":"Point"`),
	[]byte(`{"metric":"dropped_iterations","type":"Point"`),
}

// readSamples gives each wanted sample to add until r ends. Lines that are no
// metrics are k6's words to the user, and go to words.
func readSamples(r io.Reader, words io.Writer, add func(sample)) error {
	lines := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			return errors.New("k6 wrote a line of more than a megabyte")
		}
		if len(line) > 0 {
			if err := readLine(line, words, add); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func readLine(line []byte, words io.Writer, add func(sample)) error {
	for _, prefix := range wanted {
		if !bytes.HasPrefix(line, prefix) {
			continue
		}
		var s sample
		if err := json.Unmarshal(line, &s); err != nil {
			return fmt.Errorf("k6 wrote %.200q, which is no metric: %w", line, err)
		}
		add(s)
		return nil
	}
	if bytes.HasPrefix(line, []byte(`{"metric":`)) || bytes.HasPrefix(line, []byte(`{"type":"Metric"`)) {
		return nil
	}
	_, err := words.Write(line)
	return err
}
