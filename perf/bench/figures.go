package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// figure is one point of the curves.
type figure struct {
	mode    string // process or services
	against string // products or orders: what differs from point to point
	stored  int    // of those
	label   string // of the requests
	samples int
	median  time.Duration
	p99     time.Duration
}

// writeFigures writes the figures as CSV, times in milliseconds.
func writeFigures(out io.Writer, figures []figure) error {
	w := csv.NewWriter(out)
	if err := w.Write([]string{"mode", "against", "stored", "label", "samples", "median_ms", "p99_ms"}); err != nil {
		return err
	}
	for _, f := range figures {
		err := w.Write([]string{f.mode, f.against, strconv.Itoa(f.stored), f.label, strconv.Itoa(f.samples),
			fmt.Sprintf("%.3f", inMilliseconds(f.median)), fmt.Sprintf("%.3f", inMilliseconds(f.p99))})
		if err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// drawn returns the picture of one mode's figures against products or orders.
func drawn(figures []figure, mode, against string) picture {
	p := picture{title: modes[mode] + ": response time against " + against + " stored", axis: against + " stored", labels: labels}
	medians, p99s := make([][]float64, len(labels)), make([][]float64, len(labels))
	for _, f := range figures {
		if f.mode != mode || f.against != against {
			continue
		}
		if !slices.Contains(p.amounts, f.stored) {
			p.amounts = append(p.amounts, f.stored)
		}
		i := slices.Index(labels, f.label)
		medians[i] = append(medians[i], inMilliseconds(f.median))
		p99s[i] = append(p99s[i], inMilliseconds(f.p99))
	}
	p.panels = []panel{{"median, ms", medians}, {"p99, ms", p99s}}
	return p
}

// keepFigures writes the figures and their pictures into the folder of the
// documents.
func keepFigures(docs string, figures []figure) error {
	for _, dir := range []string{"figures", "images"} {
		if err := os.MkdirAll(filepath.Join(docs, dir), 0o755); err != nil {
			return err
		}
	}
	table, err := os.Create(filepath.Join(docs, "figures", "response-times.csv"))
	if err != nil {
		return err
	}
	defer table.Close()
	if err := writeFigures(table, figures); err != nil {
		return err
	}
	var kept []string
	for _, f := range figures {
		path := filepath.Join(docs, "images", fmt.Sprintf("response-time-%s-%s.svg", f.mode, f.against))
		if slices.Contains(kept, path) {
			continue
		}
		kept = append(kept, path)
		svg, err := drawn(figures, f.mode, f.against).svg()
		if err != nil {
			return err
		}
		if err := os.WriteFile(path, svg, 0o644); err != nil {
			return err
		}
	}
	return table.Close()
}
