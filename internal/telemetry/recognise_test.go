package telemetry

import (
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// Every message by which an event is recognised is logged somewhere, and every
// event is recognised by one: renaming a message must not silence an alert.
func TestSignsAreInTheSource(t *testing.T) {
	t.Parallel()
	var source strings.Builder
	root := testenv.ModuleRoot(t)
	for _, folder := range []string{"cmd", "internal"} {
		err := filepath.WalkDir(filepath.Join(root, folder), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") || filepath.Base(path) == "recognise.go" {
				return err
			}
			data, err := os.ReadFile(path)
			source.Write(data)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	seen := map[Event]bool{}
	for _, s := range signs {
		seen[s.event] = true
		if !strings.Contains(source.String(), strconv.Quote(s.message)) {
			t.Errorf("nobody logs %q, by which %s is recognised", s.message, s.event)
		}
	}
	for _, event := range Events() {
		if !seen[event] {
			t.Errorf("nothing shows %s", event)
		}
	}
}

// The same message is another event depending on its attributes.
func TestRecognition(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		message string
		attrs   []slog.Attr
		want    Event
	}{
		{"arc not synchronised", []slog.Attr{slog.Bool("parked", true)}, PushParked},
		{"arc not synchronised", []slog.Attr{slog.Bool("parked", false)}, PushFailing},
		{"arc synchronised", []slog.Attr{slog.String("foreign", "")}, ""},
		{"arc synchronised", []slog.Attr{slog.String("foreign", "c0ffee")}, ForeignCommit},
		{"worker stopping", []slog.Attr{slog.String("reason", "recycling: age")}, WorkerRecycled},
		{"worker stopping", []slog.Attr{slog.String("reason", "terminated")}, WorkerDraining},
		{"worker ready", []slog.Attr{slog.Any("event", InternalError)}, InternalError},
		{"something else", nil, ""},
	} {
		h := &lineHandler{native: &journalWriter{}}
		r := slog.NewRecord(time.Now(), slog.LevelInfo, c.message, 0)
		r.AddAttrs(c.attrs...)
		var f facts
		r.Attrs(func(a slog.Attr) bool {
			h.add(&f, "", a)
			return true
		})
		h.recognise(&f, &r)
		want := ""
		if c.want != "" {
			want = "MESSAGE_ID=" + c.want.MessageID() + "\n"
		}
		if got := string(f.fields); strings.Count(got, "MESSAGE_ID=") != strings.Count(want, "MESSAGE_ID=") || !strings.Contains(got, want) {
			t.Errorf("%s %v: fields %q, want %q", c.message, c.attrs, got, want)
		}
		// The plain output has no fields, so an event must not end there.
		if f.native != (c.want != "") {
			t.Errorf("%s %v: to the journal itself: %t", c.message, c.attrs, f.native)
		}
	}
}
