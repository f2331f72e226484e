package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
)

// oldestPostgres is the oldest major version that the service supports.
const oldestPostgres = 15

// programs are those of the distribution that we need.
type programs struct {
	postgres, initdb, isReady string
	version                   string // major version of PostgreSQL
}

// machine is where programs are looked for and installed.
type machine struct {
	root    bool
	lookUp  func() (programs, []string)
	hasApt  func() bool
	install func(ctx context.Context, command string) ([]byte, error)
}

func thisMachine() machine {
	return machine{
		root:   os.Geteuid() == 0,
		lookUp: lookUp,
		hasApt: func() bool { _, err := exec.LookPath("apt-get"); return err == nil },
		install: func(ctx context.Context, command string) ([]byte, error) {
			cmd := exec.CommandContext(ctx, "sh", "-c", command)
			cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
			// dpkg is never killed: it ends at a point from which it can go on.
			cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
			return cmd.CombinedOutput()
		},
	}
}

// findPrograms looks PostgreSQL and git up, and installs Debian's packages
// when they are missing and we are root; otherwise it says what to type.
func (m machine) findPrograms(ctx context.Context) (programs, error) {
	bin, missing := m.lookUp()
	if len(missing) == 0 {
		return bin, nil
	}
	command := "apt-get update && apt-get install -y " + strings.Join(missing, " ")
	if !m.root || !m.hasApt() {
		return programs{}, fmt.Errorf("%s missing; install with:\n\n    sudo sh -c '%s'", strings.Join(missing, " and "), command)
	}
	step("installing %s: %s", strings.Join(missing, " and "), command)
	if out, err := m.install(ctx, command); err != nil {
		return programs{}, fmt.Errorf("%s: %w\n%s", command, err, out)
	}
	bin, missing = m.lookUp()
	if len(missing) > 0 {
		return programs{}, fmt.Errorf("%s still missing after: %s", strings.Join(missing, " and "), command)
	}
	return bin, nil
}

// lookUp gives the newest installed PostgreSQL and the Debian packages that
// are missing.
func lookUp() (programs, []string) {
	var missing []string
	if _, err := exec.LookPath("git"); err != nil {
		missing = append(missing, "git")
	}
	// Debian keeps the server's programs out of PATH, one folder a version.
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	major := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
		return n
	}
	sort.Slice(found, func(i, j int) bool { return major(found[i]) > major(found[j]) })
	if len(found) == 0 || major(found[0]) < oldestPostgres {
		return programs{}, append(missing, "postgresql")
	}
	return programs{
		postgres: found[0],
		initdb:   filepath.Join(filepath.Dir(found[0]), "initdb"),
		isReady:  filepath.Join(filepath.Dir(found[0]), "pg_isready"),
		version:  strconv.Itoa(major(found[0])),
	}, missing
}
