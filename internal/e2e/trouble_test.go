package e2e

import (
	"fmt"
	"strings"
	"testing"
)

// says fails the test for each of the words that is not in the text.
func says(tb testing.TB, what, text string, words ...string) {
	tb.Helper()
	for _, want := range words {
		if !strings.Contains(text, want) {
			tb.Errorf("%s does not say %q:\n%s", what, want, text)
		}
	}
}

// status is what an administrator looks at first.
func (b *box) status(unit string) string {
	b.tb.Helper()
	return b.sh("systemctl status --no-pager --full -n 20 " + unit + " || true")
}

// lines counts the records of a message since a unit was started last.
func (b *box) lines(unit, message string) string {
	b.tb.Helper()
	return b.sh(fmt.Sprintf(`journalctl --sync; journalctl --no-pager -o cat -t middleware-api _SYSTEMD_INVOCATION_ID="$(systemctl show -p InvocationID --value %s)" | grep -c %q || true`, unit, message))
}

// Whatever an administrator gets wrong about files, secrets and networks is one
// clear line with the remedy, and the workers that run go on.
func TestMistakesAreTold(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(2)
	before := fmt.Sprint(b.workers())
	unchanged := func(t *testing.T) {
		t.Helper()
		if after := fmt.Sprint(b.workers()); after != before {
			t.Errorf("workers %s became %s", before, after)
		}
	}
	refused := func(t *testing.T, words ...string) {
		t.Helper()
		b.as(t)
		if out, err := b.try("systemctl reload middleware-api"); err == nil {
			t.Errorf("the reload succeeded: %s", out)
		}
		says(t, "systemctl status", b.status("middleware-api"), append(words, "the workers go on with the one they have")...)
		unchanged(t)
	}
	defer b.as(t)

	t.Run("configuration that the service may not read", func(t *testing.T) {
		b.as(t).sh("chmod 0600 /etc/middleware-api/config.yaml")
		refused(t, "the configuration cannot be read: permission denied", "chgrp middleware-api FILE && chmod 0640 FILE")
		b.sh("systemctl stop middleware-api@2 && ! systemctl start middleware-api@2 2>/dev/null")
		says(t, "systemctl status", b.status("middleware-api@2"), "status=78", "configuration cannot be used", "permission denied", "systemctl reload middleware-api")
		b.sh("chmod 0640 /etc/middleware-api/config.yaml && systemctl start middleware-api@2")
		before = fmt.Sprint(b.workers())
	})
	t.Run("key that the service may not read", func(t *testing.T) {
		b.as(t).sh(`mkdir -p /etc/middleware-api/tls && cd /etc/middleware-api/tls &&
			openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 30 -subj /CN=localhost 2>/dev/null && chmod 0600 key.pem`)
		b.write("/etc/middleware-api/config.yaml", []byte("known_rdis: [demo]\nrequire_client_cert: false\ntls:\n"+
			"  certificate: /etc/middleware-api/tls/cert.pem\n  key: /etc/middleware-api/tls/key.pem\n  client_ca: /etc/middleware-api/tls/cert.pem\n"), 0o640)
		b.sh("chgrp middleware-api /etc/middleware-api/config.yaml")
		refused(t, "/etc/middleware-api/tls/key.pem: permission denied", "chgrp middleware-api /etc/middleware-api/tls/key.pem && chmod 0640 /etc/middleware-api/tls/key.pem")
		b.configure()
		before = fmt.Sprint(b.workers())
	})
	t.Run("token that is missing or open to all", func(t *testing.T) {
		b.as(t).configure("git_repo: {url: 'https://192.0.2.7', group: arcs}")
		b.sh("systemctl restart middleware-api-sync")
		b.until("a warning", `systemctl status --no-pager --full middleware-api-sync | grep 'no token' | grep -q 'install -m 0600 /dev/stdin /etc/middleware-api/credentials/gitlab-token'`)
		b.sh("echo secret >/etc/middleware-api/credentials/gitlab-token && chmod 0644 /etc/middleware-api/credentials/gitlab-token && systemctl restart middleware-api-sync")
		out, _ := b.try("middleware-api doctor") // by root, who is no role of the database
		out = strings.Join(strings.Fields(out), " ")
		says(t, "doctor", out, "ok database", "chmod 0600 /etc/middleware-api/credentials/gitlab-token", "can be read by others")
		if n := b.lines("middleware-api-sync", "no token"); n != "0" {
			t.Errorf("a token that is there is missed %s times", n)
		}
		b.sh("rm /etc/middleware-api/credentials/gitlab-token")
		b.configure()
		b.sh("systemctl restart middleware-api-sync")
	})
	t.Run("database that the sandbox does not let the workers reach", func(t *testing.T) {
		b.as(t).write("/etc/middleware-api/other.yaml", []byte("known_rdis: [demo]\nrequire_client_cert: false\ndatabase: {url: 'postgresql://192.0.2.9/arcs'}\n"), 0o644)
		words := []string{"database.url names 192.0.2.9", "RestrictAddressFamilies=", `MIDDLEWARE_API_REACH="192.0.2.9"`, "systemctl reload middleware-api"}
		says(t, "check", b.sh("middleware-api check --config /etc/middleware-api/other.yaml"), words...)
		out, _ := b.try("middleware-api doctor --config /etc/middleware-api/other.yaml")
		out = strings.Join(strings.Fields(out), " ")
		says(t, "doctor", out, words...)
		b.sh(`echo 'MIDDLEWARE_API_REACH="192.0.2.9"' >>/etc/default/middleware-api && systemctl daemon-reload`)
		if out := b.sh("middleware-api check --config /etc/middleware-api/other.yaml"); strings.Contains(out, "warning") {
			t.Errorf("check warns although the workers may connect:\n%s", out)
		}
		b.fleet(2)
		b.sh("systemctl daemon-reload")
	})
	t.Run("more connections than PostgreSQL allows", func(t *testing.T) {
		b.as(t).configure("database: {max_connections: 60}")
		says(t, "systemctl status", b.status("middleware-api-migrate"), "the database allows fewer connections than the service may open",
			"needed=185 allowed=97", "max_connections = 188 in postgresql.conf")
		b.configure()
		if n := b.lines("middleware-api-migrate", "allows fewer connections"); n != "0" {
			t.Errorf("warned %s times of the default", n)
		}
	})
}

