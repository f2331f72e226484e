package sqltoarc

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A file that cannot be written to its end is not there, and the one of an earlier
// run stays as it was; the message has the name that the file would have.
func TestFileIsWholeOrNotThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := newFolderSink(&runner{o: Options{Out: dir}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.root.Close() })
	full := func(w *bufio.Writer) error {
		_, err := w.WriteString(strings.Repeat("half", 1<<12))
		return errors.Join(err, &os.PathError{Op: "write", Path: "x.part", Err: syscall.ENOSPC})
	}
	whole := func(w *bufio.Writer) error {
		_, err := w.WriteString("whole")
		return err
	}
	for _, before := range []string{"", "whole"} {
		if before != "" {
			if err := f.file("a.json", whole); err != nil {
				t.Fatal(err)
			}
		}
		err := f.file("a.json", full)
		if want := "write " + filepath.Join(dir, "a.json") + ": no space left on device"; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
		if got, _ := os.ReadFile(filepath.Join(dir, "a.json")); string(got) != before {
			t.Errorf("%d bytes are there, want %q", len(got), before)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 && before == "" || len(entries) > 1 {
			t.Errorf("left over: %v, %v", entries, err)
		}
	}
}
