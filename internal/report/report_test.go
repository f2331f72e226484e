package report_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
)

func open(tb testing.TB) *store.Store {
	tb.Helper()
	s, err := store.Open(tb.Context(), store.Options{DSN: pgtest.DSN(tb)})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// submit stores an ARC, so that it is due.
func submit(tb testing.TB, s *store.Store, rdi, identifier string) store.ID {
	tb.Helper()
	sub := submission(rdi, identifier)
	if _, err := s.Submit(tb.Context(), sub); err != nil {
		tb.Fatal(err)
	}
	return sub.ID
}

func submission(rdi, identifier string) *store.Submission {
	id := store.ID(rocrate.Identity(identifier, rdi))
	return &store.Submission{
		ID: id, RDI: rdi, Identifier: identifier, Name: "Soil of " + identifier, Hash: store.Hash(id), Size: 2,
		Content: func() []byte { return store.Compress([]byte("{}")) },
		Actor:   store.Actor{Subject: "CN=harvester", RequestID: "request-1"},
	}
}

// push claims everything that is due and records what each ends with.
func push(tb testing.TB, s *store.Store, outcome func(c *store.Claim) *store.Failure) {
	tb.Helper()
	ctx := tb.Context()
	claims, err := s.ClaimDue(ctx, store.ClaimRequest{Holder: "test", Limit: 100, Lease: time.Minute, Remote: "git"})
	if err != nil {
		tb.Fatal(err)
	}
	for _, c := range claims {
		if _, err := s.Load(ctx, c); err != nil {
			tb.Fatal(err)
		}
		if f := outcome(c); f != nil {
			err = s.RecordFailure(ctx, c, *f)
		} else {
			err = s.RecordPush(ctx, c, store.Pushed{Commit: "c0ffee" + c.ID.String()[:4]})
		}
		if err != nil {
			tb.Fatal(err)
		}
	}
}

var (
	refused = store.Failure{
		Class: store.Refused, Code: "hook_declined", Text: "A hook declined the push.\x1b[31m", Owner: fault.OwnerDataHUB,
		Remedy: "Ask the administrators to allow it", Park: true,
	}
	passing = store.Failure{
		Class: store.Transient, Code: "remote_timeout", Text: "The git server took too long.", Owner: fault.OwnerNobody, Delay: time.Hour,
	}
)

func text(tb testing.TB, r interface{ Write(io.Writer) error }) string {
	tb.Helper()
	var b bytes.Buffer
	if err := r.Write(&b); err != nil {
		tb.Fatal(err)
	}
	out := b.String()
	if strings.ContainsAny(out, "\x1b\r") {
		tb.Errorf("text of others steers the terminal:\n%q", out)
	}
	return out
}

func has(tb testing.TB, out string, wants ...string) {
	tb.Helper()
	flat := strings.Join(strings.Fields(out), " ")
	for _, want := range wants {
		if !strings.Contains(flat, want) {
			tb.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

// beat lets a synchroniser on a host give a sign of life.
func beat(tb testing.TB, s *store.Store, host string) {
	tb.Helper()
	if err := s.Beat(tb.Context(), store.Synchroniser{Holder: host + "/1", Host: host, Remote: "git", Pushing: 2}); err != nil {
		tb.Fatal(err)
	}
}

// Nothing to do is green, with exit status 0.
func TestStatusIsGreenWhenEverythingIsInGit(t *testing.T) {
	t.Parallel()
	s := open(t)
	submit(t, s, "edal", "A1")
	push(t, s, func(*store.Claim) *store.Failure { return nil })
	status := report.CollectStatus(t.Context(), s, report.StatusOptions{})
	if status.Light != report.Green || status.Light.ExitCode() != 0 || len(status.Reasons) > 0 {
		t.Errorf("light %s because of %v", status.Light, status.Reasons)
	}
	has(t, text(t, status), "green: everything is fine", "edal 1 0 0 0 -")
}

// What fails or waits for somebody is counted by RDI, with the light and the
// command that goes with it.
func TestStatusTellsOfTrouble(t *testing.T) {
	t.Parallel()
	s := open(t)
	beat(t, s, "host-a")
	for i := range 3 {
		submit(t, s, "edal", fmt.Sprintf("A%d", i))
	}
	submit(t, s, "bonares", "B")
	push(t, s, func(c *store.Claim) *store.Failure {
		switch c.Identifier {
		case "A0":
			return &refused
		case "A1":
			return &passing
		}
		return nil
	})
	submit(t, s, "edal", "A9")
	now := time.Now()
	for _, c := range []struct {
		at     time.Time
		want   report.Light
		reason string
	}{
		{now, report.Yellow, "1 ARC cannot be pushed until somebody does something."},
		{now.Add(30 * time.Minute), report.Yellow, "The oldest ARC that is not in git yet has been waiting for 30 min"},
		{now.Add(2 * time.Hour), report.Red, "The oldest ARC that is not in git yet has been waiting for 2 h"},
	} {
		status := report.CollectStatus(t.Context(), s, report.StatusOptions{Now: c.at})
		if status.Light != c.want {
			t.Errorf("light %s, want %s, because of %v", status.Light, c.want, status.Reasons)
		}
		has(t, text(t, status), c.reason, "-> middleware-api causes", "bonares 1 0 0 0 -", "edal 4 1 1 1 ")
	}
}

// A paused git store is red and says since when, why, who and how; one that
// was paused by hand is yellow and says how to go on.
func TestStatusTellsOfPausedStores(t *testing.T) {
	t.Parallel()
	s := open(t)
	beat(t, s, "host-a")
	submit(t, s, "edal", "A")
	why := &fault.Error{Code: "token_rejected", Text: "The git server does not accept the access token.", Owner: fault.OwnerOperator, Remedy: "Create a new token"}
	if err := s.PauseRemote(t.Context(), "git", why, time.Minute); err != nil {
		t.Fatal(err)
	}
	status := report.CollectStatus(t.Context(), s, report.StatusOptions{Now: time.Now().Add(90 * time.Second)})
	if status.Light != report.Red || status.Light.ExitCode() != 2 {
		t.Errorf("light %s", status.Light)
	}
	has(t, text(t, status), `The git store "git" has been paused for 1 min 30 s: The git server does not accept the access token.`,
		"-> Create a new token", "paused for 1 min 30 s, code token_rejected, for the operator to mend; next probe now")

	if err := s.HoldRemote(t.Context(), "git", "maintenance", store.Actor{Subject: "root"}); err != nil {
		t.Fatal(err)
	}
	status = report.CollectStatus(t.Context(), s, report.StatusOptions{})
	if status.Light != report.Yellow {
		t.Errorf("light %s, want yellow for a pause by hand", status.Light)
	}
	has(t, text(t, status), "was paused by hand", "maintenance", "-> middleware-api resume git")
}

// Without a database the status is red and names the remedy instead of failing.
func TestStatusWithoutDatabase(t *testing.T) {
	t.Parallel()
	s, err := store.Open(t.Context(), store.Options{DSN: "postgres:///x?host=" + t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	status := report.CollectStatus(t.Context(), s, report.StatusOptions{})
	if status.Light != report.Red || status.Database.OK {
		t.Errorf("got %+v", status)
	}
	has(t, text(t, status), "The database cannot be reached", "systemctl status postgresql")
}

// Recent harvests are shown with their counts.
func TestStatusShowsHarvests(t *testing.T) {
	t.Parallel()
	s := open(t)
	expected := int64(7)
	h, err := s.BeginHarvest(t.Context(), "edal", nil, &expected, "", store.Actor{})
	if err != nil {
		t.Fatal(err)
	}
	status := report.CollectStatus(t.Context(), s, report.StatusOptions{RDIs: []string{"edal", "edal"}})
	if len(status.Harvests) != 1 {
		t.Fatalf("%d harvests, want 1", len(status.Harvests))
	}
	has(t, text(t, status), h.ID.String()+" edal RUNNING just now 0 of 7 0 0 0 0")
}

// Causes are grouped by code, with owner, remedy and what to type.
func TestCauses(t *testing.T) {
	t.Parallel()
	s := open(t)
	causes, err := report.CollectCauses(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	if out := text(t, causes); out != "Nothing is failing.\n" || causes.Light() != report.Green {
		t.Errorf("got %q", out)
	}
	for _, identifier := range []string{"A0", "A1", "B"} {
		submit(t, s, "edal", identifier)
	}
	push(t, s, func(c *store.Claim) *store.Failure {
		if c.Identifier == "B" {
			return &passing
		}
		return &refused
	})
	if causes, err = report.CollectCauses(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	out := text(t, causes)
	has(t, out, "hook_declined: 2 ARCs, for 0 s, waiting for somebody what: A hook declined the push.",
		"who: the administrators of the git server how: Ask the administrators to allow it type: middleware-api explain ",
		"type: middleware-api resync ", "remote_timeout: 1 ARC, for 0 s, tried again by itself")
	if causes.Light() != report.Yellow {
		t.Errorf("light %s", causes.Light())
	}
	var decoded struct{ Causes []map[string]any }
	var b bytes.Buffer
	if err := report.WriteJSON(&b, causes); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.Bytes(), &decoded); err != nil || len(decoded.Causes) != 2 || decoded.Causes[0]["owner"] != "datahub" {
		t.Errorf("JSON %s, %v", b.String(), err)
	}
	if got := causes.Causes[1].Commands; len(got) != 2 {
		t.Errorf("%q for what is tried again by itself", got)
	}
}

// What keeps every ARC back comes first, and tells whether it ends by itself.
func TestCausesOfEveryARC(t *testing.T) {
	t.Parallel()
	s := open(t)
	submit(t, s, "edal", "A")
	push(t, s, func(*store.Claim) *store.Failure { return &refused })
	look := func(light report.Light) string {
		t.Helper()
		causes, err := report.CollectCauses(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if causes.Light() != light {
			t.Errorf("light %s, want %s", causes.Light(), light)
		}
		return text(t, causes)
	}
	why := &fault.Error{Code: "token_rejected", Text: "No token.", Owner: fault.OwnerOperator, Remedy: "Create one"}
	if err := s.PauseRemote(t.Context(), "git", why, time.Hour); err != nil {
		t.Fatal(err)
	}
	out := look(report.Red)
	has(t, out, `token_rejected: every ARC, for 0 s, the git store "git" is tried again by itself what: No token. who: the operator how: Create one`, "type: middleware-api resume git")
	if first, second := strings.Index(out, "token_rejected"), strings.Index(out, "\n\nhook_declined"); first != 0 || second < 0 {
		t.Errorf("not in order, or without a line between:\n%s", out)
	}
	if err := s.ResumeRemote(t.Context(), "git", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	if out := look(report.Yellow); strings.Contains(out, "git store") {
		t.Errorf("a pause that has ended:\n%s", out)
	}
	if err := s.HoldRemote(t.Context(), "git", "maintenance", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	has(t, look(report.Yellow), `every ARC, for 0 s, until somebody resumes the git store "git"`)
}

// The story of an ARC says where it stands, who has to do what, and how it
// came there.
func TestStory(t *testing.T) {
	t.Parallel()
	s := open(t)
	story := func(id store.ID) string {
		t.Helper()
		story, err := report.CollectStory(t.Context(), s, id)
		if err != nil {
			t.Fatal(err)
		}
		return text(t, story)
	}
	a, b, c := submit(t, s, "edal", "A"), submit(t, s, "edal", "B"), submit(t, s, "edal", "C")
	has(t, story(a), "ARC "+a.String()+" edal/A (Soil of A) active, 2 bytes, git state due", "Version 1 has been waiting to be pushed for 0 s. It was never in git before.",
		"ARC_CREATED", "by CN=harvester", "request request-1", "more: journalctl ARC_ID="+a.String())
	push(t, s, func(claim *store.Claim) *store.Failure {
		switch claim.ID {
		case b:
			return &refused
		case c:
			return &passing
		}
		return nil
	})
	has(t, story(a), "Version 1, the newest, is in git: commit c0ffee"+a.String()[:4]+", pushed just now.", "GIT_PUSH_SUCCESS")
	has(t, story(b), "is not in git, and trying again would not help: A hook declined the push.", "who: the administrators of the git server",
		"how: Ask the administrators", "then: middleware-api resync "+b.String(), "GIT_PUSH_FAILED")
	has(t, story(c), "1 attempt failed, the last just now: The git server took too long. The next attempt is in ", "then: middleware-api resync "+c.String())
	told, err := report.CollectStory(t.Context(), s, c)
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	for _, m := range told.Moments {
		types = append(types, m.Type)
		if strings.Contains(m.Text, c.String()) {
			t.Errorf("the moment %+v names the ARC that the whole page is about", m)
		}
	}
	if !slices.IsSortedFunc(told.Moments, func(a, b report.Moment) int { return a.At.Compare(b.At) }) ||
		!slices.Contains(types[:2], "arc.created") || types[len(types)-1] != "GIT_PUSH_FAILED" {
		t.Errorf("moments %v, want what happened in its order", told.Moments)
	}
	has(t, story(c), "arc.created version 1 by CN=harvester request request-1")

	// What was parked by hand may be in git already.
	d := submit(t, s, "edal", "D")
	for _, id := range []store.ID{a, d} {
		if err := s.Park(t.Context(), id, "wait for the lab", store.Actor{}); err != nil {
			t.Fatal(err)
		}
	}
	parked := story(a)
	has(t, parked, "Version 1, the newest, is in git, and is not pushed again: wait for the lab. In git is version 1, commit c0ffee"+a.String()[:4]+".")
	if strings.Contains(parked, "not in git") {
		t.Errorf("what is in git is told not to be there:\n%s", parked)
	}
	has(t, story(d), "Version 1 is not in git, and waits, since an operator has parked it: wait for the lab. It was never in git before.")

	again := submission("edal", "A")
	again.Hash = store.Hash{2}
	if _, err := s.Submit(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	has(t, story(a), "Version 2 has been waiting to be pushed for 0 s. In git is version 1, commit c0ffee"+a.String()[:4]+".", "version 2")
	claims, err := s.ClaimDue(t.Context(), store.ClaimRequest{Holder: "test", Limit: 1, Lease: time.Minute, Remote: "git"})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %v, %v", claims, err)
	}
	has(t, story(a), "Version 2 is being pushed right now. In git is version 1, commit c0ffee")
	if _, err := s.Load(t.Context(), claims[0]); err != nil {
		t.Fatal(err)
	}
	if err := s.RecordPush(t.Context(), claims[0], store.Pushed{Commit: "c0ffee2"}); err != nil {
		t.Fatal(err)
	}

	why := &fault.Error{Code: "token_rejected", Text: "No token.", Owner: fault.OwnerOperator, Remedy: "Create one"}
	if err := s.PauseRemote(t.Context(), "git", why, time.Hour); err != nil {
		t.Fatal(err)
	}
	has(t, story(c), `the git store "git" has been paused for 0 s: No token.`, "who: the operator how: Create one")
	has(t, story(a), "Version 2, the newest, is in git")
	if told := story(b); strings.Contains(told, "paused") {
		t.Errorf("a parked ARC waits for somebody, and not for the store:\n%s", told)
	}

	findings := []store.Finding{{Code: "x", Severity: store.SeverityWarning, Pointer: "/@graph/3", Text: "An assay without a name.", Remedy: "Name it"}}
	if err := s.SetReport(t.Context(), b, store.Hash(b), findings); err != nil {
		t.Fatal(err)
	}
	has(t, story(b), "1 finding in the newest content", `warning at "/@graph/3": An assay without a name. -> Name it`)

	newer := submission("edal", "B")
	newer.Hash = store.Hash{3}
	if _, err := s.Submit(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	if told := story(b); strings.Contains(told, "in the newest content") {
		t.Errorf("what was found in an older content is told of the newest:\n%s", told)
	}

	if _, err := report.CollectStory(t.Context(), s, store.ID{1}); fault.CodeOf(err) != fault.ARCNotFound {
		t.Errorf("an unknown ARC: %v", err)
	}
}

// A person may name an ARC by id, as RDI/IDENTIFIER, or by a part of a name
// that only one has.
func TestFindARC(t *testing.T) {
	t.Parallel()
	s := open(t)
	a, b := submit(t, s, "edal", "wheat/2026"), submit(t, s, "edal", "barley")
	for text, want := range map[string]store.ID{
		a.String(): a, " " + strings.ToUpper(b.String()) + "\n": b, "edal/wheat/2026": a, "barl": b, "Soil of barley\n": b,
	} {
		if got, err := report.FindARC(t.Context(), s, text); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]fault.Code{"": fault.ARCNotFound, "oats": fault.ARCNotFound, "Soil": fault.ARCAmbiguous} {
		if _, err := report.FindARC(t.Context(), s, text); fault.CodeOf(err) != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
	ambiguous := func() string {
		_, err := report.FindARC(t.Context(), s, "Soil")
		f, _ := fault.Of(err)
		return f.Text
	}
	if got := ambiguous(); !strings.Contains(got, "edal/barley") || !strings.Contains(got, "edal/wheat/2026") || strings.Contains(got, "…") {
		t.Errorf("%q does not name the two", got)
	}
	for i := range 4 {
		submit(t, s, "edal", fmt.Sprint("pea", i))
	}
	if got := ambiguous(); strings.Count(got, "edal/") != 5 || !strings.Contains(got, ", ….") {
		t.Errorf("%q does not name five of six", got)
	}
	other := submit(t, s, "bonares", "oats")
	if got, err := report.FindARC(t.Context(), s, "Soil", "bonares"); err != nil || got != other {
		t.Errorf("the only one of the RDI: %v, %v, want %v", got, err, other)
	}
	_, err := report.FindARC(t.Context(), s, "rye")
	if f, ok := fault.Of(err); !ok || f.Remedy != "Look for it: middleware-api arcs" {
		t.Errorf("%+v, want where to look", f)
	}
}

// A bundle holds every file and none of the secrets, known or not.
func TestBundleIsRedacted(t *testing.T) {
	t.Parallel()
	const known, word = "kn0wn-s3cret", "pa55word"
	leaks := strings.Join([]string{
		"token " + known, "postgres://u:" + word + "@h/d", "password = '" + word + "'", `"password": "` + word + `"`, "PRIVATE-TOKEN: " + word,
		"Authorization: Bearer " + word, "found glpat-" + word + word + word, "https://oauth2:" + word + "@git.example.org/x",
		"-----BEGIN RSA PRIVATE KEY-----\n" + word + "\n-----END RSA PRIVATE KEY-----", "-----BEGIN%20CERTIFICATE-----" + word,
	}, "\n")
	var b bytes.Buffer
	at := time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)
	err := report.Bundle(&b, at, []report.BundleFile{{Name: "journal.txt", Data: []byte("kept: ARC 12 pushed\n" + leaks)}, {Name: "status.json", Data: []byte("{}")}}, known, "")
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(&b)
	if err != nil {
		t.Fatal(err)
	}
	archive := tar.NewReader(zip)
	var names []string
	for header, err := archive.Next(); !errors.Is(err, io.EOF); header, err = archive.Next() {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, header.Name)
		data, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(data), known) || strings.Contains(string(data), word) {
			t.Errorf("%s holds a secret:\n%s", header.Name, data)
		}
		if header.Name == "middleware-api-20260301-100000/journal.txt" && !strings.HasPrefix(string(data), "kept: ARC 12 pushed\n") {
			t.Errorf("%s lost what is no secret:\n%s", header.Name, data)
		}
	}
	if len(names) != 2 {
		t.Errorf("files %q", names)
	}
}

func verdicts(tb testing.TB, check report.Check) string {
	tb.Helper()
	doctor := report.Examine(tb.Context(), "1.2.3", []report.Check{check})
	return text(tb, doctor)
}

// examined is a database that says of itself what the test wants.
type examined struct{ store.Examination }

func (e examined) Examine(context.Context) (store.Examination, error) { return e.Examination, nil }

// The doctor finds a fit database fit, and an empty one not.
func TestDoctorLooksAtTheDatabase(t *testing.T) {
	t.Parallel()
	fit, err := open(t).Examine(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	has(t, verdicts(t, report.CheckDatabase(examined{fit})), "failed database: fsync is off: a crash of the server would lose acknowledged ARCs", "-> Set fsync = on in postgresql.conf")
	fit.Lossy, fit.MaxConnections = nil, 10*fit.Connections
	has(t, verdicts(t, report.CheckDatabase(examined{fit})), "ok database: PostgreSQL 1", "ok database: the schema has version", "Everything is as it should be.")
	for _, c := range []struct {
		change func(e *store.Examination)
		want   string
	}{
		{func(e *store.Examination) { e.ServerNumber, e.Server = 149999, "14.99" }, "failed database: PostgreSQL 14.99 is too old"},
		{func(e *store.Examination) { e.Standby, e.ReadOnly = true, true }, "failed database: the server is a read-only standby"},
		{func(e *store.Examination) { e.ReadOnly = true }, "failed database: the database refuses writes"},
		{func(e *store.Examination) { e.Unconfirmed = true }, "failed database: commits wait for a synchronous standby"},
		{func(e *store.Examination) { e.Schema++ }, "ok database: the schema has version"},
		{func(e *store.Examination) { e.Schema-- }, "-> middleware-api migrate"},
		{func(e *store.Examination) { e.MissingRights = []string{"arc", "task"} }, "failed database: the service may not use the tables arc, task"},
		{func(e *store.Examination) { e.AuditUnguarded = true }, "failed database: the trigger audit_append_only is missing or switched off"},
		{func(e *store.Examination) { e.Lossy = []string{"synchronous_commit"} }, "failed database: synchronous_commit is off"},
		{func(e *store.Examination) { e.Encoding = "SQL_ASCII" }, "failed database: the database has the encoding SQL_ASCII"},
		{func(e *store.Examination) { e.Connections, e.MaxConnections = 90, 100 }, "warning database: 90 of 100 connections are taken"},
		{func(e *store.Examination) { e.ClockAhead = -time.Hour }, "warning database: the clocks of the database and of this machine differ by 1 h"},
	} {
		e := fit
		c.change(&e)
		has(t, verdicts(t, report.CheckDatabase(examined{e})), c.want)
	}
	empty, err := store.Open(t.Context(), store.Options{DSN: pgtest.Empty(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	has(t, verdicts(t, report.CheckDatabase(empty)), "failed database: the schema has version 0, this program needs", "-> middleware-api migrate", "Something has to be mended.")
}

// Certificates are reported by the days they have left, secrets by who can
// read them, listeners by whether they answer.
func TestDoctorLooksAtFilesAndSockets(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	now := time.Date(2026, 6, 1, 0, 0, 0, 0, time.UTC)
	for days, want := range map[int]string{
		-1: "has expired on 2026-05-31", 3: "failed certificates: CN=test", 20: "warning certificates: CN=test", 90: "is valid for 90 days",
	} {
		path := filepath.Join(dir, fmt.Sprintf("%d.pem", days))
		certificate(t, path, now.AddDate(0, 0, days))
		has(t, verdicts(t, report.CheckCertificates(now, path)), want)
	}
	has(t, verdicts(t, report.CheckCertificates(now, filepath.Join(dir, "none.pem"))), "cannot be read: no such file or directory")

	private, public := filepath.Join(dir, "private"), filepath.Join(dir, "public")
	for path, mode := range map[string]os.FileMode{private: 0o600, public: 0o644} {
		if err := errors.Join(os.WriteFile(path, []byte("x"), mode), os.Chmod(path, mode)); err != nil { // whatever the umask
			t.Fatal(err)
		}
	}
	has(t, verdicts(t, report.CheckSecretFiles(private, public, filepath.Join(dir, "none"))),
		"ok secrets: "+private+" is private", "failed secrets: "+public+" can be read by others (mode 0644) -> chmod 0600 "+public)

	has(t, verdicts(t, report.CheckListeners("unix:"+filepath.Join(dir, "none"))), "failed listeners: nobody listens on unix:")
	has(t, verdicts(t, report.CheckDisk(filepath.Join(dir, "not", "there", "yet"))), "disk: "+dir, "free, ")
	has(t, verdicts(t, report.CheckRemote("git.example.org", func(ctx context.Context) error {
		return &fault.Error{Code: "token_rejected", Text: "No token.", Remedy: "Create one", Cause: errors.New("401")}
	})), "failed git store: No token. (401) -> Create one")
	has(t, verdicts(t, report.CheckConfiguration("/etc/c", errors.New("c:1: a\nc:2: b"), []string{"c:3: old"})),
		"failed configuration: c:1: a", "failed configuration: c:2: b", "warning configuration: c:3: old")
}

// certificate writes a certificate that ends at the given time.
func certificate(tb testing.TB, path string, end time.Time) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: end.AddDate(-1, 0, 0), NotAfter: end,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		tb.Fatal(err)
	}
}