// A database that is missing or goes away is told once by each process with
// the remedy, and shown as long as it lasts; everything goes on by itself.
func TestDatabaseComesAndGoes(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(2)
	id := b.upload(sample(t))
	b.untilSynced(id)
	psql := "setpriv --reuid=postgres --clear-groups psql -qX -c "

	b.sh("systemctl stop middleware-api middleware-api-sync middleware-api-migrate && " + psql + `'ALTER DATABASE "middleware-api" RENAME TO elsewhere'`)
	b.sh("systemctl start --no-block middleware-api")
	b.until("a status line", "systemctl show -p StatusText --value middleware-api@1 | grep -q 'waiting for the database'")
	text := b.status("middleware-api@1")
	says(t, "systemctl status", text, `database "middleware-api" does not exist`, "middleware-api doctor")
	b.until("word of the migration", "systemctl show -p ActiveState -p StatusText middleware-api-migrate | grep -q 'StatusText=store_access: .*does not exist.*middleware-api doctor'")
	b.sh(psql + `'ALTER DATABASE elsewhere RENAME TO "middleware-api"'`)
	b.untilWorkers(2)
	if n := b.lines("middleware-api@1", "database does not answer"); n != "1" {
		t.Errorf("said %s times that the database is missing, want once", n)
	}

	workers := fmt.Sprint(b.workers())
	b.sh("systemctl restart middleware-api-sync && systemctl stop " + cluster)
	b.until("a status line", "systemctl show -p StatusText --value middleware-api@2 | grep -q 'serving without a database.*systemctl status postgresql'")
	b.until("a status line of the synchroniser", "systemctl show -p StatusText --value middleware-api-sync | grep -q 'serving without a database.*systemctl status postgresql'")
	out := b.sh("curl -sS -i --max-time 10 http://127.0.0.1:8000/v3/arcs/" + id)
	says(t, "an answer without a database", out, "503", "Retry-After: ", "X-Error-Code: store_unavailable")
	b.sh("systemctl start " + cluster)
	b.until("the usual status line", "systemctl show -p StatusText --value middleware-api@2 | grep -q 'serving: '")
	b.untilSynced(b.upload([]byte(strings.Replace(string(sample(t)), "barley-drought-2026", "barley-drought-2027", 1))))
	if after := fmt.Sprint(b.workers()); after != workers {
		t.Errorf("workers %s became %s while PostgreSQL was away", workers, after)
	}
	for _, unit := range []string{"middleware-api@2", "middleware-api-sync"} {
		says(t, unit, b.lines(unit, "database does not answer.*systemctl status postgresql"), "1")
		says(t, unit, b.lines(unit, "database answers"), "1")
	}
}

