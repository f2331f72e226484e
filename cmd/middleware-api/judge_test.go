package main

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/remote/gitlabtest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// Somebody who has never seen the system and has only status and causes learns
// that the token was revoked, whose turn it is, and what to type; after that
// everything arrives by itself.
func TestJudgeARevokedToken(t *testing.T) {
	t.Parallel()
	s, hub := withGitLab(t)
	hub.Revoke("another")
	s.submitCrate(t, "A1")
	s.synchronise(t)
	want(t, s.run(t, "status"), 2, "red: the service is in trouble", "The git server does not accept the access token.",
		"-> Create a new group access token (role maintainer, scopes api and write_repository)", "restart middleware-api-sync", "code token_rejected, for the operator to mend")
	want(t, s.run(t, "causes"), cli.ExitOK, "token_rejected: every ARC", "who: the operator", "type: middleware-api errors token_rejected")
	want(t, s.run(t, "explain", "edal/A1"), cli.ExitOK, "has been waiting to be pushed", "The git server does not accept the access token.", "who: the operator")
	want(t, invoke(t, "", "errors", "token_rejected"), cli.ExitOK, "It was revoked", "install -m 0600 /dev/stdin /etc/middleware-api/credentials/gitlab-token")
	hub.Revoke(secretToken)
	want(t, s.run(t, "resume"), cli.ExitOK)
	s.synchronise(t)
	want(t, s.run(t, "explain", "edal/A1"), cli.ExitOK, "Version 1, the newest, is in git")
}

// A token that ends soon, has ended or was revoked is in status and in the journal
// before any push is refused: while the synchroniser lives it asks about it.
func TestJudgeATokenThatEnds(t *testing.T) {
	t.Parallel()
	const day = 24 * time.Hour
	for name, c := range map[string]struct {
		ends    time.Duration
		revoked bool
		code    int
		status  []string
		journal string
	}{
		"far":     {400 * day, false, 0, []string{"everything is fine", "399 days left"}, ""},
		"soon":    {10 * day, false, 1, []string{`* The access token "middleware" ends on `, "in 9 days; nothing can be pushed then.", "-> Create a new group access token", "systemctl restart middleware-api-sync"}, "access token ends soon"},
		"revoked": {400 * day, true, 2, []string{"* The access token is refused by the git server; nothing can be pushed.", "-> Create a new group access token"}, "access token refused by the git server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, hub := withGitLab(t)
			hub.Limit(time.Now().UTC().Add(c.ends).Format(time.DateOnly), "api")
			if c.revoked {
				hub.Revoke("another")
			}
			var journal strings.Builder
			var got invocation
			s.whileSynchronising(t, slog.New(slog.NewTextHandler(&journal, nil)), func() bool {
				list, err := s.store.Synchronisers(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if len(list) == 0 || list[0].Token == (store.Token{}) {
					return false
				}
				got = s.run(t, "status")
				return true
			})
			want(t, got, c.code, c.status...)
			if text := journal.String(); !strings.Contains(text, c.journal) || c.journal != "" && !strings.Contains(text, "gitlab-token") || c.journal == "" && strings.Contains(text, "access token") {
				t.Errorf("the journal lacks %q:\n%s", c.journal, text)
			}
		})
	}
}

// GitLab that is down is told as such, with who can mend it; ARCs are not
// blamed.
func TestJudgeGitLabDown(t *testing.T) {
	t.Parallel()
	s, hub := withGitLab(t)
	s.replace(t, hub.URL, "http://"+testenv.FreeAddress(t))
	s.submitCrate(t, "A1")
	s.synchronise(t)
	want(t, s.run(t, "status"), 2, "The git server cannot be reached.", "pushing resumes by itself",
		"code remote_unreachable, for the administrators of the git server to mend", "next probe")
	want(t, s.run(t, "causes"), cli.ExitOK, "remote_unreachable", "The git server cannot be reached.", "the administrators of the git server", "middleware-api errors remote_unreachable")
	want(t, s.run(t, "explain", "edal/A1"), cli.ExitOK, "Nothing is pushed at the moment, because the git store", "The git server cannot be reached.")
}

