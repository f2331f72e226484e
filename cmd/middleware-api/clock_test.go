package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/testenv"
	"github.com/fairagro/middleware-api/internal/testenv/supervise"
	"github.com/fairagro/middleware-api/internal/testenv/wallclock"
)

func TestMain(m *testing.M) {
	supervise.Main()
	if os.Getenv(asProgram) != "" {
		main()
	}
	os.Exit(m.Run())
}

// clockPatience is the deadline of everything that is waited for.
const clockPatience = 60 * time.Second

// served is a running service whose clock the test sets.
type served struct {
	tb      testing.TB
	address string
	url     string
	clock   *wallclock.Clock
	log     testenv.Log
	beats   testenv.Log // one line per message to the service manager
	ended   chan struct{}
}

// startServed runs worker and synchroniser in one process, with a watchdog.
func startServed(tb testing.TB, dsn, access string) *served {
	tb.Helper()
	dir := tb.TempDir()
	program := filepath.Join(dir, "middleware-api")
	if out, err := exec.Command("go", "build", "-o", program, ".").CombinedOutput(); err != nil {
		tb.Fatalf("build: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	address := l.Addr().String()
	_ = l.Close()
	repositories := filepath.Join(dir, "arcs")
	if err := os.Mkdir(repositories, 0o700); err != nil {
		tb.Fatal(err)
	}
	config := write(tb, "config.yaml", fmt.Sprintf("listen: [%q]\nknown_rdis: [edal]\n%s\n"+
		"database: {url: %q}\ngit_repo: {url: %q, group: arcs}\nworker: {max_age: 1h, timeout: 20s}\nadmin: {directory: %q}\n",
		address, access, dsn, "file://"+repositories, dir))
	if got := invoke(tb, "", "migrate", "--config", config); got.code != cli.ExitOK {
		tb.Fatalf("migrate: %s", got.err)
	}
	s := &served{tb: tb, address: address, url: "http://" + address, ended: make(chan struct{})}
	notify, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = notify.Close() })
	go func() { _, _ = io.Copy(&s.beats, notify) }()
	cmd, clock := wallclock.Command(tb, program, "serve", "--with-sync", "--config", config)
	s.clock = clock
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+filepath.Join(dir, "notify"), "WATCHDOG_USEC=1500000")
	cmd.Stdout, cmd.Stderr = &s.log, &s.log
	if err := cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	go func() { _ = cmd.Wait(); close(s.ended) }()
	tb.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-s.ended
		if tb.Failed() {
			tb.Logf("log:\n%s", s.log.String())
		}
	})
	return s
}

// until waits for a condition, while the process lives.
func (s *served) until(what string, ok func() bool) {
	s.tb.Helper()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for limit := time.Now().Add(clockPatience); !ok(); {
		select {
		case <-s.ended:
			s.tb.Fatalf("the process ended before %s", what)
		case <-look.C:
		}
		if time.Now().After(limit) {
			s.tb.Fatalf("no %s within %s", what, clockPatience)
		}
	}
}

func (s *served) get(path string) (status int, body string) {
	resp, err := http.Get(s.url + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text)
}

// clockUpload is a request with an ARC.
func clockUpload(identifier string) string {
	return fmt.Sprintf(`{"rdi": "edal", "arc": {"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": [
		{"@id": "ro-crate-metadata.json", "@type": "CreativeWork", "conformsTo": {"@id": "https://w3id.org/ro/crate/1.2"}, "about": {"@id": "./"}},
		{"@id": "./", "@type": "Dataset", "additionalType": "Investigation", "identifier": %q, "name": "Name of %[1]s"}]}}`, identifier)
}

