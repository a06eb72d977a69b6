// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// folder is where a demo keeps its files. A lock in it says whether one is
// running: the system releases it however a process ends.
type folder string

func (f folder) path(name string) string {
	return filepath.Join(string(f), name)
}

func (f folder) lockFile() string  { return f.path("lock") }
func (f folder) stateFile() string { return f.path("state.json") }
func (f folder) holderLog() string { return f.path("demo.log") }

// lock takes the folder for this process and empties it.
func (f folder) lock() (unlock func(), err error) {
	if err := os.MkdirAll(string(f), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.lockFile(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		_ = file.Close()
		return nil, f.inUse()
	}
	if err == nil {
		err = errors.Join(file.Truncate(0), f.clear())
	}
	if err == nil {
		_, err = fmt.Fprintln(file, os.Getpid())
	}
	if err != nil {
		_ = file.Close()
		return nil, err
	}
	return func() { _ = file.Close() }, nil
}

// inUse is the error of a second demo.
func (f folder) inUse() error {
	if _, err := f.state(); err != nil {
		return fmt.Errorf("another demo is running in this checkout (process %d); wait for its end", f.holder())
	}
	return fmt.Errorf("a demo was left running in this checkout (process %d); use it with export KUBECONFIG=%s, or stop it with make demo-stop",
		f.holder(), f.absolute("kubeconfig"))
}

// locked reports whether a process has the folder.
func (f folder) locked() (bool, error) {
	file, err := os.Open(f.lockFile())
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer func() { _ = file.Close() }()
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

// holder is the process that has the folder, 0 when it cannot be told.
func (f folder) holder() int {
	content, err := os.ReadFile(f.lockFile())
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(content)))
	if err != nil {
		return 0
	}
	return pid
}

// clear removes what is in the folder, except the lock.
func (f folder) clear() error {
	entries, err := os.ReadDir(string(f))
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if path := f.path(entry.Name()); path != f.lockFile() && path != f.holderLog() {
			errs = append(errs, os.RemoveAll(path))
		}
	}
	return errors.Join(errs...)
}

// setState says that everything is running.
func (f folder) setState(t target) error {
	content, err := json.MarshalIndent(t, "", "  ")
	if err != nil {
		return err
	}
	// Whoever sees the file sees all of it.
	unfinished := f.path("state.new")
	if err := os.WriteFile(unfinished, content, 0o644); err != nil {
		return err
	}
	return os.Rename(unfinished, f.stateFile())
}

// state is what setState wrote; its error is os.ErrNotExist before that.
func (f folder) state() (target, error) {
	var t target
	content, err := os.ReadFile(f.stateFile())
	if err != nil {
		return t, err
	}
	return t, json.Unmarshal(content, &t)
}

// absolute is the path to print for other folders than the root.
func (f folder) absolute(name string) string {
	path, err := filepath.Abs(f.path(name))
	if err != nil {
		return f.path(name)
	}
	return path
}
