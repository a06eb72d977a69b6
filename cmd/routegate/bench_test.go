// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// BenchmarkCheck judges 1 000 files with 10 000 objects, 3 999 of them Ingresses, by a
// process with a terminal. It reports the most memory that the process had resident, the
// processor time that it took, and whether it showed its progress.
func BenchmarkCheck(b *testing.B) {
	dir, binary := b.TempDir(), filepath.Join(b.TempDir(), "routegate")
	writeCrowd(b, dir)
	if out, err := exec.CommandContext(b.Context(), "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v: %s", err, out)
	}
	var peak, cpu, shown float64
	for b.Loop() {
		cmd := exec.CommandContext(b.Context(), binary, "check", "-f", dir)
		start := time.Now()
		stderr, err := withTerminal(cmd)
		took := time.Since(start)
		// There are findings.
		if exit := (*exec.ExitError)(nil); !errors.As(err, &exit) || exit.ExitCode() != exitDiffers {
			b.Fatalf("%v: %s", err, stderr)
		}
		usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
		if !ok {
			b.Fatal("this system does not say what a process has used")
		}
		// Maxrss is in KiB on Linux.
		peak = max(peak, float64(usage.Maxrss)/1024)
		cpu += (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
		if strings.Contains(stderr, "reading manifests") || strings.Contains(stderr, "judging Ingresses") {
			shown++
		} else if took > 2*progressAfter {
			b.Errorf("it took %s, and showed no progress: %q", took, stderr)
		}
	}
	b.ReportMetric(peak, "peak-MiB")
	b.ReportMetric(cpu/float64(b.N), "cpu-s/op")
	b.ReportMetric(shown/float64(b.N), "shown/op")
}

// writeCrowd writes 1 000 files with ten objects each.
func writeCrowd(b *testing.B, dir string) {
	b.Helper()
	for i := range 1000 {
		var text strings.Builder
		text.WriteString(nginxClass)
		if i > 0 {
			text.Reset()
			text.WriteString(goodIngress)
		}
		for j := range 9 {
			text.WriteString("---\n")
			name := fmt.Sprintf("n%d-%d", i, j)
			switch j % 3 {
			case 0:
				text.WriteString(strings.NewReplacer("name: tls", "name: "+name, "tls.example", name+".example").Replace(missingTLS))
			case 1:
				text.WriteString(strings.Replace(webService, "name: web", "name: "+name, 1))
			default:
				text.WriteString("kind: Deployment\napiVersion: apps/v1\nmetadata: {name: " + name + "}\n")
			}
		}
		content := strings.ReplaceAll(text.String(), "namespace: shop", fmt.Sprintf("namespace: shop-%d", i))
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%d.yaml", i)), []byte(content), fs.FileMode(0o644)); err != nil {
			b.Fatal(err)
		}
	}
}

// withTerminal runs the command with a terminal for its standard error, and returns what
// that showed.
func withTerminal(cmd *exec.Cmd) (string, error) {
	terminal, side, err := pty.Open()
	if err != nil {
		return "", err
	}
	defer func() { _ = terminal.Close() }()
	cmd.Stderr = side
	err = errors.Join(pty.Setsize(side, &pty.Winsize{Rows: 24, Cols: 80}), cmd.Start())
	// The process has it open itself.
	err = errors.Join(err, side.Close())
	if err != nil {
		return "", err
	}
	var shown bytes.Buffer
	// It ends with an error when the process, which had it open last, ends.
	_, _ = shown.ReadFrom(terminal)
	return shown.String(), cmd.Wait()
}
