package e2e

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
)

// A configuration that is wrong changes nothing about the workers that run:
// the reload fails, says why with the line, and a worker that has to start
// nevertheless stays down without a loop.
func TestBrokenConfigurationKeepsWorkers(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(2)
	before := b.workers()
	b.sh(`printf 'known_rdis: [demo]\nrequire_client_cert: false\nknown_rdys: [demo]\nlog_level: LOUD\n' >/etc/middleware-api/config.yaml`)
	if out, err := b.try("systemctl reload middleware-api"); err == nil {
		t.Errorf("reload of a broken configuration succeeded: %s", out)
	}
	if after := b.workers(); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("workers %v became %v", before, after)
	}
	status := b.sh("systemctl status --no-pager -n 20 middleware-api || true")
	for _, want := range []string{"config.yaml:3", "known_rdys", "config.yaml:4", "the workers go on with the one they have"} {
		if !strings.Contains(status, want) {
			t.Errorf("systemctl status does not say %q:\n%s", want, status)
		}
	}
	if out, err := b.try("middleware-api check; echo status $?"); err != nil || !strings.Contains(out, "status 78") {
		t.Errorf("middleware-api check: %s", out)
	}

	b.sh("kill -9 " + before[0])
	b.until("the worker to give up", `systemctl show -p ExecMainStatus --value 'middleware-api@*.service' | grep -qx 78`)
	starts := func() int {
		n, _ := strconv.Atoi(b.sh(`journalctl --no-pager -u 'middleware-api@*' | grep -c 'status=78' || true`))
		return n
	}
	first := starts()
	// Whatever would start it again does so within its second.
	b.until("some time to pass", `test $(( $(date +%s) - $(stat -c %Y /root/request.time 2>/dev/null || { touch /root/request.time; date +%s; }) )) -ge 4`)
	if n := starts(); n > 40 || n-first > 20 {
		t.Errorf("the worker was started %d times", n)
	}
	b.sh(`curl -sS --fail --max-time 5 http://127.0.0.1:8000/v3/liveness`) // the other one
	b.configure()
	b.untilWorkers(2)
}

// A worker that fails to start once is started again, and the reload goes on; one that never
// starts ends it, and the workers after it go on as they are.
func TestAReloadBearsOneFailedStart(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(2)
	before := b.workers()
	drop := func(check string) {
		b.sh("mkdir -p /run/systemd/system/middleware-api@1.service.d")
		b.write("/run/systemd/system/middleware-api@1.service.d/once.conf", []byte("[Service]\nExecStartPre=+/bin/sh -c '"+check+"'\n"), 0o644)
		b.sh("systemctl daemon-reload")
	}
	drop("test -e /run/tried || { touch /run/tried; exit 1; }")
	b.sh("systemctl reload middleware-api && test -e /run/tried")
	b.untilWorkers(2)
	after := b.workers()
	for i := range after {
		if after[i] == before[i] {
			t.Errorf("worker %d was not replaced: %v became %v", i+1, before, after)
		}
	}
	drop("exit 1")
	if out, err := b.try("systemctl reload middleware-api"); err == nil {
		t.Errorf("a reload with a worker that never starts succeeded: %s", out)
	}
	if pid := b.sh("systemctl show -p MainPID --value middleware-api@2.service"); strings.TrimSpace(pid) != after[1] {
		t.Errorf("the worker after it became %s, it was %s", pid, after[1])
	}
}

// The fleet follows /etc/default/middleware-api: number, old name of the
// number, nonsense, addresses old and new, IPv6 and unix sockets.
func TestDefaultsFile(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	cpus, err := strconv.Atoi(b.sh("nproc"))
	if err != nil {
		t.Fatal(err)
	}
	auto := 2*cpus + 1
	for _, c := range []struct {
		lines string
		want  int
		says  string
	}{
		{"MIDDLEWARE_API_WORKERS=2\nGUNICORN_WORKERS=4", 2, ""},
		{`GUNICORN_WORKERS="4"`, 4, ""},
		{"MIDDLEWARE_API_WORKERS=1", 1, ""},
		{"MIDDLEWARE_API_WORKERS=several", auto, "MIDDLEWARE_API_WORKERS=several is not a number"},
		{"GUNICORN_WORKERS=0", auto, ""},
	} {
		b.write("/etc/default/middleware-api", []byte(c.lines+"\n"), 0o644)
		b.sh("systemctl reload middleware-api")
		b.untilWorkers(c.want)
		if c.says != "" {
			b.until("the error in the journal", "journalctl --no-pager -p err -u middleware-api | grep -q '"+c.says+"'")
		}
	}
	for _, c := range []struct {
		lines  string
		curl   []string
		doctor string
	}{
		{"UVICORN_PORT=8010", []string{"http://127.0.0.1:8010"}, "127.0.0.1:8010"},
		{"UVICORN_HOST=0.0.0.0\nUVICORN_PORT=8011", []string{"http://127.0.0.1:8011"}, "0.0.0.0:8011"},
		{"UVICORN_HOST=::1", []string{"http://[::1]:8000"}, "[::1]:8000"},
		{`MIDDLEWARE_API_LISTEN="127.0.0.1:8012 [::1]:8012 /run/middleware-api.sock"`, []string{
			"http://127.0.0.1:8012", "http://[::1]:8012", "--unix-socket /run/middleware-api.sock http://local",
		}, "unix:/run/middleware-api.sock"},
		{"UVICORN_HOST=localhost", []string{"http://127.0.0.1:8000"}, "127.0.0.1:8000"},
	} {
		b.write("/etc/default/middleware-api", []byte("MIDDLEWARE_API_WORKERS=2\n"+c.lines+"\n"), 0o644)
		b.sh("systemctl daemon-reload && systemctl restart middleware-api.socket && systemctl start middleware-api")
		for _, target := range c.curl {
			b.sh("curl -gsS --fail --max-time 10 " + target + "/v3/liveness")
		}
		b.says("middleware-api doctor", "ok listeners: "+c.doctor+" accepts connections")
	}
	if mode := b.sh("stat -c '%a %G' /run/middleware-api.sock 2>/dev/null || true"); mode != "" && mode != "660 www-data" {
		t.Errorf("the unix socket is %s", mode)
	}
	b.write("/etc/default/middleware-api", []byte("MIDDLEWARE_API_WORKERS=1\nGUNICORN_LOG_LEVEL=debug\n"), 0o644)
	b.sh("systemctl daemon-reload && systemctl restart middleware-api.socket && systemctl reload-or-restart middleware-api")
	b.untilWorkers(1)
	b.until("a debug line", `journalctl --no-pager -p debug..debug -u 'middleware-api@*' | grep -q listening`)
}

