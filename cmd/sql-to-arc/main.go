// Sql-to-arc reads the datasets of a research data infrastructure out of its
// SQL database, builds an ARC (Annotated Research Context) of each and uploads
// them to middleware-api. See sql-to-arc(1).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/fairagro/middleware-api/internal/cli"
)

// version is set by the linker.
var version = "0.0.0-dev"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	// A second Ctrl-C is from somebody who does not want to wait for what the first
	// one still has to be told to the API; nothing is lost by it.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], cli.Streams{Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
