package main

import (
	"fmt"
	"math"
	"strconv"

	"github.com/go-analyze/charts"
)

// picture is a drawing of charts side by side, with the same lines over the same
// amounts.
type picture struct {
	title   string
	axis    string   // what the amounts are of
	amounts []int    // the places on the horizontal axis, evenly apart: powers of ten make it logarithmic
	labels  []string // of the lines
	panels  []panel
}

// panel is one chart.
type panel struct {
	title string
	lines [][]float64 // of each label, a value for each amount
}

// Sizes in pixels. GitHub shows a document some 850 wide.
const (
	pictureWidth = 860
	headHeight   = 64 // title and legend
	panelHeight  = 340
	margin       = 14
)

// theme is the same on light and on dark pages, as the picture has a ground of its
// own. The colors are Okabe's and Ito's, which differ for the color-blind too.
var theme = charts.MakeTheme(charts.ThemeOption{
	BackgroundColor:    charts.ColorWhite,
	TextColor:          charts.ParseColor("#1f2328"),
	AxisStrokeColor:    charts.ParseColor("#59636e"),
	AxisSplitLineColor: charts.ParseColor("#d1d9e0"),
	SeriesColors: []charts.Color{
		charts.ParseColor("#0072b2"), charts.ParseColor("#d55e00"), charts.ParseColor("#009e73"),
		charts.ParseColor("#cc79a7"), charts.ParseColor("#e69f00"), charts.ParseColor("#56b4e9"),
	},
})

// svg draws the picture. Vertical axes begin at 0.
func (p picture) svg() ([]byte, error) {
	painter := charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputSVG, Width: pictureWidth, Height: headHeight + panelHeight, Theme: theme,
	})
	painter.FilledRect(0, 0, pictureWidth, headHeight+panelHeight, charts.ColorWhite, charts.ColorWhite, 0)
	painter.Text(p.title, margin, 26, 0, font(13))
	p.drawLegend(painter)
	width := pictureWidth / len(p.panels)
	for i, panel := range p.panels {
		place := charts.Box{Left: i * width, Right: (i + 1) * width, Top: headHeight, Bottom: headHeight + panelHeight, IsSet: true}
		if err := painter.Child(charts.PainterBoxOption(place)).LineChart(p.chart(panel)); err != nil {
			return nil, fmt.Errorf("draw %q of %q: %w", panel.title, p.title, err)
		}
	}
	return painter.Bytes()
}

// drawLegend draws one for all panels: they have the same lines.
func (p picture) drawLegend(painter *charts.Painter) {
	const y, sample, gap, apart = 52, 22, 6, 20
	x := margin
	for i, label := range p.labels {
		painter.LineStroke([]charts.Point{{X: x, Y: y - 4}, {X: x + sample, Y: y - 4}}, theme.GetSeriesColor(i), 3)
		x += sample + gap
		painter.Text(label, x, y, 0, font(10))
		x += painter.MeasureText(label, 0, font(10)).Width() + apart
	}
}

func (p picture) chart(panel panel) charts.LineChartOption {
	o := charts.NewLineChartOptionWithData(panel.lines)
	o.Theme = theme
	o.Title = charts.TitleOption{Text: panel.title, FontStyle: font(11)}
	o.XAxis = charts.XAxisOption{Title: p.axis, LabelFontStyle: font(10), TitleFontStyle: font(10)}
	for _, n := range p.amounts {
		o.XAxis.Labels = append(o.XAxis.Labels, shortly(n))
	}
	format := func(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
	o.YAxis = []charts.YAxisOption{{Min: charts.Ptr(0.0), Max: charts.Ptr(ceiling(panel.lines)), LabelCount: 6, LabelFontStyle: font(10), ValueFormatter: format}}
	o.LineStrokeWidth = 2
	o.Padding = charts.NewBoxEqual(margin)
	return o
}

func font(size float64) charts.FontStyle {
	return charts.NewFontStyleWithSize(size).WithColor(theme.GetTitleTextColor())
}

// ceiling returns where a vertical axis of five steps ends: above all lines, with
// steps of 1, 2 or 5 times a power of ten.
func ceiling(lines [][]float64) float64 {
	largest := 0.0
	for _, line := range lines {
		for _, v := range line {
			largest = max(largest, v)
		}
	}
	if largest == 0 {
		return 1
	}
	power := math.Pow(10, math.Floor(math.Log10(largest/5)))
	for _, step := range []float64{1, 2, 5} {
		if 5*step*power >= largest {
			return 5 * step * power
		}
	}
	return 50 * power
}

// shortly writes 100000 as 100k and 1000000 as 1M.
func shortly(n int) string {
	switch {
	case n >= 1_000_000 && n%1_000_000 == 0:
		return fmt.Sprint(n/1_000_000) + "M"
	case n >= 1000 && n%1000 == 0:
		return fmt.Sprint(n/1000) + "k"
	}
	return fmt.Sprint(n)
}