// An address that was changed is not applied by a reload, which would leave workers without
// a socket: it is refused and changes nothing. A daemon-reload by somebody else, which takes
// the socket from workers that start after it, is told with what mends it.
func TestAChangedAddressWaitsForTheSocket(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(2)
	before := fmt.Sprint(b.workers())
	b.write("/etc/default/middleware-api", []byte("MIDDLEWARE_API_WORKERS=2\nMIDDLEWARE_API_REACH=127.0.0.1\nMIDDLEWARE_API_LISTEN=127.0.0.1:8010\n"), 0o644)
	if out, err := b.try("systemctl reload middleware-api"); err == nil {
		t.Errorf("the reload succeeded: %s", out)
	}
	const remedy = "systemctl daemon-reload && systemctl restart middleware-api.socket"
	says(t, "systemctl status", b.status("middleware-api"), "the addresses have changed", remedy)
	if after := fmt.Sprint(b.workers()); after != before {
		t.Errorf("workers %s became %s", before, after)
	}
	b.sh("systemctl restart middleware-api@1 && curl -sS --fail --max-time 10 http://127.0.0.1:8000/v3/liveness")

	b.sh("systemctl daemon-reload; ! systemctl restart middleware-api@1 2>/dev/null")
	b.until("the reason with its remedy", "journalctl --no-pager -o cat -u middleware-api@1 | grep -A1 'no socket was inherited' | grep -q 'systemctl restart middleware-api.socket'")
	b.says("middleware-api doctor", "nobody listens on 127.0.0.1:8010", "systemctl restart middleware-api.socket")
	b.sh("systemctl restart middleware-api.socket")
	b.untilWorkers(2)
	b.sh("curl -sS --fail --max-time 10 http://127.0.0.1:8010/v3/liveness && systemctl reload middleware-api")
}

// Without a database workers are not ready, say so once, and refuse requests
// with 503 and Retry-After; when it returns they serve by themselves.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api")
	b.sh("systemctl stop 'postgresql@*' && systemctl stop middleware-api.socket middleware-api && systemctl start middleware-api.socket")
	answer := b.until("refusal", `curl -sS -i --max-time 10 http://127.0.0.1:8000/v3/readiness | grep -i -A100 '^HTTP/1.1 503'`)
	upload := b.sh(`curl -sS -i --max-time 30 -H 'Content-Type: application/json' -d '{"rdi": "demo", "arc": {"@context": "x", "@graph": [{"@id": "./", "@type": "Dataset", "identifier": "x"}]}}' http://127.0.0.1:8000/v3/arcs`)
	if !strings.Contains(upload, "503") || !strings.Contains(strings.ToLower(upload), "retry-after:") {
		t.Errorf("an upload without a database: %s\nreadiness: %s", upload, answer)
	}
	status := b.sh(`systemctl status --no-pager middleware-api@1.service || true`)
	if !strings.Contains(status, "waiting for the database") {
		t.Errorf("systemctl status says\n%s", status)
	}
	// The first one says so once; the others come when it is ready.
	n := b.lines("middleware-api@1", "database does not answer")
	if n != "1" {
		t.Errorf("said %s times that the database is away, want once", n)
	}
	b.sh("systemctl start " + cluster)
	b.untilWorkers(2)
	b.untilSynced(b.upload(sample(t)))
}

// An occupied port is one clear line in systemctl status.
func TestOccupiedPort(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.sh("systemctl stop middleware-api.socket middleware-api")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	cmd := b.command(ctx, "env", insideEnv+"=occupy", insidePath, "127.0.0.1:8000")
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	b.until("the port to be occupied", "ss -ltn | grep -q 127.0.0.1:8000 || grep -q '0100007F:1F40' /proc/net/tcp")
	if out, err := b.try("systemctl start middleware-api.socket"); err == nil {
		t.Errorf("started on an occupied port: %s", out)
	}
	if status := b.sh("systemctl status --no-pager middleware-api.socket || true"); !strings.Contains(status, "Address already in use") {
		t.Errorf("systemctl status says\n%s", status)
	}
	stdin.Close()
	_ = cmd.Wait()
	b.sh("systemctl start middleware-api.socket && curl -sS --fail --max-time 10 http://127.0.0.1:8000/v3/liveness")
}
