// Command withpostgres runs a command with PGTEST_DSN naming a PostgreSQL
// cluster that lives as long as the command:
//
//	go run ./internal/pgtest/withpostgres go test ./...
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"github.com/fairagro/middleware-api/internal/pgtest"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run gives the exit code of the command, or 125 if it could not be run.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) == 0 {
		fmt.Fprintln(os.Stderr, "usage: withpostgres COMMAND [ARGUMENT...]")
		return 125
	}
	dsn, remove, err := pgtest.Serve(pgtest.Options{Fast: true})
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		return 125
	}
	defer remove()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...) //nolint:gosec // running a given command is the purpose
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), pgtest.Variable+"="+dsn)
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		fmt.Fprintln(os.Stderr, "withpostgres:", err)
		return 125
	}
	return cmd.ProcessState.ExitCode()
}
