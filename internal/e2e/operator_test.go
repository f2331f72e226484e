package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// says runs a command, whatever its exit status, and wants texts in what it
// prints, and none that it must not print.
func (b *box) says(command string, texts ...string) {
	b.tb.Helper()
	out := b.sh(command + ` 2>&1; echo "exit status $?"`)
	flat := strings.Join(strings.Fields(out), " ")
	for _, text := range texts {
		if !strings.Contains(flat, text) {
			b.tb.Errorf("%s lacks %q:\n%s", command, text, out)
		}
	}
}

// Root, who is nobody to PostgreSQL and owns no repository, can ask and do
// everything on an installed server, and leaves nothing of root's behind.
func TestRootCanAskEverything(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	id := b.upload(sample(t))
	b.untilSynced(id)

	b.says("middleware-api status", "git store", "exit status 0")
	b.says("middleware-api causes", "Nothing is failing.", "exit status 0")
	b.says("middleware-api arcs --state synced", "synced", "exit status 0")
	b.says("middleware-api harvests", "exit status 0")
	b.says("middleware-api explain "+id, "is in git", "exit status 0")
	b.says("middleware-api audit", "1 checked: 1 as recorded", "exit status 0")
	b.says("middleware-api migrate", "database schema is at version", "exit status 0")
	b.says("middleware-api resync "+id, "ARCs that are due now: 1", "exit status 0")
	b.untilSynced(id)
	b.says("middleware-api explain "+id, "by local user root")
	b.says("middleware-api doctor --push --bundle /root/bundle.tar.gz",
		"ok database: PostgreSQL "+postgres, "synchroniser run", "the exposure of middleware-api@1.service is",
		"ok listeners: 127.0.0.1:8000 accepts connections", "ok git store", "ok trial push", "exit status 0")
	b.says("tar -tzf /root/bundle.tar.gz", "journal.txt", "units.txt", "doctor.txt")
	if foreign := b.sh("find /var/lib/middleware-api/arcs ! -user middleware-api-sync"); foreign != "" {
		t.Errorf("a command has left files of another user:\n%s", foreign)
	}
}

// With a database that wants a name and a password, on the network or not, root asks
// and does everything as well, and as the service's own user all the same: the
// repositories are still his, and so may be the name.
func TestRootCanAskADatabaseWithPassword(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.sh(`runuser -u postgres -- psql -qX -c "CREATE ROLE arcs LOGIN PASSWORD 'secret' IN ROLE \"middleware-api\"" \
		-c "ALTER ROLE \"middleware-api\" PASSWORD 'secret'" -c "ALTER ROLE \"middleware-api-sync\" PASSWORD 'secret'"`)
	b.sh(`printf secret | install -m 0600 /dev/stdin /etc/middleware-api/credentials/database-password &&
		echo 'MIDDLEWARE_API_REACH="127.0.0.1"' >>/etc/default/middleware-api && systemctl daemon-reload`)
	for i, url := range []string{
		"postgresql://arcs@127.0.0.1/middleware-api", "postgresql://127.0.0.1/middleware-api", "postgresql:///middleware-api?host=/run/postgresql",
	} {
		b.configure("database: {url: '" + url + "'}")
		b.sh("systemctl restart middleware-api-sync")
		id := b.upload(fmt.Appendf(nil, `{"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [{"@id": "./", "@type": "Dataset",
			"additionalType": "Investigation", "identifier": "%d", "name": "Rye"}]}`, i))
		b.untilSynced(id)
		b.until("green with "+url, "middleware-api status")
		b.says("middleware-api audit", fmt.Sprintf("%d checked: %[1]d as recorded", i+1), "exit status 0")
		b.says("middleware-api doctor --push", "ok database: PostgreSQL "+postgres, "ok trial push", "exit status 0")
		b.says("middleware-api resync "+id, "ARCs that are due now: 1", "exit status 0")
		b.says("middleware-api migrate", "database schema is at version", "exit status 0")
	}
}

