package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// Workers and synchroniser are confined as well as systemd can tell, and a
// program in the place of a worker can do nothing but its work.
func TestConfinement(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	const token = "glpat-e2e-secret"
	b.sh("printf '%s\\n' " + token + " >/etc/middleware-api/credentials/gitlab-token && systemctl restart middleware-api-sync")
	b.upload(sample(t))

	for _, unit := range []string{"middleware-api@1.service", "middleware-api-sync.service", "middleware-api-migrate.service"} {
		out := b.sh("systemd-analyze --no-pager security " + unit)
		m := regexp.MustCompile(`exposure level for .*: ([0-9.]+)`).FindStringSubmatch(out)
		if m == nil {
			t.Fatalf("%s: %s", unit, out)
		}
		if level, _ := strconv.ParseFloat(m[1], 64); level > 1.1 {
			t.Errorf("exposure of %s is %s, want at most 1.1", unit, m[1])
		}
		t.Logf("exposure of %s: %s", unit, m[1])
	}

	sync := b.sh("systemctl show -p MainPID --value middleware-api-sync.service")
	if out := b.sh("cat /run/credentials/middleware-api-sync.service/gitlab-token"); out != token {
		t.Errorf("the synchroniser was given the token %q", out)
	}
	for _, pid := range b.workers() {
		if user := b.sh("stat -c %U /proc/" + pid); user == b.sh("stat -c %U /proc/"+sync) {
			t.Errorf("worker %s is the same user as the synchroniser, %s, and could look into its memory", pid, user)
		}
	}
	for _, pid := range append(b.workers(), sync) {
		if out := b.sh("cat /proc/" + pid + "/environ /proc/" + pid + "/cmdline | tr '\\0' '\\n'"); strings.Contains(out, token) {
			t.Errorf("the token is in environment or arguments of %s", pid)
		}
	}
	if out, _ := b.try("ls /run/credentials/middleware-api@1.service"); strings.Contains(out, "gitlab") {
		t.Errorf("a worker has the credentials %s", out)
	}
	if out, _ := b.try("journalctl --no-pager -o verbose | grep -c " + token); out != "0" {
		t.Errorf("the token is in the journal (%s times)", out)
	}

	b.write("/etc/systemd/system/middleware-api@77.service.d/probe.conf", []byte(`[Service]
Type=oneshot
Restart=no
WatchdogSec=0
ExecStart=
ExecStart=`+insidePath+`
Environment=`+insideEnv+`=probe SYNC_PID=`+sync+`
SyslogIdentifier=probe
`), 0o644)
	b.sh("systemctl daemon-reload && systemctl start middleware-api@77.service")
	out := b.until("the probe to end", "journalctl --no-pager -o cat -t probe | grep -q 'database reached' && journalctl --no-pager -o cat -t probe | grep '^probe: '")
	if strings.Contains(out, "POSSIBLE") || !strings.Contains(out, "runtime directory written") || !strings.Contains(out, "shared socket does not block") || strings.Count(out, "refused") < 15 {
		t.Errorf("a program in the place of a worker:\n%s", out)
	}
}
