// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// binaryVariable names a routegate binary to use instead of building one.
const binaryVariable = "ROUTEGATE_BIN"

// Root returns the root folder of the repository that the working directory is
// in.
func Root(ctx context.Context) (string, error) {
	out, err := goCommand(ctx, "list", "-m", "-f", "{{.Dir}}")
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(out), nil
}

// Binary returns the path of a routegate binary: that of ROUTEGATE_BIN when it
// is set, else one that is built from the working tree into dir.
func Binary(ctx context.Context, dir string) (string, error) {
	if path := os.Getenv(binaryVariable); path != "" {
		path, err := filepath.Abs(path)
		if err != nil {
			return "", err
		}
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("ROUTEGATE_BIN: %w", err)
		}
		return path, nil
	}
	path := filepath.Join(dir, "routegate")
	_, err := goCommand(ctx, "build", "-o", path, "github.com/routegate/routegate/cmd/routegate")
	return path, err
}

func goCommand(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		return "", errors.New("go " + strings.Join(args, " ") + ": " + err.Error() + "\n" + stderr.String())
	}
	return string(out), nil
}
