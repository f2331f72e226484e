package report

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

// A disk is judged by what it has less of, bytes or inodes, for others than root.
func TestSpace(t *testing.T) {
	t.Parallel()
	const GiB = 1 << 18 // blocks of 4 KiB
	for want, st := range map[string]unix.Statfs_t{
		"ok /x has 40 GiB free, 10 % of its bytes":        {Blocks: 400 * GiB, Bfree: 80 * GiB, Bavail: 40 * GiB},
		"warning /x has 39 GiB free, 9 % of its bytes":    {Blocks: 400 * GiB, Bfree: 80 * GiB, Bavail: 40*GiB - 1},
		"warning /x has 8192 MiB free, 2 % of its bytes":  {Blocks: 400 * GiB, Bavail: 8 * GiB},
		"failed /x has 8191 MiB free, 1 % of its bytes":   {Blocks: 400 * GiB, Bavail: 8*GiB - 1},
		"failed /x has 40 KiB free, 0 % of its bytes":     {Blocks: 400 * GiB, Bavail: 10},
		"failed /x has 8192 bytes free, 0 % of its bytes": {Blocks: 400 * GiB, Bavail: 2},
		"ok /x has 200 GiB free, 50 % of its bytes":       {Blocks: 400 * GiB, Bavail: 200 * GiB, Files: 100, Ffree: 50},
		"ok /x has 200 GiB free, 49 % of its inodes":      {Blocks: 400 * GiB, Bavail: 200 * GiB, Files: 100, Ffree: 49},
		"warning /x has 200 GiB free, 9 % of its inodes":  {Blocks: 400 * GiB, Bavail: 200 * GiB, Files: 100, Ffree: 9},
		"failed /x has 200 GiB free, 1 % of its inodes":   {Blocks: 400 * GiB, Bavail: 200 * GiB, Files: 100, Ffree: 1},
		"failed /x has 0 bytes free, 0 % of its bytes":    {Blocks: 400 * GiB, Files: 100, Ffree: 100},
		"ok /x has 0 bytes free, 100 % of its bytes":      {}, // a file system that does not count
		"ok /x has 4000 TiB free, 97 % of its bytes":      {Blocks: 4096 * 1024 * GiB, Bavail: 4000 * 1024 * GiB},
		"warning /x has 2048 GiB free, 5 % of its bytes":  {Blocks: 40 * 1024 * GiB, Bavail: 2 * 1024 * GiB},
		"ok /x has 20 GiB free, 100 % of its bytes":       {Blocks: 20 * GiB, Bavail: 20 * GiB},
		"warning /x has 40 GiB free, 9 % of its inodes":   {Blocks: 400 * GiB, Bavail: 40 * GiB, Files: 1000, Ffree: 99},
		"failed /x has 200 GiB free, 0 % of its inodes":   {Blocks: 400 * GiB, Bavail: 200 * GiB, Files: 100},
	} {
		st.Bsize = 4096
		got := space("/x", &st)
		if text := string(got.Verdict) + " " + got.Text; text != want {
			t.Errorf("got %q, want %q", text, want)
		}
		if (got.Verdict == OK) != (got.Remedy == "") {
			t.Errorf("%q with the remedy %q", want, got.Remedy)
		}
	}
}

// Where clients are expected is what the unit of the socket says, if there is one.
func TestAddressesAreThoseOfTheSocket(t *testing.T) {
	t.Parallel()
	for out, want := range map[string]string{
		"127.0.0.1:8000 (Stream)\n":                          "[127.0.0.1:8000]",
		"[::]:443 (Stream)\n/run/middleware.sock (Stream)\n": "[[::]:443 unix:/run/middleware.sock]",
		"\n": "[unix:/setting]",
	} {
		shown := func(context.Context, ...string) ([]byte, error) { return []byte(out), nil }
		if got := fmt.Sprint(addresses(t.Context(), shown, []string{"unix:/setting"})); got != want {
			t.Errorf("%q gives %s, want %s", out, got, want)
		}
	}
	none := func(context.Context, ...string) ([]byte, error) { return nil, errNoSystemd }
	if got := addresses(t.Context(), none, []string{"unix:/setting"}); len(got) != 1 || got[0] != "unix:/setting" {
		t.Errorf("without systemd: %v", got)
	}
}