// An upgrade that PostgreSQL's absence cuts short says what completes it, and until then
// doctor names what still runs the program of before.
func TestAnIncompleteUpgradeIsTold(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api && systemctl stop " + cluster)
	b.untilWorkers(2)
	const complete = "systemctl reload middleware-api && systemctl restart middleware-api-sync"
	says(t, "apt", b.apt("install", b.deb(secondVersion)), "the upgrade is not complete", complete)
	b.sh("systemctl start " + cluster)
	b.until("green", "middleware-api status")
	b.says("middleware-api doctor", "warning units: middleware-api@1.service runs the program of before an upgrade", "middleware-api@2.service runs",
		"middleware-api-sync.service runs", complete, "exit status 1")
	b.sh(complete)
	b.says("middleware-api doctor", "2 workers and the synchroniser run", "exit status 0")
}

// The last words of a process that ends at once are filed under its unit, where
// systemctl status looks for them, also when the journal is behind.
func TestLastWordsAreFiledUnderTheUnit(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.sh(`journal=$(systemctl show -p MainPID --value systemd-journald)
		kill -STOP $journal
		systemd-run -q --no-block --unit=last-words --uid=middleware-api -p RemainAfterExit=yes middleware-api serve --config /nonexistent
		sleep 1 # the journal is behind by that much; the process would have ended long since
		kill -CONT $journal`)
	b.until("the end of the process", "systemctl is-failed -q last-words")
	says(t, "the journal of the unit", b.sh("journalctl --sync; journalctl --no-pager -o cat -u last-words _TRANSPORT=journal SYSLOG_IDENTIFIER=middleware-api"),
		"configuration cannot be used", "no such file or directory")
}

// A journal that hangs holds up no request and no push, and gets afterwards what
// was logged meanwhile.
func TestAJournalThatHangsHoldsUpNothing(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.write("/root/request.json", fmt.Appendf(nil, `{"rdi": "demo", "arc": %s}`, sample(t)), 0o600)
	b.sh(`journal=$(systemctl show -p MainPID --value systemd-journald)
		kill -STOP $journal
		trap 'kill -CONT $journal' EXIT
		curl -sS --fail-with-body --max-time 30 -H 'Content-Type: application/json' -d @/root/request.json http://127.0.0.1:8000/v3/arcs >/root/answer.json
		curl -sS --fail-with-body --max-time 60 -o /dev/null 'http://127.0.0.1:8000/v3/liveness?[1-4000]'
		id=$(grep -Eo '[0-9a-f]{64}' /root/answer.json | head -n 1)
		until curl -sS --max-time 5 http://127.0.0.1:8000/v3/arcs/$id | grep -q '"state":"synced"'; do sleep 0.1; done`)
	b.until("all access lines", `journalctl --sync; [ $(journalctl --no-pager -o cat -t middleware-api | grep -c 'GET /v3/liveness?') = 4000 ]`)
}

// The watchdog of the synchroniser: a push that is slow is let alone, a process
// that hangs is ended, leaves its stacks, and the next one goes on.
func TestWatchdogOfTheSynchroniser(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.write("/etc/systemd/system/middleware-api-sync.service.d/watchdog.conf", []byte("[Service]\nWatchdogSec=2s\n"), 0o644)
	id := b.upload(sample(t))
	b.untilSynced(id)
	// A git that takes its time before it looks at the repository.
	b.write("/usr/local/bin/git", []byte("#!/bin/sh\n[ ! -e /etc/slow ] || sleep 7\nexec /usr/bin/git \"$@\"\n"), 0o755)
	b.sh("touch /etc/slow && systemctl daemon-reload && systemctl restart middleware-api-sync")
	pid := func() string { return b.sh("systemctl show -p MainPID --value middleware-api-sync") }
	first := pid()
	id = b.upload([]byte(strings.Replace(string(sample(t)), "barley-drought-2026", "barley-drought-2028", 1)))
	b.until("a push under way", "systemctl show -p StatusText --value middleware-api-sync | grep -q 'pushed, 0 failed, 1 in flight' || pgrep -x sleep")
	b.untilSynced(id)
	if last := pid(); last != first {
		t.Errorf("the synchroniser was replaced during a slow push: %s became %s", first, last)
	}
	b.until("the status line", "systemctl show -p StatusText --value middleware-api-sync | grep -Eq 'serving: up .*; [1-9][0-9]* pushed, 0 failed, 0 in flight, 0 due'")

	b.sh("rm /etc/slow && kill -STOP " + first)
	b.until("the end of the synchroniser", "! kill -0 "+first)
	b.until("stacks in the journal", "journalctl --no-pager -t middleware-api _PID="+first+" | grep -q 'goroutine .*running\\|SIGABRT'")
	b.untilSynced(b.upload([]byte(strings.Replace(string(sample(t)), "barley-drought-2026", "barley-drought-2027", 1))))
}
