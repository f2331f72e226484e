package main

import (
	"context"
	"errors"
	"strings"
	"testing"
)

// What is missing is installed with one command when that may be done, and
// otherwise the person is told that command; nothing is run when nothing is missing.
func TestMissingProgramsAreInstalled(t *testing.T) {
	t.Parallel()
	const command = "apt-get update && apt-get install -y git postgresql"
	for name, c := range map[string]struct {
		root, apt, missing, works bool
		fails                     error
		ran                       string
		says                      []string // in the error; nothing: success
	}{
		"nothing missing":   {root: true, apt: true},
		"root":              {root: true, apt: true, missing: true, works: true, ran: command},
		"somebody else":     {apt: true, missing: true, says: []string{"git and postgresql missing; install with:", "sudo sh -c '" + command + "'"}},
		"no apt":            {root: true, missing: true, says: []string{"sudo sh -c '" + command + "'"}},
		"apt fails":         {root: true, apt: true, missing: true, fails: errors.New("exit status 100"), ran: command, says: []string{command, "exit status 100", "E: no network"}},
		"apt does not help": {root: true, apt: true, missing: true, ran: command, says: []string{"git and postgresql still missing after: " + command}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ran, missing := "", []string(nil)
			if c.missing {
				missing = []string{"git", "postgresql"}
			}
			bin, err := machine{
				root:   c.root,
				hasApt: func() bool { return c.apt },
				lookUp: func() (programs, []string) {
					if missing != nil {
						return programs{}, missing
					}
					return programs{version: "15"}, nil
				},
				install: func(_ context.Context, command string) ([]byte, error) {
					ran += command
					if c.works {
						missing = nil
					}
					return []byte("E: no network"), c.fails
				},
			}.findPrograms(t.Context())
			if ran != c.ran {
				t.Errorf("ran %q, want %q", ran, c.ran)
			}
			if c.says == nil && (err != nil || bin.version != "15") {
				t.Errorf("got %+v, %v", bin, err)
			}
			for _, want := range c.says {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("%v does not say %q", err, want)
				}
			}
		})
	}
}
