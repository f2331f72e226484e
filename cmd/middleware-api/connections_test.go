package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// As shipped, a fleet of any size fits into what PostgreSQL allows as Debian
// ships it, with room for somebody else; a configured number counts as it is.
func TestFleetFitsIntoPostgreSQL(t *testing.T) {
	t.Parallel()
	const debian = 100 - 3
	for workers := 1; workers <= 64; workers++ {
		if each := connections(0, workers); each < 1 || each > usualConnections {
			t.Errorf("%d workers: %d connections each", workers, each)
		}
		if n := allConnections(0, workers); n >= debian {
			t.Errorf("%d workers need %d connections, PostgreSQL allows %d", workers, n, debian)
		}
	}
	if n := connections(17, 64); n != 17 {
		t.Errorf("configured 17, got %d", n)
	}
}

// A schema that is newer than the program and a PostgreSQL that allows too few
// connections are told with what to do; what is as it should be is not.
func TestMigrationTellsWhatWorkersWillFind(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		found  store.Examination
		needed int
		want   []string
	}{
		{store.Examination{Schema: 2, WantedSchema: 2, MaxConnections: 100, Reserved: 3}, 97, nil},
		{store.Examination{Schema: 3, WantedSchema: 2, MaxConnections: 100}, 9, []string{"newer than this program", "schema=3 wanted=2"}},
		{store.Examination{Schema: 2, WantedSchema: 2, MaxConnections: 100, Reserved: 3}, 98, []string{"needed=98 allowed=97", "max_connections = 101"}},
	} {
		var out bytes.Buffer
		sayDatabase(&telemetry.Logging{Logger: slog.New(slog.NewTextHandler(&out, nil))}, 2, &c.found, c.needed)
		if (out.Len() > 0) != (c.want != nil) {
			t.Errorf("%+v: said %q", c.found, out.String())
		}
		for _, want := range c.want {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q does not say %q", out.String(), want)
			}
		}
	}
}
