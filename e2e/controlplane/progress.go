// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress says how far one build is: on a terminal in one line that is
// rewritten, elsewhere in a plain line now and then. Lines stay below 80
// columns, since a line that wraps cannot be rewritten.
type progress struct {
	w        io.Writer
	label    string
	terminal bool
	start    time.Time
	finish   chan struct{}
	stopped  sync.WaitGroup

	mu         sync.Mutex
	downloads  int
	total      int // packages to compile; negative until that is known
	sofar      int
	isComplete bool
}

func newProgress(w io.Writer, label string) *progress {
	p := &progress{w: w, label: label, terminal: isTerminal(w), start: time.Now(), finish: make(chan struct{}), total: -1}
	interval := 20 * time.Second
	if p.terminal {
		interval = 250 * time.Millisecond
	}
	p.stopped.Go(func() {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-p.finish:
				return
			case <-ticker.C:
				p.print()
			}
		}
	})
	return p
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// stop prints how the build stands and nothing after that.
func (p *progress) stop() {
	close(p.finish)
	p.stopped.Wait()
	p.print()
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}

func (p *progress) print() {
	line := p.status(time.Since(p.start))
	if p.terminal {
		fmt.Fprint(p.w, "\r\x1b[K"+line)
		return
	}
	fmt.Fprintln(p.w, line)
}

func (p *progress) status(elapsed time.Duration) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var what string
	switch {
	case p.isComplete:
		what = "built"
	case p.total < 0 && p.downloads == 0:
		what = "reading packages"
	case p.total < 0:
		what = fmt.Sprintf("%d modules downloaded", p.downloads)
	case p.sofar < p.total:
		what = fmt.Sprintf("%d of %d packages", p.sofar, p.total)
	default:
		what = "linking"
	}
	return fmt.Sprintf("%s: %s, %s", p.label, what, elapsed.Round(time.Second))
}

func (p *progress) downloading()     { p.update(func() { p.downloads++ }) }
func (p *progress) expect(total int) { p.update(func() { p.total = total }) }
func (p *progress) compiled()        { p.update(func() { p.sofar++ }) }
func (p *progress) done()            { p.update(func() { p.isComplete = true }) }

func (p *progress) update(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}
