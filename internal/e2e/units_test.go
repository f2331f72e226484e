package e2e

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/config"
)

// unit is a unit file: its settings as "Key=value", of the whole file, without comments.
type unit []string

func readUnit(tb testing.TB, name string) unit {
	tb.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "packaging", "systemd", name))
	if err != nil {
		tb.Fatal(err)
	}
	var u unit
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "[") {
			u = append(u, line)
		}
	}
	return u
}

// value gives the only value of a setting, "" if there is none or several.
func (u unit) value(key string) (value string) {
	for _, line := range u {
		if k, v, _ := strings.Cut(line, "="); k == key {
			if value != "" {
				return ""
			}
			value = v
		}
	}
	return value
}

// confinement is what every process of ours gives up. The level of exposure that systemd
// tells is too coarse for one of these to be missed (systemd.exec(5)).
var confinement = []string{
	"UMask=0027", "CapabilityBoundingSet=", "AmbientCapabilities=", "NoNewPrivileges=yes", "RestrictSUIDSGID=yes",
	"LockPersonality=yes", "RestrictRealtime=yes", "RestrictNamespaces=yes", "RemoveIPC=yes", "KeyringMode=private",
	"MemoryDenyWriteExecute=yes", "ProtectSystem=strict", "ProtectHome=yes", "ProtectProc=invisible", "ProcSubset=pid",
	"ProtectClock=yes", "ProtectHostname=yes", "ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes",
	"ProtectControlGroups=yes", "PrivateTmp=yes", "PrivateDevices=yes", "PrivateIPC=yes", "DevicePolicy=closed",
	"SystemCallArchitectures=native", "SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources", "SystemCallErrorNumber=EPERM",
}

// Every process is confined in the same way; what only some may have, the others lack.
func TestUnitsAreConfined(t *testing.T) {
	t.Parallel()
	const (
		worker, pusher, audit = "middleware-api@.service", "middleware-api-sync.service", "middleware-api-audit.service"
		admin, migrate        = "middleware-api-admin.service", "middleware-api-migrate.service"
		converter             = "sql-to-arc@.service"
	)
	for name, more := range map[string][]string{
		worker:    {"User=middleware-api", "RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any", "PrivateUsers=yes"},
		migrate:   {"User=middleware-api", "RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any", "PrivateUsers=yes"},
		admin:     {"User=middleware-api", "RestrictAddressFamilies=AF_UNIX", "IPAddressDeny=any"}, // has to see who asks
		pusher:    {"User=middleware-api-sync", "PrivateUsers=yes"},
		audit:     {"User=middleware-api-sync", "PrivateUsers=yes"},
		converter: {"DynamicUser=yes"},
	} {
		u := readUnit(t, name)
		for _, line := range slices.Concat(confinement, more) {
			if !slices.Contains(u, line) {
				t.Errorf("%s lacks %s", name, line)
			}
		}
		hidden := slices.Contains(u, "InaccessiblePaths=-/dev/shm -/dev/mqueue")
		if name != converter && !hidden {
			t.Errorf("%s can write to /dev/shm, which others read", name)
		}
		token := slices.ContainsFunc(u, func(line string) bool { return strings.Contains(line, "gitlab-token") })
		if mayPush := name == pusher || name == audit; token != mayPush {
			t.Errorf("%s has the token of the git server: %t", name, token)
		}
	}
}

// No number of ends closes the port or keeps a process away, nothing but a wrong
// configuration is final, and who hangs is replaced.
func TestUnitsComeBack(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"middleware-api@.service", "middleware-api-sync.service", "middleware-api-migrate.service", "middleware-api-admin.service",
		"middleware-api.service", "middleware-api.socket", "middleware-api-admin.socket",
	} {
		if u := readUnit(t, name); u.value("StartLimitIntervalSec") != "0" {
			t.Errorf("%s may be started a limited number of times", name)
		}
	}
	for _, name := range []string{"middleware-api.socket", "middleware-api-admin.socket"} {
		if u := readUnit(t, name); u.value("TriggerLimitIntervalSec") != "0" {
			t.Errorf("%s may be triggered a limited number of times", name)
		}
	}
	for name, restart := range map[string]string{
		"middleware-api@.service": "always", "middleware-api-sync.service": "always",
		"middleware-api-admin.service": "on-failure", "middleware-api-migrate.service": "on-failure",
	} {
		u := readUnit(t, name)
		if u.value("Restart") != restart || u.value("RestartSec") == "" {
			t.Errorf("%s: restart %q after %q, want %s", name, u.value("Restart"), u.value("RestartSec"), restart)
		}
		if name != "middleware-api-admin.service" && u.value("RestartPreventExitStatus") != "64 78" {
			t.Errorf("%s repeats what a wrong configuration ends", name)
		}
	}
	for _, name := range []string{"middleware-api@.service", "middleware-api-sync.service", "middleware-api-admin.service"} {
		u := readUnit(t, name)
		if u.value("Type") != "notify" || u.value("WatchdogSec") == "" || u.value("TimeoutAbortSec") == "" {
			t.Errorf("%s is not watched", name)
		}
	}
}

// Workers and synchroniser get the time that the drain takes at most, log without a
// limit, and survive when the kernel ends one of their processes for memory.
func TestUnitsOfTheService(t *testing.T) {
	t.Parallel()
	c, err := config.Load(config.Options{
		Role: config.RoleServe, Environ: []string{}, Secrets: t.TempDir(), Credentials: t.TempDir(), Places: []string{},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"middleware-api@.service", "middleware-api-sync.service"} {
		u := readUnit(t, name)
		if stop, err := time.ParseDuration(u.value("TimeoutStopSec")); err != nil || stop <= c.Worker.GracefulTimeout {
			t.Errorf("%s is killed after %s, within the drain of %s", name, stop, c.Worker.GracefulTimeout)
		}
		for _, line := range []string{"LogRateLimitIntervalSec=0", "OOMPolicy=continue", "LimitNOFILE=65536"} {
			if !slices.Contains(u, line) {
				t.Errorf("%s lacks %s", name, line)
			}
		}
	}
	if u := readUnit(t, "middleware-api@.service"); !slices.Contains(u, "RuntimeDirectoryPreserve=yes") || !slices.Contains(u, "NonBlocking=yes") {
		t.Error("a worker takes the runtime directory with it, or makes the shared socket block")
	}
	socket := readUnit(t, "middleware-api.socket")
	for _, line := range []string{"FileDescriptorName=http", "Backlog=4096", "SocketMode=0660"} {
		if !slices.Contains(socket, line) {
			t.Errorf("the socket lacks %s", line)
		}
	}
}
