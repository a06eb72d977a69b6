// SPDX-License-Identifier: Apache-2.0

// Command plot draws the figures that "go run ./e2e/bench -series FILE" has written, as
// SVG files in a folder. It is a module of its own, as nothing else needs to draw.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/plotutil"
	"gonum.org/v1/plot/vg"
)

// titles are the titles of the plots by their names, and of their axes.
var titles = map[string][3]string{
	"latency": {"Round trip of a review", "objects of each kind", "µs"},
	"sharing": {"Verdict on an Ingress whose host is shared", "Ingresses of the host", "µs"},
	"rules":   {"Verdict on an Ingress of many rules", "rules", "µs"},
	"heap":    {"Live heap of the cache", "objects of each kind", "MiB"},
}

func main() {
	flag.Usage = func() {
		fmt.Fprintln(flag.CommandLine.Output(), "usage: plot FIGURES.json FOLDER")
	}
	flag.Parse()
	if flag.NArg() != 2 {
		flag.Usage()
		os.Exit(2)
	}
	if err := draw(flag.Arg(0), flag.Arg(1)); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

// draw draws every plot of the file into the folder.
func draw(file, folder string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var plots map[string]map[string]plotter.XYs
	if err := json.Unmarshal(data, &plots); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	for _, name := range slices.Sorted(maps.Keys(plots)) {
		title, known := titles[name]
		if !known {
			return fmt.Errorf("%s: there is no plot %q", file, name)
		}
		if err := drawOne(filepath.Join(folder, name+".svg"), title, plots[name]); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func drawOne(file string, title [3]string, lines map[string]plotter.XYs) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = title[0], title[1], title[2]
	// Sizes grow tenfold from one to the next.
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	var all []any
	for _, name := range slices.Sorted(maps.Keys(lines)) {
		all = append(all, name, lines[name])
	}
	if err := plotutil.AddLinePoints(p, all...); err != nil {
		return err
	}
	// So that the legend stands above the lines.
	p.Y.Max *= 6
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, file)
}
