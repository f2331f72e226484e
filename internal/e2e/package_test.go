package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// The same sources, version and time give the same bytes.
func TestPackageIsReproducible(t *testing.T) {
	t.Parallel()
	d := packages(t)
	if !built.own { // what is in the folder may be of other sources
		d.dir = t.TempDir()
		if err := build(testenv.ModuleRoot(t), d.dir, firstVersion); err != nil {
			t.Fatal(err)
		}
	}
	again := t.TempDir()
	if err := build(testenv.ModuleRoot(t), again, firstVersion); err != nil {
		t.Fatal(err)
	}
	first, err := os.ReadFile(d.path(firstVersion))
	if err != nil {
		t.Fatal(err)
	}
	second, err := os.ReadFile(debs{dir: again}.path(firstVersion))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, second) {
		t.Error("two builds differ")
	}
}

// lintian has nothing to say, and the one override hides only that programs
// in Go are linked statically.
func TestPackagePassesLintian(t *testing.T) {
	t.Parallel()
	d := packages(t)
	lintian := testenv.Program(t, "lintian", "lintian")
	cmd := exec.Command(lintian, "--allow-root", "--fail-on", "error,warning", d.path(firstVersion))
	cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir()) // it leaves files there
	out, err := cmd.CombinedOutput()
	text := strings.TrimSpace(strings.ReplaceAll(string(out), "running with root privileges is not recommended!", ""))
	if err != nil || text != "" {
		t.Errorf("lintian: %v\n%s", err, text)
	}
}

// Removing keeps configuration, repositories and database, a later
// installation goes on from there, and purging leaves nothing but the users and
// the database, and says how to drop it.
func TestPackageLife(t *testing.T) {
	t.Parallel()
	b := start(t)
	// Only where packages and services write: the rest is the machine's own.
	const named = `find /etc /usr /var /run -xdev \( -path /var/log -o -path /var/tmp -o -path /var/lib/postgresql \) -prune -o -name '*middleware-api*' -print 2>/dev/null`
	b.sh(named + " >/root/before || true")
	b.installFirst()
	id := b.upload(sample(t))
	synced := b.untilSynced(id)
	b.sh("echo '# mine' >>/etc/middleware-api/config.yaml && systemctl disable --now middleware-api-sync.service 2>&1")

	b.apt("install", b.deb(secondVersion))
	if out, _ := b.try("systemctl is-enabled middleware-api-sync.service"); out != "disabled" {
		t.Errorf("a unit that was disabled is %s after an upgrade", out)
	}
	if out := b.sh("tail -n 1 /etc/middleware-api/config.yaml; stat -c '%a %U %G' /etc/middleware-api/config.yaml"); out != "# mine\n640 root middleware-api" {
		t.Errorf("the configuration after an upgrade: %s", out)
	}
	b.sh("systemctl enable middleware-api-sync.service 2>&1")

	b.apt("remove", "middleware-api")
	if out, err := b.try("curl -sS --max-time 2 http://127.0.0.1:8000/v3/liveness"); err == nil {
		t.Errorf("the port answers after the removal: %s", out)
	}
	if out, err := b.try("pgrep -x middleware-api"); err == nil {
		t.Errorf("processes are left after the removal: %s", out)
	}
	b.sh("test -e /etc/middleware-api/config.yaml && test -n \"$(ls /var/lib/middleware-api/arcs)\"")

	b.apt("install", b.deb(firstVersion))
	if again := b.untilSynced(id); again.Git.Commit != synced.Git.Commit {
		t.Errorf("commit %s became %s", synced.Git.Commit, again.Git.Commit)
	}

	out := b.apt("purge", "middleware-api")
	for _, want := range []string{"The database middleware-api and everything in it is kept", "dropdb middleware-api"} {
		if !strings.Contains(out, want) {
			t.Errorf("purge does not say %q:\n%s", want, out)
		}
	}
	// What the machine had before, such as a checkout, is not the package's.
	if left := b.sh(named + " | grep -vxFf /root/before || true"); left != "" {
		t.Errorf("purge left\n%s", left)
	}
	psql := "setpriv --reuid=postgres --clear-groups psql -qAtX -d middleware-api -c "
	if locale := b.sh(psql + `"SELECT datcollate, datctype, lower('Ü') FROM pg_database WHERE datname = current_database()"`); locale != "C|C.UTF-8|ü" {
		t.Errorf("the database has %s, want an order that no upgrade of the system changes, and letters of all languages", locale)
	}
	if n := b.sh(psql + `'SELECT count(*) FROM arc' 2>&1 || true`); n == "0" || n == "" {
		t.Errorf("the database after the purge holds %s ARCs", n)
	}
	// Mounts of credentials go a moment after their units.
	b.until("no unit after the purge", `out=$(systemctl list-units --all --no-legend 'middleware-api*'; systemctl --failed --no-legend 'middleware-api*'); echo "$out"; test -z "$out"`)
}
