package sqltoarc

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// What is remembered belongs to one database, API and RDI; a new password does not make
// another database of it.
func TestStatePath(t *testing.T) {
	t.Parallel()
	base := Options{StateDir: "d", ConnectionString: "postgresql://u:old@h/db?sslmode=require", RDI: "demo", Schema: source.SchemaViews, Upload: upload.Options{URL: "https://a"}}
	for name, c := range map[string]struct {
		change func(o *Options)
		same   bool
	}{
		"password":   {func(o *Options) { o.ConnectionString = "postgresql://u:new@h/db?sslmode=require" }, true},
		"parameters": {func(o *Options) { o.ConnectionString = "postgresql://u:old@h/db" }, true},
		"database":   {func(o *Options) { o.ConnectionString = "postgresql://u:old@h/other" }, false},
		"product":    {func(o *Options) { o.ConnectionString = "mysql://u:old@h/db" }, false},
		"RDI":        {func(o *Options) { o.RDI = "other" }, false},
		"API":        {func(o *Options) { o.Upload.URL = "https://b" }, false},
		"schema":     {func(o *Options) { o.Schema = source.SchemaTables }, false},
	} {
		o := base
		c.change(&o)
		if same := statePath(o) == statePath(base); same != c.same {
			t.Errorf("another %s: same file %t, want %t", name, same, c.same)
		}
	}
}

// ended is a sink of which only the end is of interest.
type ended struct {
	nowhere

	open bool
}

func (e *ended) end(context.Context, error) (bool, error) { return e.open, nil }

// A run that was cut off by something that passes is told how to go on; trying again
// what does not pass is advised to nobody.
func TestWhatPassesIsTriedAgain(t *testing.T) {
	t.Parallel()
	for code, passes := range map[fault.Code]bool{
		CodeInterrupted: true, upload.CodeUnreachable: true, source.CodeUnreachable: true, CodeState: true,
		upload.CodeDenied: false, upload.CodeRefused: false, source.CodeQuery: false, CodeOutput: false,
	} {
		for _, open := range []bool{false, true} {
			r := &runner{sink: &ended{open: open}}
			err := r.end(t.Context(), &fault.Error{Code: code, Text: "x", Remedy: "mend it"})
			want := "mend it"
			switch {
			case passes && open:
				want += "; then go on where it stopped: sql-to-arc run --resume"
			case passes:
				want += "; then run again"
			}
			if f, ok := fault.Of(err); !ok || f.Code != code || f.Remedy != want {
				t.Errorf("%s, harvest open %t: %+v, want %q", code, open, f, want)
			}
		}
	}
	if err := (&runner{sink: &ended{}}).end(t.Context(), context.DeadlineExceeded); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no fault: %v", err)
	}
}

// Names of files are readable, distinct, visible and no longer than any file system takes.
func TestFileName(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100)
	seen := map[string]string{}
	for _, tt := range []struct{ identifier, prefix string }{
		{"DS-1_a.b", "DS-1_a.b"}, {long, long}, {long + "x", long + "-"}, {long + "y", long + "-"},
		{".a", "a-"}, {"..", "-"}, {"a/b", "a_b-"}, {"a_b", "a_b"}, {"a b", "a_b-"}, {"ä", "_-"},
	} {
		name := fileName(tt.identifier)
		if !strings.HasPrefix(name, tt.prefix) || strings.HasPrefix(name, ".") || len(name) > 109 || seen[name] != "" {
			t.Errorf("%q: %q, want one that begins with %q; %q has it too: %t", tt.identifier, name, tt.prefix, seen[name], seen[name] != "")
		}
		seen[name] = tt.identifier
	}
}
