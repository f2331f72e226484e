package e2e

import (
	"regexp"
	"strconv"
	"strings"
	"testing"
)

const adminCurl = "curl -s --max-time 20 --unix-socket /run/middleware-api/admin.sock "

// asks gives status and body of a request on the socket for operators, as a user.
func (b *box) asks(user, arguments string) (status, body string) {
	b.tb.Helper()
	out := b.sh("runuser -u " + user + " -- " + adminCurl + `-w '\n%{http_code}' ` + arguments)
	i := strings.LastIndexByte(out, '\n')
	return out[i+1:], out[:max(i, 0)]
}

// The socket for operators tells the metrics of all processes of the machine,
// lets in whom the kernel says to be one, and writes down by name what he does.
func TestSocketForOperators(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.write("/etc/default/middleware-api", []byte("MIDDLEWARE_API_WORKERS=2\nMIDDLEWARE_API_METRICS_LISTEN=127.0.0.1:9464\n"), 0o644)
	b.sh("groupadd stewards && useradd -G stewards erika && useradd mallory")
	b.configure("admin: {group: stewards}")
	b.untilWorkers(2)
	b.upload(sample(t))

	out := b.sh("systemd-analyze --no-pager security middleware-api-admin.service")
	m := regexp.MustCompile(`exposure level for .*: ([0-9.]+)`).FindStringSubmatch(out)
	if m == nil {
		t.Fatal(out)
	}
	// A little more than the workers: it has to see who asks.
	if level, _ := strconv.ParseFloat(m[1], 64); level > 1.3 {
		t.Errorf("exposure of the process for operators is %s", m[1])
	}
	_, metrics := b.asks("root", "http://x/metrics")
	for _, worker := range []string{"1", "2", "sync", "admin"} {
		if !strings.Contains(metrics, `middleware_api_build_info{commit="",go="go`) || !strings.Contains(metrics, `worker="`+worker+`"} 1`) {
			t.Errorf("no metrics of %s:\n%.3000s", worker, metrics)
		}
	}
	for _, worker := range []string{"1", "2", "sync"} {
		if !strings.Contains(metrics, `middleware_api_process_up{worker="`+worker+`"} 1`) {
			t.Errorf("%s is not up", worker)
		}
	}

	ends := func() (sum int) {
		_, metrics := b.asks("root", "http://x/metrics")
		for _, m := range regexp.MustCompile(`middleware_api_process_stops_total\{.*\} (\d+)`).FindAllStringSubmatch(metrics, -1) {
			n, _ := strconv.Atoi(m[1])
			sum += n
		}
		return sum
	}
	before := ends()
	b.sh("systemctl restart middleware-api-sync && systemctl stop middleware-api-sync")
	if after := ends(); after != before+2 {
		t.Errorf("%d ends were counted, and %d after two more", before, after)
	}
	b.sh("systemctl start middleware-api-sync")

	if status, body := b.asks("mallory", "http://x/metrics"); status != "403" || !strings.Contains(body, "admin.group") {
		t.Errorf("metrics for anybody: %s %s", status, body)
	}
	if status, body := b.asks("mallory", "http://x/console"); status != "403" || strings.Contains(body, "demo") {
		t.Errorf("console for anybody: %s %s", status, body)
	}
	if status, body := b.asks("erika", "http://x/console"); status != "200" || !strings.Contains(body, "local user erika") || !strings.Contains(body, "demo") {
		t.Errorf("console for a member of the group: %s %s", status, body)
	}
	if status, _ := b.asks("mallory", "-X POST http://x/console/remotes/git/pause"); status != "403" {
		t.Errorf("anybody pauses: %s", status)
	}
	if status, _ := b.asks("erika", "-X POST http://x/console/remotes/git/pause"); status != "303" {
		t.Errorf("an operator pauses: %s", status)
	}
	trail := b.sh(`runuser -u postgres -- psql -AtX -d middleware-api -c "SELECT actor, action FROM audit WHERE action LIKE 'remote.%'"`)
	if trail != "local user erika|remote.pause" {
		t.Errorf("audit trail: %s", trail)
	}
	b.sh("systemctl daemon-reload && systemctl restart middleware-api-admin.socket")
	if out := b.sh("curl -s --max-time 20 http://127.0.0.1:9464/metrics"); !strings.Contains(out, `middleware_api_process_up{worker="2"} 1`) {
		t.Errorf("metrics on the network:\n%.2000s", out)
	}
	if out := b.sh("curl -s --max-time 20 -o /dev/null -w '%{http_code}' http://127.0.0.1:9464/console"); out != "404" {
		t.Errorf("console on the network: %s", out)
	}
}

// The console tells what is wrong when no worker runs and when the
// configuration cannot be used; neither lets its process start again and again.
func TestConsoleOfABrokenService(t *testing.T) {
	t.Parallel()
	b := prepare(t)
	b.fleet(2)
	b.sh("systemctl reload middleware-api")
	b.untilWorkers(2)
	b.sh("systemctl mask --runtime --now middleware-api@1 middleware-api@2 && systemctl stop middleware-api-sync")
	if status, body := b.asks("root", "http://x/console"); status != "200" || !strings.Contains(body, "No worker runs") || !strings.Contains(body, "The synchroniser does not run") {
		t.Errorf("without workers: %s\n%s", status, body)
	}
	b.write("/etc/middleware-api/config.yaml", []byte("known_rdis: 7up\nnonsense: true\n"), 0o644)
	b.sh("systemctl stop middleware-api-admin.service")
	status, body := b.asks("root", "http://x/console")
	if status != "503" || !strings.Contains(body, "known_rdis") {
		t.Errorf("with a wrong configuration: %s\n%s", status, body)
	}
	if out := b.sh("systemctl show -p NRestarts --value middleware-api-admin.service"); out != "0" {
		t.Errorf("it was started again %s times", out)
	}
	if out := b.sh("systemctl is-active middleware-api-admin.socket"); out != "active" {
		t.Errorf("the socket is %s", out)
	}
}
