package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// tick is the unit of processor time in /proc/PID/stat: USER_HZ, which is 100
// on every architecture that Go runs on.
const tick = 10 * time.Millisecond

// usage is the processor time of a process, and of its children that have ended.
type usage struct{ own, ended time.Duration }

// stat reads /proc/PID/stat; see proc(5).
func stat(pid int) (parent int, u usage, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, u, err
	}
	// The name of the program, in parentheses, may contain anything.
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	if len(fields) < 15 {
		return 0, u, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	number := func(i int) time.Duration {
		n, _ := strconv.ParseInt(fields[i-3], 10, 64) // fields[0] is the third
		return time.Duration(n)
	}
	parent = int(number(4))
	return parent, usage{(number(14) + number(15)) * tick, (number(16) + number(17)) * tick}, nil
}

// family gives a process and its children.
func family(root int) []int {
	pids := []int{root}
	entries, _ := filepath.Glob("/proc/[0-9]*")
	for _, e := range entries {
		pid, err := strconv.Atoi(filepath.Base(e))
		if err != nil || pid == root {
			continue
		}
		if parent, _, err := stat(pid); err == nil && parent == root {
			pids = append(pids, pid)
		}
	}
	return pids
}

// cpu adds up the processor time of the families of some processes, of
// children that ended too.
func cpu(roots ...int) time.Duration {
	var sum time.Duration
	for _, root := range roots {
		for _, pid := range family(root) {
			if _, u, err := stat(pid); err == nil {
				sum += u.own
				if pid == root {
					sum += u.ended
				}
			}
		}
	}
	return sum
}

// memory gives what the families of some processes hold in bytes: each process's
// share of what several map (PSS), and what is theirs alone (USS).
func memory(roots ...int) (pss, uss int64, err error) {
	for _, root := range roots {
		for _, pid := range family(root) {
			text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
			if pid != root && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)) {
				continue // a child that ended meanwhile
			}
			if err != nil {
				return 0, 0, err
			}
			for line := range strings.Lines(string(text)) {
				name, rest, _ := strings.Cut(line, ":")
				kib, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				switch name {
				case "Pss":
					pss += kib << 10
				case "Private_Clean", "Private_Dirty":
					uss += kib << 10
				}
			}
		}
	}
	return pss, uss, nil
}

// rest waits, unless the context ends first.
func rest(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
