// SPDX-License-Identifier: Apache-2.0

package main

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
	"k8s.io/cli-runtime/pkg/printers"
)

// progressAfter is how long work takes before its progress is shown.
const progressAfter = time.Second

// progress shows on a terminal how far long work is, and nothing elsewhere. It is for one
// goroutine.
type progress struct {
	w     io.Writer
	since time.Time
	what  string
	total int
	count int
	// shown is true once anything was shown.
	shown bool
	bar   *progressbar.ProgressBar
}

func newProgress(w io.Writer) *progress {
	if !printers.AllowsColorOutput(w) {
		w = nil
	}
	return &progress{w: w, since: time.Now()}
}

// begin begins a part of the work, of so many steps, or of -1 where that is not known.
func (p *progress) begin(what string, total int) {
	p.done()
	p.what, p.total, p.count = what, total, 0
}

// step says that a step is done.
func (p *progress) step() {
	p.count++
	if p.w == nil || (p.bar == nil && time.Since(p.since) < progressAfter) {
		return
	}
	if p.bar == nil {
		p.shown = true
		p.bar = progressbar.NewOptions(p.total,
			progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(p.what), progressbar.OptionShowCount(),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionFullWidth())
	}
	// What cannot be shown is no reason to stop.
	_ = p.bar.Set(p.count)
}

// done takes the progress off the terminal.
func (p *progress) done() {
	if p.bar != nil {
		_ = p.bar.Clear()
		p.bar = nil
	}
}
