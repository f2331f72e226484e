package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// small mounts a disk of a few MiB, belonging to a user.
func (b *box) small(dir, size, owner string) {
	b.tb.Helper()
	b.sh(fmt.Sprintf("mkdir -p %[1]s && mount -t tmpfs -o size=%[2]s,mode=0700 small %[1]s && chown %[3]s %[1]s", dir, size, owner))
}

// fill leaves no room in a folder until free is called.
func (b *box) fill(dir string) {
	b.tb.Helper()
	if out, err := b.try("dd if=/dev/zero of=" + dir + "/filler bs=4k"); err == nil {
		b.tb.Fatalf("%s cannot be filled: %s", dir, out)
	}
}

func (b *box) free(dir string) {
	b.tb.Helper()
	b.sh("rm " + dir + "/filler")
}

// crateOf is a crate that no compression makes small.
func crateOf(identifier string, size int) string {
	var noise strings.Builder
	for x := uint64(88172645463325252); noise.Len() < size; {
		x ^= x << 13
		x ^= x >> 7
		x ^= x << 17
		fmt.Fprintf(&noise, "%016x", x)
	}
	return strings.Replace(string(upload(identifier, 1)), "For a test.", noise.String(), 1)
}

// refusal uploads ARCs until one is refused, and gives the ids of those that
// were acknowledged before and the refusal with its header.
func (b *box) refusal(name string) (acknowledged []string, refused string) {
	b.tb.Helper()
	for n := range 200 {
		b.write("/root/large.json", []byte(crateOf(fmt.Sprint(name, "-", n), 200_000)), 0o600)
		out := b.sh(`curl -sS -i --max-time 60 -H 'Content-Type: application/json' -d @/root/large.json http://127.0.0.1:8000/v3/arcs`)
		head, body, _ := strings.Cut(out, "\r\n\r\n")
		if !strings.HasPrefix(head, "HTTP/1.1 200") && !strings.HasPrefix(head, "HTTP/1.1 201") {
			return acknowledged, out
		}
		_, id, _ := strings.Cut(strings.ReplaceAll(body, " ", ""), `"arc_id":"`)
		acknowledged = append(acknowledged, id[:64])
	}
	b.tb.Fatal("the disk does not become full")
	return nil, ""
}

// allSynced waits for every acknowledged ARC to be in git.
func (b *box) allSynced(ids []string) {
	b.tb.Helper()
	for _, id := range ids {
		b.untilSynced(id)
	}
}

// A full disk loses nothing that was acknowledged: of PostgreSQL's data, of its
// write-ahead log, and of the repositories. Uploads are refused with 503 and
// Retry-After or wait for git, one line says why, and everything goes on when
// there is room again.
func TestFullDisk(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(2)
	defer b.as(t)
	quiet := "systemctl stop middleware-api.socket middleware-api middleware-api-sync middleware-api-migrate"
	psql := "setpriv --reuid=postgres --clear-groups psql -qX -c "

	t.Run("data of PostgreSQL", func(t *testing.T) {
		b.as(t).sh(quiet)
		b.small("/srv/data", "32m", "postgres")
		b.sh(psql + `"CREATE TABLESPACE small LOCATION '/srv/data'"`)
		b.sh(psql + `'ALTER DATABASE "middleware-api" SET TABLESPACE small'`)
		b.sh("systemctl start middleware-api.socket middleware-api middleware-api-sync")
		b.untilWorkers(2)
		b.fill("/srv/data")
		acknowledged, refused := b.refusal("data")
		says(t, "a refusal", refused, "HTTP/1.1 503", "Retry-After: ", "X-Error-Code: store_full")
		b.until("a line with the remedy", `journalctl --no-pager -o cat -t middleware-api -p err | grep 'request failed.*store_full' | grep -q 'remedy=.*free or add disk space on the database server'`)
		if n := b.sh(`curl -sS --max-time 10 http://127.0.0.1:8000/v3/liveness >/dev/null; journalctl --sync; journalctl --no-pager -o cat -t middleware-api | grep -c 'request failed.*store_full'`); n != "1" && n != "2" {
			t.Errorf("%s lines, want one of each worker at most", n)
		}
		b.free("/srv/data")
		b.allSynced(append(acknowledged, b.upload(sample(t))))
		b.sh(quiet)
		b.sh(psql + `'ALTER DATABASE "middleware-api" SET TABLESPACE pg_default'`)
		b.sh("systemctl start middleware-api.socket middleware-api middleware-api-sync")
	})
	t.Run("write-ahead log", func(t *testing.T) {
		b.as(t).sh("systemctl stop " + cluster)
		b.small("/srv/wal", "64m", "postgres")
		b.sh("cd /var/lib/postgresql/" + postgres + "/main && cp -a pg_wal/. /srv/wal/ && mv pg_wal pg_wal.old && ln -s /srv/wal pg_wal && chown -h postgres pg_wal")
		b.sh("systemctl start " + cluster)
		b.untilWorkers(2)
		b.until("readiness", "curl -sS --fail --max-time 5 http://127.0.0.1:8000/v3/readiness")
		b.fill("/srv/wal")
		acknowledged, refused := b.refusal("wal")
		says(t, "a refusal", refused, "HTTP/1.1 503", "Retry-After: ")
		b.until("a status line", "systemctl show -p StatusText --value middleware-api@1 | grep -q 'serving without a database.*systemctl status postgresql'")
		b.free("/srv/wal")
		b.sh("systemctl restart " + cluster) // which has given up
		b.allSynced(append(acknowledged, b.upload([]byte(strings.Replace(string(sample(t)), "barley-drought-2026", "barley-drought-2027", 1)))))
	})
	t.Run("repositories", func(t *testing.T) {
		b.as(t).sh("systemctl stop middleware-api-sync")
		b.small("/var/lib/middleware-api/arcs", "4m", "middleware-api-sync:middleware-api")
		b.sh("systemctl start middleware-api-sync")
		b.until("the synchroniser", "systemctl is-active middleware-api-sync")
		b.fill("/var/lib/middleware-api/arcs")
		id := b.upload([]byte(strings.Replace(string(sample(t)), "barley-drought-2026", "barley-drought-2028", 1)))
		b.until("a line with the remedy", `systemctl status --no-pager --full -n 50 middleware-api-sync | grep -i 'no space left on device' | grep -q 'disk'`)
		says(t, "explain", strings.Join(strings.Fields(b.sh("middleware-api explain "+id)), " "), "disk")
		b.free("/var/lib/middleware-api/arcs")
		b.untilSynced(id)
	})
}