// arrives uploads an ARC and waits for it to be in git.
func (s *served) arrives(body io.Reader) {
	s.tb.Helper()
	resp, err := http.Post(s.url+"/v3/arcs", "application/json", body)
	if err != nil {
		s.tb.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var arc struct {
		ID string `json:"arc_id"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&arc); err != nil || resp.StatusCode/100 != 2 {
		s.tb.Fatalf("upload: %s (%v)", resp.Status, err)
	}
	s.until("ARC in git", func() bool {
		_, body := s.get("/v3/arcs/" + arc.ID)
		return strings.Contains(strings.ReplaceAll(body, " ", ""), `"state":"synced"`)
	})
}

// Setting the clock of the machine, by a month in either direction, disturbs
// nothing: the watchdog gets its beat, requests under way are completed, leases
// are taken and given back, nobody recycles early, a refusal names a sensible
// time, and one line tells of the clock.
func TestClockIsSet(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{Fast: true})
	s := startServed(t, cluster.DSN(), "require_client_cert: false")
	s.until("readiness", func() bool { status, _ := s.get("/v3/readiness"); return status == http.StatusOK })
	s.arrives(strings.NewReader(clockUpload("before")))
	const month = 30 * 24 * time.Hour
	for n, ahead := range []time.Duration{month, -month, 0} {
		// A request that the change of the clock finds half read.
		text := clockUpload(fmt.Sprint("slow-", n))
		reader, writer := io.Pipe()
		begun, sent := make(chan struct{}), make(chan struct{})
		go func() {
			_, _ = io.WriteString(writer, text[:100])
			close(begun)
			<-sent
			_, _ = io.WriteString(writer, text[100:])
			_ = writer.Close()
		}()
		var slow sync.WaitGroup
		slow.Go(func() { s.arrives(reader) })
		<-begun
		told, beats := s.log.Count("the clock of this machine was set"), s.beats.Count("WATCHDOG=1")
		s.clock.Set(ahead)
		s.arrives(strings.NewReader(clockUpload(fmt.Sprint("after-", n))))
		s.until("word of the clock", func() bool { return s.log.Count("the clock of this machine was set") == told+1 })
		s.until("four beats", func() bool { return s.beats.Count("WATCHDOG=1") >= beats+4 })
		close(sent)
		slow.Wait()
	}
	s.clock.Set(-month)
	cluster.Stop()
	s.until("a refusal", func() bool {
		resp, err := http.Post(s.url+"/v3/arcs", "application/json", strings.NewReader(clockUpload("refused")))
		if err != nil {
			return false
		}
		defer func() { _ = resp.Body.Close() }()
		after, err := strconv.Atoi(resp.Header.Get("Retry-After"))
		return resp.StatusCode == http.StatusServiceUnavailable && err == nil && after >= 1 && after <= 60
	})
	s.until("word of the outage", func() bool { return s.log.Count("request failed") > 0 })
	cluster.Restart()
	s.until("readiness", func() bool { status, _ := s.get("/v3/readiness"); return status == http.StatusOK })
	s.arrives(strings.NewReader(clockUpload("again")))
	if n := s.log.Count("health check failed") + s.log.Count("recycling") + s.beats.Count("STOPPING=1"); n != 0 {
		t.Errorf("%d lines of trouble", n)
	}
}

// Client certificates count by the clock of the host, and from the moment on at
// which that is set: one that has ended lets nobody in, nor does one that has not
// begun, and it does again when the clock is right.
func TestClientCertificatesGoByTheClock(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	authority := certify(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "clients"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, nil)
	server := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "arcs.example.org"}, DNSNames: []string{"arcs.example.org"}}, &authority)
	client := clientOf(t, &authority, "edal") // for three months, from an hour ago
	for name, data := range map[string][]byte{"server.pem": server.cert, "server.key": server.key, "clients.pem": authority.cert} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s := startServed(t, pgtest.DSN(t), fmt.Sprintf("tls: {certificate: %q, key: %q, client_ca: %q}",
		filepath.Join(dir, "server.pem"), filepath.Join(dir, "server.key"), filepath.Join(dir, "clients.pem")))
	s.until("a listener", func() bool {
		conn, err := net.Dial("tcp", s.address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	const day = 24 * time.Hour
	for _, c := range []struct {
		ahead  time.Duration
		status int
	}{{0, 200}, {100 * day, 401}, {80 * day, 200}, {-day, 401}, {0, 200}} {
		s.clock.Set(c.ahead)
		status, text := upload(t, s.address, &authority, &client, "edal", nil)
		if status != c.status || status == http.StatusUnauthorized && !strings.Contains(text, "expired or is not yet valid") && !strings.Contains(text, "certificate has expired") {
			t.Errorf("%s ahead: %d %s", c.ahead, status, text)
		}
	}
}
