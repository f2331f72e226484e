package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// nextVersion is the second version with one migration more.
const nextVersion = "2.0.0"

// expansion is what a migration may do while programs of the version before it
// still work: new columns, tables and indexes, a looser constraint.
const expansion = `-- +goose Up
ALTER TABLE arc ADD COLUMN next_note text NOT NULL DEFAULT 'none';
ALTER TABLE harvest ADD COLUMN next_note text;
CREATE TABLE next_thing (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, arc bytea REFERENCES arc ON DELETE CASCADE);
CREATE INDEX next_note_idx ON arc (next_note) WHERE next_note <> 'none';
`

// buildNext builds the package of the next version from these sources and one
// file that is not among them.
func buildNext(tb testing.TB, d debs) {
	tb.Helper()
	if _, err := os.Stat(d.path(nextVersion)); err == nil {
		return
	}
	root := testenv.ModuleRoot(tb)
	known, err := filepath.Glob(filepath.Join(root, "internal/store/migrations/*.sql"))
	if err != nil || len(known) == 0 {
		tb.Fatalf("no migrations: %v", err)
	}
	dir := tb.TempDir()
	file := filepath.Join(dir, "next.sql")
	if err := os.WriteFile(file, []byte(expansion), 0o600); err != nil {
		tb.Fatal(err)
	}
	target := filepath.Join(root, fmt.Sprintf("internal/store/migrations/%05d_next.sql", len(known)+1))
	text, err := json.Marshal(map[string]any{"Replace": map[string]string{target: file}})
	if err != nil {
		tb.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(overlay, text, 0o600); err != nil {
		tb.Fatal(err)
	}
	if err := build(root, d.dir, nextVersion, "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+overlay)); err != nil {
		tb.Fatal(err)
	}
}

// Programs work on the schema of the next version: the upgrade migrates while
// workers of the old version serve, they go on as long as it takes, and going
// back to the old program needs nothing but its package.
func TestOldProgramOnNewerSchema(t *testing.T) {
	t.Parallel()
	d := packages(t)
	buildNext(t, d)
	b := prepare(t)
	b.copyIn(d.path(nextVersion), b.deb(nextVersion), 0o644)
	b.fleet(3)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(3)
	old := fmt.Sprint(b.workers())
	var want int
	if _, err := fmt.Sscanf(b.sh("middleware-api migrate"), "database schema is at version %d", &want); err != nil {
		t.Fatal(err)
	}
	version := func(n int) {
		t.Helper()
		out := b.sh(`setpriv --reuid=postgres --clear-groups psql -qAtX -d middleware-api -c 'SELECT max(version_id) FROM goose_db_version'`)
		if out != fmt.Sprint(n) {
			t.Errorf("the schema has version %s, want %d", out, n)
		}
	}
	version(want)

	b.during("migration below old workers", 1, func(int) {
		// As the upgrade does it, with the time that a large fleet would take.
		b.sh("dpkg-deb --fsys-tarfile " + b.deb(nextVersion) + " | tar -x -C /root ./usr/bin/middleware-api ./usr/lib/middleware-api/middleware-api && /root/usr/bin/middleware-api migrate")
		version(want + 1)
	})
	if now := fmt.Sprint(b.workers()); now != old {
		t.Errorf("old workers %s became %s", old, now)
	}
	b.during("reload, upgrade and downgrade on the newer schema", 3, func(round int) {
		switch round % 3 {
		case 0: // old workers begin on it
			b.sh("systemctl reload middleware-api")
		case 1:
			b.apt("install", b.deb(nextVersion))
			b.allRun(nextVersion)
		case 2:
			b.apt("install", "--allow-downgrades", b.deb(firstVersion))
			b.allRun(firstVersion)
		}
		version(want + 1)
	})
	says(t, "systemctl status", b.status("middleware-api-migrate"), "database schema is newer than this program, which works on it all the same",
		fmt.Sprintf("schema=%d wanted=%d", want+1, want))
	out, _ := b.try("middleware-api doctor")
	says(t, "doctor", strings.Join(strings.Fields(out), " "), fmt.Sprintf("newer than the %d of this program", want))
	b.untilSynced(b.upload(sample(t)))
}