// One bad ARC is named, with the entity and what to change, and harms no other.
func TestJudgeOneBadARC(t *testing.T) {
	t.Parallel()
	s, _ := withGitLab(t)
	s.submitDocument(t, "bad", `{"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": [
  {"@id": "./", "@type": "Dataset", "identifier": "bad", "hasPart": {"@id": "a"}},
  {"@id": "a", "@type": "Dataset", "additionalType": "Assay", "identifier": "a/1"}]}`)
	s.submitCrate(t, "good")
	s.synchronise(t)
	want(t, s.run(t, "status"), 1, "yellow: somebody should look at this", "1 ARC cannot be pushed until somebody does something.", "-> middleware-api causes")
	want(t, s.run(t, "explain", "edal/bad"), cli.ExitOK, `error at "/@graph/1`, "-> ", "who: the RDI")
	want(t, s.run(t, "explain", "edal/good"), cli.ExitOK, "is in git")
	causes := s.run(t, "causes")
	want(t, causes, cli.ExitOK, "arc_unconvertible: 1 ARC", "waiting for somebody", "who: the RDI", "how: Correct what the findings name and send the ARC again",
		"type: middleware-api explain ", "type: middleware-api errors arc_unconvertible")
	for _, command := range regexp.MustCompile(`type: middleware-api (.*)`).FindAllStringSubmatch(causes.out, -1) {
		words := strings.Fields(command[1])
		if words[0] != "errors" { // needs no configuration
			words = append(words, "--config", s.config)
		}
		if got := invoke(t, "", words...); got.code != cli.ExitOK {
			t.Errorf("the command that causes names does not work: %s: %+v", command[1], got)
		}
	}
}

// What a mended cause had parked is taken up again by one command, which causes names.
func TestJudgeACauseIsMended(t *testing.T) {
	t.Parallel()
	s, _ := withGitLab(t)
	for _, identifier := range []string{"one", "two"} {
		s.submitDocument(t, identifier, `{"@context": "https://w3id.org/ro/crate/1.2/context", "@graph": [
  {"@id": "./", "@type": "Dataset", "identifier": "`+identifier+`", "hasPart": {"@id": "a"}},
  {"@id": "a", "@type": "Dataset", "additionalType": "Assay", "identifier": "a/1"}]}`)
	}
	s.submitCrate(t, "good")
	s.synchronise(t)
	want(t, s.run(t, "causes"), cli.ExitOK, "arc_unconvertible: 2 ARCs", "type: middleware-api resync --code arc_unconvertible")
	want(t, s.run(t, "resync", "--code", "hook_declined"), cli.ExitOK, "ARCs that are due now: 0")
	want(t, s.run(t, "resync", "--code", "arc_unconvertible"), cli.ExitOK, "ARCs that are due now: 2")
	want(t, s.run(t, "arcs", "--state", "due"), cli.ExitOK, "edal/one", "edal/two")
	want(t, s.run(t, "resync", "--code", "nonsense"), cli.ExitNoInput, `there is no code "nonsense"`)
	want(t, s.run(t, "resync", "--code", "hook_declined", "--all"), cli.ExitUsage, "name one ARC, or --rdi, or --code, or --all")
}

// Without a database status is red and says so, and so does every other command,
// with the exit status for "not now".
func TestJudgeDatabaseDown(t *testing.T) {
	t.Parallel()
	cluster := pgtest.Start(t, pgtest.Options{})
	config := write(t, "config.yaml", fmt.Sprintf("known_rdis: [edal]\nrequire_client_cert: false\ndatabase:\n  url: %q\ngit_repo:\n  url: %q\n  group: arcs\n",
		cluster.DSN(), "file://"+t.TempDir()))
	cluster.Stop()
	s := &site{config: config}
	want(t, s.run(t, "status"), 2, "red:", "The database cannot be reached at the moment.", "systemctl status postgresql")
	want(t, s.run(t, "causes"), cli.ExitUnavailable, "The database cannot be reached", "systemctl status postgresql")
	want(t, s.run(t, "doctor"), 2, "failed database:", "systemctl status postgresql")
}

