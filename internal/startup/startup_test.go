package startup

import (
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// Giving back the memory of the start makes the process smaller, and it goes
// on working.
func TestRelease(t *testing.T) {
	before := testenv.FileResident(t, "self")
	Release()
	if after := testenv.FileResident(t, "self"); after >= before {
		t.Errorf("%d KiB of files resident before, %d after", before, after)
	}
	Release()
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
