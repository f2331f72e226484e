package worker

import (
	"bytes"
	"os"
	"strconv"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// fileResident is the part of a process's memory that maps files, in KiB.
func fileResident(tb testing.TB, process string) int {
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

// Giving back the memory of the start makes the process smaller, and it goes
// on working.
func TestReleaseStartup(t *testing.T) {
	before := fileResident(t, "self")
	ReleaseStartup()
	if after := fileResident(t, "self"); after >= before {
		t.Errorf("%d KiB of files resident before, %d after", before, after)
	}
	ReleaseStartup()
}

// A worker does so by itself once it serves.
func TestAWorkerReleasesItsStart(t *testing.T) {
	t.Parallel()
	pid := strconv.Itoa(newManager(t).start(childOptions{}).ready().cmd.Process.Pid)
	before := fileResident(t, pid)
	testenv.Await(t, "less of the program to be resident", func() bool { return fileResident(t, pid) < before*3/4 })
}

// Only mappings of the program that cannot be written to are given back.
func TestReadOnlyMapping(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]int{
		"00400000-00402000 r-xp 00000000 08:01 5 /usr/bin/x\n":                          0x2000,
		"00400000-00403000 r--p 00000000 08:01 5                            /usr/bin/x": 0x3000,
		"00400000-00402000 rw-p 00000000 08:01 5 /usr/bin/x":                            0,
		"00400000-00402000 r-xp 00000000 08:01 5 /usr/bin/y":                            0,
		"c000000000-c000400000 r--p 00000000 00:00 0":                                   0,
		"00402000-00400000 r-xp 00000000 08:01 5 /usr/bin/x":                            0,
		"x-y r-xp 00000000 08:01 5 /usr/bin/x":                                          0,
	} {
		if _, size, ok := readOnlyMapping(line, "/usr/bin/x"); size != want || ok != (want > 0) {
			t.Errorf("%q: %d, %t; want %d", line, size, ok, want)
		}
	}
}
