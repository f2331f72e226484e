// Launcher is what is installed as middleware-api: it converts crates itself,
// and becomes the program with all commands (cmd/middleware-api) for everything
// else. That one links a server, a database, git and GitLab, whose initialisers
// take five times the memory and the time of a small conversion before any
// command begins. Whoever builds the other one alone lacks nothing: it converts
// too, by the same code.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/cli/convertcmd"
)

// The program with all commands, from the folder of the launcher, and where a
// package puts it.
const (
	besides   = "../lib/middleware-api/middleware-api"
	installed = "/usr/lib/middleware-api/middleware-api"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == "convert" {
		os.Exit(convert(os.Args[1:]))
	}
	fmt.Fprintln(os.Stderr, describe(become(candidates())))
	os.Exit(cli.ExitSystemFile)
}

// convert carries out the one command of this program.
func convert(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	root := &cobra.Command{Use: "middleware-api"}
	cli.Prepare(root)
	root.AddCommand(convertcmd.New())
	complaint, err := cli.Execute(ctx, root, args, cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}, describe)
	if complaint != "" {
		fmt.Fprintln(os.Stderr, complaint)
	}
	code, _ := cli.Status(err)
	return code
}

func describe(err error) string { return cli.Describe("middleware-api", err) }

// candidates are the places where the program with all commands may be, the
// nearest first, so that a copy of both belongs together.
func candidates() []string {
	self, err := os.Executable()
	if err != nil {
		return []string{installed}
	}
	return []string{filepath.Join(filepath.Dir(self), besides), installed}
}

// become replaces this program, in the same process, by the first of others
// that there is. It returns only if there is none.
func become(others []string) error {
	var err error
	for _, other := range others {
		if err = syscall.Exec(other, os.Args, os.Environ()); err != syscall.ENOENT { //nolint:errorlint,gosec // the number itself; the same arguments are the point
			return fmt.Errorf("start %s: %w", other, err)
		}
	}
	return fmt.Errorf("this is the launcher, and the program with all commands is neither of %q: install the package, or copy both", others)
}
