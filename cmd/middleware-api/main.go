// Middleware-api accepts ARCs (Annotated Research Contexts) as RO-Crate
// JSON-LD over HTTP, keeps them in PostgreSQL and pushes them as git
// repositories. See middleware-api(8) for its commands.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/worker"
)

// version is set by the linker.
var version = "0.0.0-dev"

func main() {
	// Before anything else: a SIGTERM that comes between "ready" and this line
	// would end the process together with the requests in it.
	ctx, stop := signal.NotifyContext(context.Background(), worker.EndSignals()...)
	code := run(ctx, os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	stop()
	os.Exit(code)
}
