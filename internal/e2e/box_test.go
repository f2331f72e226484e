package e2e

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/testenv"
)

// Time limits: nothing here may wait for ever. They bound a test that hangs, and
// are no statement about speed, so a busy machine must not come near them.
const (
	bootLimit    = 3 * time.Minute
	commandLimit = 5 * time.Minute
	waitLimit    = 3 * time.Minute
	offLimit     = 30 * time.Second
)

// box is a booted systemd in a container.
type box struct {
	tb      testing.TB
	init    int // process of its systemd, seen from outside
	console *testenv.Log
}

// debian is the root of the system that boxes have: this machine's, or another
// release, as debootstrap makes it.
var debian = cmp.Or(os.Getenv("E2E_ROOT"), "/")

// postgres is the version of PostgreSQL in it, and cluster the unit of its cluster.
var (
	postgres = installedPostgres()
	cluster  = "postgresql@" + postgres + "-main"
)

func installedPostgres() string {
	servers, _ := filepath.Glob(filepath.Join(debian, "usr/lib/postgresql/*/bin/postgres"))
	if len(servers) == 0 {
		return ""
	}
	return filepath.Base(filepath.Dir(filepath.Dir(servers[0])))
}

// bootScript runs in mount and process namespaces of its own. It boots nothing
// of the host's own services, and lets packages start theirs.
const bootScript = `set -eu
W=$1; M=$W/m
mount -t tmpfs -o mode=755 tmpfs "$W"
mkdir "$W/u" "$W/w" "$M"
mount -t overlay overlay -o "lowerdir=$3,upperdir=$W/u,workdir=$W/w" "$M" || exit 77
rm -rf "$M"/etc/systemd/system/*.wants "$M"/etc/systemd/system/*.requires "$M"/etc/rc[S0-9].d "$M/usr/sbin/policy-rc.d"
for u in systemd-resolved.service systemd-networkd.service systemd-timesyncd.service apt-daily.timer apt-daily-upgrade.timer; do
	ln -sf /dev/null "$M/etc/systemd/system/$u"
done
: >"$M/etc/machine-id"
printf '127.0.0.1 localhost\n::1 localhost\n' >"$M/etc/hosts"
# A control group of its own: boxes would else tidy up after each other.
for h in unified systemd .; do
	g=/sys/fs/cgroup/$h
	[ -e "$g/cgroup.procs" ] || continue
	mkdir -p "$g/$2" && echo 0 >"$g/$2/cgroup.procs" || true
done
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 exec systemd-nspawn -q --register=no --keep-unit --link-journal=no \
	-M "$2" -D "$M" -b --private-network --console=pipe </dev/null`

// boxes counts them, and lets as many run at a time as a small machine bears.
var boxes = struct {
	sync.Mutex
	n     int
	slots chan struct{}
}{slots: make(chan struct{}, 2)}

// boot starts a box; it is switched off when the test ends.
func boot(tb testing.TB) *box {
	tb.Helper()
	testenv.Root(tb)
	testenv.Program(tb, "systemd-nspawn", "systemd-container")
	testenv.Program(tb, "nsenter", "util-linux")
	testenv.Program(tb, "apt-get", "apt")
	if postgres == "" {
		testenv.Skip(tb, "PostgreSQL is missing: apt-get install postgresql")
	}
	boxes.slots <- struct{}{}
	tb.Cleanup(func() { <-boxes.slots })
	boxes.Lock()
	boxes.n++
	name := fmt.Sprintf(boxPrefix+"%d-%d", os.Getpid(), boxes.n)
	boxes.Unlock()

	b := &box{tb: tb, console: &testenv.Log{}}
	cmd := exec.Command("unshare", "--mount", "--propagation=private", "--pid", "--fork", "--kill-child", "--mount-proc",
		"sh", "-c", bootScript, "boot", tb.TempDir(), name, debian)
	cmd.Stdout, cmd.Stderr = b.console, b.console
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL}
	exited, err := testenv.Start(cmd)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { b.off(cmd, exited) })

	deadline := time.Now().Add(bootLimit)
	for b.init == 0 || !b.isRunning() {
		select {
		case <-exited:
			if cmd.ProcessState.ExitCode() == 77 {
				testenv.Skip(tb, "an overlay of / cannot be mounted here")
			}
			tb.Fatalf("the box did not boot: %v\n%s", cmd.ProcessState, b.console)
		case <-time.After(20 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			tb.Fatalf("the box did not boot within %s\n%s", bootLimit, b.console)
		}
		if b.init == 0 {
			b.init = findInit(cmd.Process.Pid)
		}
	}
	return b
}

