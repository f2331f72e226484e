package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// commands are the verbs; those without help are for the program itself.
var commands = []struct {
	name, help string
	run        func(context.Context, []string) error
}{
	{"run", "measure, write the results", runCommand},
	{"report", "print the goals and the tables of the results", reportCommand},
	{"chart", "draw the results as SVG", chartCommand},
	{"gitlab", "simulate the limits of a GitLab while a backlog drains", gitlabCommand},
	{"serve-waiting", "", serveWaiting},
	{"serve-plain", "", servePlain},
}

func main() {
	os.Exit(run())
}

// run gives the exit status.
func run() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := dispatch(ctx, os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return 0
	}
	fmt.Fprintln(os.Stderr, "bench:", err)
	return 1
}

func dispatch(ctx context.Context, args []string) error {
	if len(args) > 0 {
		for _, c := range commands {
			if c.name == args[0] {
				return c.run(ctx, args[1:])
			}
		}
	}
	fmt.Fprintln(os.Stderr, "usage: bench COMMAND [FLAG...]")
	for _, c := range commands {
		if c.help != "" {
			fmt.Fprintf(os.Stderr, "  %-8s %s\n", c.name, c.help)
		}
	}
	return errors.New("which command?")
}