// A certificate that is about to end is in status, with its name and the days
// left, before anybody is refused.
func TestJudgeACertificateThatEnds(t *testing.T) {
	t.Parallel()
	s, _ := withGitLab(t)
	dir := t.TempDir()
	file := func(name string, days int) string {
		ends := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Duration(days)*24*time.Hour + time.Hour)}, nil)
		path := filepath.Join(dir, name+".pem")
		if err := os.WriteFile(path, append(ends.cert, ends.key...), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	server, clients := file("arcs.example.org", 3), file("clients", 20)
	s.replace(t, "listen: []\n", fmt.Sprintf("listen: []\ntls:\n  certificate: %q\n  key: %q\n  client_ca: %q\n", server, server, clients))
	want(t, s.run(t, "status"), 2, "CN=arcs.example.org ("+server+") ends in 3 days.", "-> Replace the certificate", "CN=clients ("+clients+") ends in 20 days.")
	want(t, s.run(t, "doctor"), 2, "failed certificates: CN=arcs.example.org", "warning certificates: CN=clients")
}

// The service ends TLS itself as the manual says: with a certificate a client may
// upload for its RDI, without one it may not.
func TestStandingAlone(t *testing.T) {
	t.Parallel()
	s, _ := withGitLab(t)
	dir, address := t.TempDir(), testenv.FreeAddress(t)
	authority := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "clients"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}, nil)
	server := certify(t, &x509.Certificate{Subject: pkix.Name{CommonName: "arcs.example.org"}, DNSNames: []string{"arcs.example.org"}}, &authority)
	client := clientOf(t, &authority, "edal")
	for name, data := range map[string][]byte{"server.pem": server.cert, "server.key": server.key, "clients.pem": authority.cert} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	// The section is taken from the manual.
	manual := read(t, filepath.Join(testenv.ModuleRoot(t), "docs", "operations.md"))
	section := regexp.MustCompile(`(?s)\ntls:\n.*?\n` + "```").FindString(manual)
	section = strings.ReplaceAll(strings.TrimSuffix(section, "```"), "/etc/middleware-api/tls", dir)
	s.replace(t, "listen: []\n", fmt.Sprintf("listen: [%q]\n%s", address, section))
	s.replace(t, "require_client_cert: false", "require_client_cert: true")
	serveSite(t, s.config, address)
	for name, c := range map[string]struct {
		certificate *pair
		status      int
	}{"with": {&client, 200}, "without": {nil, 401}} {
		if status, text := upload(t, address, &authority, c.certificate, "edal", nil); status != c.status {
			t.Errorf("%s a certificate: %d %s", name, status, text)
		}
	}
}

// The database is restored from a dump with the programs that the manual names,
// and audit brings git and database together again.
func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	bin := "/usr/lib/postgresql/15/bin/"
	if _, err := os.Stat(bin + "pg_dump"); err != nil {
		testenv.Skip(t, "PostgreSQL is missing: apt-get install postgresql")
	}
	s, hub := withGitLab(t)
	s.submitCrate(t, "A1")
	s.synchronise(t)
	dsn := regexp.MustCompile(`url: "(host=[^"]*|postgres[^"]*)"`).FindStringSubmatch(read(t, s.config))[1]
	dump := filepath.Join(t.TempDir(), "dump")
	command := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(bin+name, args...).CombinedOutput(); err != nil { //nolint:gosec // the programs of the manual
			t.Fatalf("%s: %v: %s", name, err, out)
		}
	}
	command("pg_dump", "-Fc", "-f", dump, dsn)
	id := s.submitDocument(t, "A1", strings.ReplaceAll(goodCrate, `"identifier": "x"`, `"identifier": "A1", "name": "Rye"`))
	s.synchronise(t)
	later := gitlabtest.MustGit(t, hub.Dir("arcs/"+id.String()), "rev-parse", "main")

	empty := pgtest.Empty(t)
	command("pg_restore", "--exit-on-error", "--no-owner", "-d", empty, dump)
	restored := &site{config: s.config}
	restored.replace(t, dsn, empty)
	want(t, restored.run(t, "migrate"), cli.ExitOK)
	restored.open(t, empty)
	want(t, restored.run(t, "audit"), cli.ExitFailure, "other_head", "in git "+later, "1 different")
	want(t, restored.run(t, "audit", "--repair"), cli.ExitOK, "due now", "1 made due")
	restored.synchronise(t)
	want(t, restored.run(t, "audit"), cli.ExitOK, "1 checked: 1 as recorded")
	if parent := gitlabtest.MustGit(t, hub.Dir("arcs/"+id.String()), "rev-parse", "main^"); parent != later {
		t.Errorf("what was in git is not in the history: the parent is %s", parent)
	}
}