// findInit looks for the systemd that is a descendant of the process.
func findInit(pid int) int {
	for range 4 {
		out, _ := exec.Command("pgrep", "-P", strconv.Itoa(pid)).Output()
		child, err := strconv.Atoi(strings.TrimSpace(string(out)))
		if err != nil {
			return 0
		}
		pid = child
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); strings.TrimSpace(string(name)) == "systemd" {
			return pid
		}
	}
	return 0
}

func (b *box) isRunning() bool {
	out, _ := b.command(b.tb.Context(), "systemctl", "is-system-running").Output()
	state := strings.TrimSpace(string(out))
	return state == "running" || state == "degraded"
}

func (b *box) off(cmd *exec.Cmd, exited <-chan struct{}) {
	if b.init != 0 {
		if b.tb.Failed() {
			b.keepJournal()
		}
		ctx, cancel := context.WithTimeout(context.Background(), offLimit)
		_ = b.command(ctx, "systemctl", "poweroff", "--no-block").Run()
		cancel()
	}
	select {
	case <-exited:
	case <-time.After(offLimit):
		_ = cmd.Process.Kill()
		<-exited
	}
	removeGroups()
}

// removeGroups removes the empty control groups of this and earlier runs;
// those in use cannot be removed.
func removeGroups() {
	for _, hierarchy := range []string{"unified", "systemd", "."} {
		groups, _ := filepath.Glob(filepath.Join("/sys/fs/cgroup", hierarchy, boxPrefix+"*"))
		for _, group := range groups {
			_ = exec.Command("find", group, "-depth", "-type", "d", "-exec", "rmdir", "{}", "+").Run()
		}
	}
}

// boxPrefix begins the names of boxes.
const boxPrefix = "mw-e2e-"

// keepJournal writes the journal of a box whose test has failed into a file, and
// shows only its end: the reason of the failure must not be buried.
func (b *box) keepJournal() {
	ctx, cancel := context.WithTimeout(context.Background(), offLimit)
	defer cancel()
	out, _ := b.command(ctx, "sh", "-c", `journalctl --no-pager -n 20000 -o short-monotonic | grep -v 'HTTP/1.1"'`).CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	where := "the whole of it could not be kept"
	if f, err := os.CreateTemp("", boxPrefix+"journal-*.txt"); err == nil {
		if _, err := f.Write(out); err == nil {
			where = "all of it: " + f.Name()
		}
		_ = f.Close()
	}
	b.tb.Logf("the reason is above; end of the journal (%s):\n%s", where, strings.Join(lines[max(0, len(lines)-12):], "\n"))
}

// mark gives the moment for since.
func (b *box) mark() string {
	b.tb.Helper()
	return b.sh("date +@%s.%6N")
}

// since begins a script that reads the journal from a mark on; what follows selects
// from it. A mark is surer than the invocation of a unit, which the journal looks up
// when it reads a line and no longer finds once the unit has failed, and surer than a
// cursor, after which a selection loses its first line.
func since(mark string) string {
	return "journalctl --sync; journalctl --no-pager --since=" + mark + " "
}

// command prepares a program that runs in the box.
func (b *box) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	all := append([]string{"-t", strconv.Itoa(b.init), "-a", "env", "-i",
		"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LC_ALL=C", "DEBIAN_FRONTEND=noninteractive", name}, args...)
	cmd := exec.CommandContext(ctx, "nsenter", all...)
	cmd.WaitDelay = time.Second
	return cmd
}

// try runs a script in the box and gives what it printed.
func (b *box) try(script string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	out, err := b.command(ctx, "sh", "-c", script).CombinedOutput()
	if ctx.Err() != nil {
		err = fmt.Errorf("not done within %s", commandLimit)
	}
	return strings.TrimSpace(string(out)), err
}

// sh is try that must succeed.
func (b *box) sh(script string) string {
	b.tb.Helper()
	out, err := b.try(script)
	if err != nil {
		b.tb.Fatalf("%s: %v\n%s", script, err, out)
	}
	return out
}

// write creates a file in the box.
func (b *box) write(path string, data []byte, mode os.FileMode) {
	b.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandLimit)
	defer cancel()
	cmd := b.command(ctx, "sh", "-c", fmt.Sprintf(`mkdir -p "$(dirname "$1")" && cat >"$1" && chmod %o "$1"`, mode), "write", path)
	cmd.Stdin = bytes.NewReader(data)
	if out, err := cmd.CombinedOutput(); err != nil {
		b.tb.Fatalf("write %s: %v\n%s", path, err, out)
	}
}