// Whatever is broken on the server, status alone names it and the command that
// mends it, and that command does.
func TestStatusNamesWhatIsBroken(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.untilSynced(b.upload(sample(t)))

	b.sh("systemctl stop middleware-api-sync")
	b.says("middleware-api status", "red:", "The synchroniser does not run; nothing is pushed.",
		"systemctl start middleware-api-sync.service", "exit status 2")
	b.sh("systemctl start middleware-api-sync.service")
	b.until("green", "middleware-api status")

	b.sh("systemctl mask --now middleware-api-sync 2>&1")
	b.says("middleware-api doctor", "workers run; the synchroniser is masked", "skipped sandbox: middleware-api-sync.service is masked", "exit status 0")
	b.sh("systemctl unmask middleware-api-sync 2>&1 && systemctl start middleware-api-sync")
	b.until("green", "middleware-api status")

	b.sh("systemctl stop " + cluster)
	b.says("middleware-api status", "red:", "The database cannot be reached at the moment.", "systemctl status postgresql", "exit status 2")
	b.says("middleware-api causes", "The database cannot be reached at the moment", "systemctl status postgresql", "exit status 69")
	b.sh("systemctl start " + cluster)
	b.until("green", "middleware-api status")

	b.sh("mount -t tmpfs -o size=1m,uid=$(id -u middleware-api-sync),mode=0750 tmpfs /var/lib/middleware-api/arcs && head -c 1030000 /dev/zero >/var/lib/middleware-api/arcs/fill || true")
	b.says("middleware-api doctor", "failed disk: /var/lib/middleware-api/arcs has", "Free or add disk space", "exit status 2")
	b.says("middleware-api status", "/var/lib/middleware-api/arcs has", "Free or add disk space")
	b.sh("umount /var/lib/middleware-api/arcs")
}

// block gives the commands of the code block in the manual that holds a text.
func block(tb testing.TB, text string) string {
	tb.Helper()
	page, err := os.ReadFile(filepath.Join(testenv.ModuleRoot(tb), "docs", "operations.md"))
	if err != nil {
		tb.Fatal(err)
	}
	for i, part := range strings.Split(string(page), "```") {
		if i%2 == 1 && strings.Contains(part, text) {
			return part
		}
	}
	tb.Fatalf("the manual has no code block with %q", text)
	return ""
}

// The commands for backup and restore, as they stand in the manual, bring back
// the database of an installed server, and the service goes on with it.
func TestRestoreAsTheManualSays(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	id := b.upload(sample(t))
	before := b.untilSynced(id)
	b.sh("printf token | install -m 0600 /dev/stdin /etc/middleware-api/credentials/gitlab-token")
	b.sh("mkdir -p /var/backups; set -e; " + block(t, "pg_dump -Fc"))
	b.sh("set -e; " + block(t, "pg_basebackup"))
	if out, err := b.try("runuser -u middleware-api -- cat /var/backups/middleware-api.dump /var/backups/middleware-api-etc.tar.gz /var/backups/base/base.tar.gz | wc -c"); out[strings.LastIndexByte(out, '\n')+1:] != "0" {
		t.Errorf("a worker can read the backup with the token: %s (%v)", out, err)
	}
	later := []byte(`{"@context": "https://w3id.org/ro/crate/1.1/context", "@graph": [{"@id": "./", "@type": "Dataset",
		"additionalType": "Investigation", "identifier": "since the backup", "name": "Rye"}]}`)
	b.upload(later)
	b.sh("set -e; " + block(t, "pg_restore"))
	if after := b.untilSynced(id); after.Git.Commit != before.Git.Commit {
		t.Errorf("the commit was %s and is %s", before.Git.Commit, after.Git.Commit)
	}
	b.says("middleware-api arcs --text since", "No ARC is like that.")
	b.untilSynced(b.upload(later))
	b.says("middleware-api audit --repair", "2 checked: 2 as recorded", "exit status 0")
}

// A token that is encrypted as the manual says reaches those that need it, and the
// password of the database as well.
func TestEncryptedAsTheManualSays(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.untilSynced(b.upload(sample(t)))
	b.sh("printf password | install -m 0600 /dev/stdin /etc/middleware-api/credentials/database-password")
	b.write("/root/encrypt", []byte("set -e\n"+block(t, "systemd-creds encrypt")), 0o700)
	b.sh("printf token | sh /root/encrypt")
	for _, unit := range []string{"middleware-api-sync", "middleware-api-audit"} {
		b.write("/etc/systemd/system/"+unit+".service.d/override.conf", []byte(block(t, "[Service]\nLoadCredentialEncrypted=")), 0o644)
	}
	b.sh("systemctl daemon-reload && systemctl restart middleware-api-sync && systemctl start middleware-api-audit")
	const read = "cd /run/credentials/middleware-api-sync.service && echo $(cat gitlab-token) $(cat database-password)"
	if out := b.sh(read); out != "token password" {
		t.Errorf("the synchroniser was given %q", out)
	}
	command := strings.TrimSpace(block(t, "systemd-run -qP"))
	b.says(command, "ok trial push", "exit status 0")
	b.says(strings.Replace(command, "doctor --push", "config show", 1), "'***' # credential gitlab-token", "'***' # credential database-password")
	b.sh("rm /etc/middleware-api/credentials/database-password")
	b.says(command, "ok trial push", "exit status 0")
}
