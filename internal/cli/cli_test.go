package cli_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
)

// Whoever mistypes a command line is told what is expected, in words of the
// command line.
func TestMistakesOnTheCommandLine(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"list --limit x":                          `--limit takes a whole number, not "x"`,
		"list --limit 1e99":                       `--limit takes a whole number, not "1e99"`,
		"list --limit " + strings.Repeat("9", 20): "--limit 99999999999999999999 is out of range",
		"list --json=maybe":                       `--json takes true or false, not "maybe"`,
		"list --color x":                          "unknown flag: --color",
		"list --since never":                      `invalid argument "never" for "--since" flag: time: invalid duration "never"`,
		"lost":                                    `unknown command "lost" for "program"; did you mean list?`,
		"list one":                                `unknown command "one" for "program list"`,
		"show":                                    "accepts 1 arg(s), received 0",
		"find one two":                            "accepts at most 1 arg(s), received 2",
	} {
		t.Run(line, func(t *testing.T) {
			t.Parallel()
			err := execute(strings.Fields(line))
			if _, ok := errors.AsType[cli.UsageError](err); !ok {
				t.Fatalf("%v is a %T, want a UsageError", err, err)
			}
			if err.Error() != want {
				t.Errorf("told: %s\nwant: %s", err, want)
			}
		})
	}
	for _, line := range []string{"list --limit 3 --json", "show one", "find", "find one"} {
		if err := execute(strings.Fields(line)); err != nil {
			t.Errorf("%s: %v", line, err)
		}
	}
}

func execute(args []string) error {
	nothing := func(*cobra.Command, []string) error { return nil }
	root := &cobra.Command{Use: "program", Args: cli.NoArgs, RunE: nothing}
	list := &cobra.Command{Use: "list", Args: cli.NoArgs, RunE: nothing}
	list.Flags().Int("limit", 1, "")
	list.Flags().Bool("json", false, "")
	list.Flags().Duration("since", 0, "")
	root.AddCommand(list,
		&cobra.Command{Use: "show", Args: cli.ExactArgs(1), RunE: nothing},
		&cobra.Command{Use: "find", Args: cli.MaximumArgs(1), RunE: nothing})
	cli.Prepare(root)
	root.SetArgs(args)
	root.SetOut(io.Discard)
	root.SetErr(io.Discard)
	return root.Execute()
}

// An error that is none stays none, and what is wrong can be looked for.
func TestUsageKeepsTheCause(t *testing.T) {
	t.Parallel()
	if err := cli.Usage(nil); err != nil {
		t.Errorf("Usage(nil) is %v", err)
	}
	if err := cli.Usage(io.EOF); !errors.Is(err, io.EOF) {
		t.Errorf("%v does not lead to its cause", err)
	}
}

// Who waits for input that never comes gives up when the program is to end, and
// what comes before is read.
func TestReadingEndsWithTheProgram(t *testing.T) {
	t.Parallel()
	in, out := io.Pipe()
	defer out.Close()
	ctx, end := context.WithCancelCause(t.Context())
	r := cli.Reader(ctx, in)
	go func() { _, _ = out.Write([]byte("a line")) }()
	b := make([]byte, 100)
	if n, err := r.Read(b); err != nil || string(b[:n]) != "a line" {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	interrupted := errors.New("interrupted")
	time.AfterFunc(0, func() { end(interrupted) })
	if n, err := r.Read(b); n != 0 || !errors.Is(err, interrupted) {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if got, err := cli.Await(t.Context(), func() (int, error) { return 7, io.EOF }); got != 7 || !errors.Is(err, io.EOF) {
		t.Errorf("got %d, %v", got, err)
	}
}