// copyIn puts a file of this machine into the box.
func (b *box) copyIn(from, to string, mode os.FileMode) {
	b.tb.Helper()
	data, err := os.ReadFile(from)
	if err != nil {
		b.tb.Fatal(err)
	}
	b.write(to, data, mode)
}

// until waits for a script to succeed.
func (b *box) until(what, script string) string {
	b.tb.Helper()
	deadline := time.Now().Add(waitLimit)
	for {
		out, err := b.try(script)
		if err == nil {
			return out
		}
		if time.Now().After(deadline) {
			b.tb.Fatalf("%s: not within %s: %s\n%s", what, waitLimit, script, out)
		}
		<-time.After(50 * time.Millisecond)
	}
}

// apt installs packages that were copied to /root.
func (b *box) apt(args ...string) string {
	b.tb.Helper()
	return b.sh("apt-get -q -y -o Dpkg::Use-Pty=0 " + strings.Join(args, " ") + " 2>&1")
}

// debs are the packages that the tests install.
type debs struct {
	dir string
}

func (d debs) path(version string) string {
	return filepath.Join(d.dir, "middleware-api_"+version+"_"+architecture()+".deb")
}

func architecture() string {
	out, err := exec.Command("dpkg", "--print-architecture").Output()
	if err != nil {
		return "amd64"
	}
	return strings.TrimSpace(string(out))
}

var built struct {
	once sync.Once
	debs debs
	own  bool // the folder is ours, to be removed
	err  error
}

// Versions of the package; brokenVersion ends at once when it should serve.
const (
	firstVersion  = "1.0.0"
	secondVersion = "1.1.0"
	brokenVersion = "1.2.0"
)

// packages builds the versions, once for all tests. With E2E_DEBS set they are
// kept in that folder, and built only if they are not there.
func packages(tb testing.TB) debs {
	tb.Helper()
	if _, err := exec.LookPath("nfpm"); err != nil {
		testenv.Skip(tb, "nfpm is missing: go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2, or make test")
	}
	testenv.Program(tb, "dpkg-deb", "dpkg")
	built.once.Do(func() {
		if built.debs.dir = os.Getenv("E2E_DEBS"); built.debs.dir == "" {
			built.debs.dir, built.err = os.MkdirTemp("", "mw-e2e-debs-")
			built.own = true
		}
		if built.err == nil {
			built.err = buildAll(testenv.ModuleRoot(tb), built.debs)
		}
	})
	if built.err != nil {
		tb.Fatal(built.err)
	}
	return built.debs
}

func buildAll(root string, d debs) error {
	for _, version := range []string{firstVersion, secondVersion} {
		if _, err := os.Stat(d.path(version)); err == nil {
			continue
		}
		if err := build(root, d.dir, version); err != nil {
			return err
		}
	}
	if _, err := os.Stat(d.path(brokenVersion)); err == nil {
		return nil
	}
	return breakPackage(d)
}

func build(root, dir, version string, environment ...string) error {
	cmd := exec.Command("packaging/build-deb.sh")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "VERSION="+version, "DIST="+dir, "SOURCE_DATE_EPOCH=1790000000")
	cmd.Env = append(cmd.Env, environment...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build package %s: %w\n%s", version, err, out)
	}
	return nil
}

// breakPackage makes a version whose workers end at once from the second one.
func breakPackage(d debs) error {
	script := `set -e
dpkg-deb -R "$1" "$2/broken"
mv "$2/broken/usr/bin/middleware-api" "$2/broken/usr/lib/middleware-api/real"
printf '#!/bin/sh\n[ "$1" != serve ] || { echo "this version is broken" >&2; exit 1; }\nexec /usr/lib/middleware-api/real "$@"\n' >"$2/broken/usr/bin/middleware-api"
chmod 755 "$2/broken/usr/bin/middleware-api"
sed -i "s/^Version: .*/Version: ` + brokenVersion + `/" "$2/broken/DEBIAN/control"
dpkg-deb --root-owner-group -Zgzip -z1 -b "$2/broken" "$3"
rm -rf "$2/broken"`
	out, err := exec.Command("sh", "-c", script, "break", d.path(secondVersion), d.dir, d.path(brokenVersion)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("break package: %w\n%s", err, out)
	}
	return nil
}
