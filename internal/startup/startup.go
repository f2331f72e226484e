// Package startup gives back the memory that only the start of a program needs.
package startup

import (
	"bytes"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Release gives back what only the start has needed: free memory, and
// the pages of the program itself, most of which are tables and initialisers
// that nobody looks at again. What is needed after all comes back from the page
// cache, where all workers share it.
func Release() {
	debug.FreeOSMemory()
	if !loadedAsBuilt() {
		return
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for line := range bytes.Lines(maps) {
		if from, size, ok := readOnlyMapping(string(line), exe); ok {
			// Never for a writable mapping: its content would be lost.
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, from, uintptr(size), unix.MADV_DONTNEED)
		}
	}
}

// loadedAsBuilt tells that the program runs at the addresses that it was linked
// for. Where it does not, the loader has put them into pages that were made
// read-only afterwards, and that the file does not hold.
func loadedAsBuilt() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-buildmode", Value: "exe"})
}

// readOnlyMapping reads a line of proc_pid_maps(5); ok is false unless it is a
// mapping of the file that cannot be written to.
func readOnlyMapping(line, file string) (from uintptr, size int, ok bool) {
	fields := strings.Fields(line)
	if len(fields) < 6 || fields[5] != file || len(fields[1]) != 4 || fields[1][1] == 'w' {
		return 0, 0, false
	}
	first, last, _ := strings.Cut(fields[0], "-")
	a, err := strconv.ParseUint(first, 16, 64)
	if err != nil {
		return 0, 0, false
	}
	b, err := strconv.ParseUint(last, 16, 64)
	if err != nil || b <= a {
		return 0, 0, false
	}
	return uintptr(a), int(b - a), true
}
