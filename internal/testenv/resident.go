package testenv

import (
	"bytes"
	"os"
	"strconv"
	"testing"
)

// FileResident is the part of a process's memory that maps files, in KiB.
// The process is a number, or "self".
func FileResident(tb testing.TB, process string) int {
	tb.Helper()
	status, err := os.ReadFile("/proc/" + process + "/status")
	if err != nil {
		tb.Fatal(err)
	}
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == "RssFile:" {
			n, err := strconv.Atoi(string(fields[1]))
			if err != nil {
				tb.Fatal(err)
			}
			return n
		}
	}
	tb.Fatal("no RssFile")
	return 0
}
