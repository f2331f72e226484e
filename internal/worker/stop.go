package worker

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// StopReason is why a process went about its end.
type StopReason string

// The reasons. A process that is killed or crashes has no time to give one.
const (
	StopAge      StopReason = "age"
	StopRequests StopReason = "requests"
	StopMemory   StopReason = "memory"
	StopSignal   StopReason = "signal"
	StopFailure  StopReason = "failure" // a broken listener, or work that ended by itself
)

// stopFile begins the names of the files that count stops.
const stopFile = "stopped-"

// reasonOf gives the reason. A signal may reach the caller of Run before it reaches
// Run, and shows as the end of the context then.
func (w *worker) reasonOf(err error) StopReason {
	if r, ok := errors.AsType[*recycled](err); ok {
		return r.kind
	}
	if _, ok := errors.AsType[signalled](err); ok {
		return StopSignal
	}
	if asked := w.asked(); asked != nil && errors.Is(err, asked) {
		return StopSignal
	}
	return StopFailure
}

// countStop counts where the process is outlived: the file of the reason, in
// the runtime directory, gets one byte longer. Appending needs no lock. Without
// a directory nobody counts.
func countStop(dir string, reason StopReason) error {
	if dir == "" {
		return nil
	}
	f, err := os.OpenFile(filepath.Join(dir, stopFile+string(reason)), os.O_WRONLY|os.O_CREATE|os.O_APPEND|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("count a stop: %w", err)
	}
	_, err = f.WriteString(".")
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return fmt.Errorf("count a stop: %w", err)
	}
	return nil
}

// Stops tells how often processes with these runtime directories went about
// their end, by reason, since the directories were made. What cannot be read
// counts nothing.
func Stops(dirs ...string) map[string]int64 {
	counts := map[string]int64{}
	for _, reason := range []StopReason{StopAge, StopRequests, StopMemory, StopSignal, StopFailure} {
		counts[string(reason)] = 0
	}
	for _, dir := range dirs {
		files, _ := filepath.Glob(filepath.Join(dir, stopFile+"*")) // the pattern is good
		for _, path := range files {
			reason := strings.TrimPrefix(filepath.Base(path), stopFile)
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() {
				if _, known := counts[reason]; known {
					counts[reason] += info.Size()
				}
			}
		}
	}
	return counts
}
