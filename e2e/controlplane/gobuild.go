// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"time"
)

// buildFlags are what decides, together with goEnvironment, whether Go's build
// cache already holds a package. "go list" must get them too, or it counts
// packages of another build.
var buildFlags = []string{"-trimpath"}

func goEnvironment() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
}

// goBuild is the buildFunc that runs the go command.
func goBuild(ctx context.Context, c component, file, position string, w io.Writer) error {
	p := newProgress(w, fmt.Sprintf("controlplane: %s %s (%s)", c.name, c.version, position))
	defer p.stop()

	listing := append([]string{"list", "-deps", "-f", "{{.ImportPath}} {{.Stale}}"}, buildFlags...)
	packages := map[string]bool{}
	stale := 0
	err := goLines(ctx, c.dir, append(listing, c.pkg), p, func(line string) bool {
		path, isStale, _ := strings.Cut(line, " ")
		packages[path] = true
		if isStale == "true" {
			stale++
		}
		return true
	})
	if err != nil {
		return err
	}
	// The main package is always stale, as nothing installs the executable.
	// It is counted as the link step that ends the build.
	p.expect(stale - 1)

	building := append([]string{"build", "-v", "-ldflags", c.ldflags, "-o", file}, buildFlags...)
	err = goLines(ctx, c.dir, append(building, c.pkg), p, func(line string) bool {
		if !packages[line] {
			return false
		}
		p.compiled()
		return true
	})
	if err != nil {
		return err
	}
	p.done()
	return nil
}

// goOutput runs the go command in dir and returns what it wrote to standard
// output.
func goOutput(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := goCommand(ctx, dir, args)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w\n%s", args[0], err, strings.TrimSpace(stderr.String()))
	}
	return out, nil
}

// goLines runs the go command in dir and hands each line of its output to use. A
// line that use does not take becomes part of the error, should the command fail.
func goLines(ctx context.Context, dir string, args []string, p *progress, use func(line string) bool) error {
	cmd := goCommand(ctx, dir, args)
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		return err
	}
	exit := make(chan error, 1)
	go func() {
		exit <- cmd.Wait()
		_ = writer.Close()
	}()
	var rest []string
	lines := bufio.NewScanner(reader)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "go: downloading "):
			p.downloading()
		case !use(line):
			rest = append(rest, line)
		}
	}
	// Unblocks the command if the scanner gave up on an overlong line.
	_ = reader.Close()
	if err := <-exit; err != nil {
		return fmt.Errorf("go %s: %w\n%s", args[0], err, strings.Join(rest[max(0, len(rest)-40):], "\n"))
	}
	return nil
}

// goCommand prepares the go command. When ctx ends, the command is asked to
// stop and given a moment to remove its temporary files.
func goCommand(ctx context.Context, dir string, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = goEnvironment()
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}
