package console_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"golang.org/x/net/html"

	"github.com/fairagro/middleware-api/internal/console"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

var (
	operator = console.Viewer{Actor: store.Actor{Subject: "CN=operator"}, Operator: true}
	edal     = console.Viewer{Actor: store.Actor{Subject: "CN=edal"}, RDIs: []string{"edal"}}
	nobody   = console.Viewer{Actor: store.Actor{Subject: "CN=nobody"}}
)

// desk is a console over a database of its own, looked at by one viewer.
type desk struct {
	tb      testing.TB
	store   *store.Store
	console *console.Console
	server  *httptest.Server
	dsn     string

	certificates atomic.Pointer[[]report.Certificate] // set while the console is looked at
}

func newDesk(tb testing.TB, viewer console.Viewer) *desk {
	tb.Helper()
	dsn := pgtest.DSN(tb)
	s, err := store.Open(tb.Context(), store.Options{DSN: dsn})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	d := deskOn(tb, s, viewer)
	d.dsn = dsn
	return d
}

// sql arranges what the store has no method for.
func (d *desk) sql(statement string) {
	d.tb.Helper()
	conn, err := pgx.Connect(d.tb.Context(), d.dsn)
	if err != nil {
		d.tb.Fatal(err)
	}
	defer func() { _ = conn.Close(context.Background()) }()
	if _, err := conn.Exec(d.tb.Context(), statement); err != nil {
		d.tb.Fatalf("%s: %v", statement, err)
	}
}

func deskOn(tb testing.TB, s *store.Store, viewer console.Viewer) *desk {
	tb.Helper()
	d := &desk{tb: tb, store: s}
	c := console.New(console.Options{
		Certificates: func() []report.Certificate {
			if list := d.certificates.Load(); list != nil {
				return *list
			}
			return nil
		},
		Data: s, Version: "1.2.3", Refresh: 20 * time.Millisecond,
		Who: func(*http.Request) (console.Viewer, bool) { return viewer, true },
		Fleet: func(context.Context) (*report.Fleet, error) {
			return &report.Fleet{
				Socket:  report.Unit{Name: "middleware-api.socket", Active: "active", Sub: "running"},
				Workers: []report.Unit{{Name: "middleware-api@1.service", Active: "active", Sub: "running", Status: "serving"}},
			}, nil
		},
	})
	d.console, d.server = c, httptest.NewServer(c)
	tb.Cleanup(d.server.Close)
	return d
}

// submit stores an ARC.
func (d *desk) submit(rdi, identifier, name string) store.ID {
	d.tb.Helper()
	id := store.ID(rocrate.Identity(identifier, rdi))
	_, err := d.store.Submit(d.tb.Context(), &store.Submission{
		ID: id, RDI: rdi, Identifier: identifier, Name: name, Hash: store.Hash(id), Size: 2,
		Content: func() []byte { return store.Compress([]byte("{}")) }, Actor: store.Actor{Subject: "CN=sender"},
	})
	if err != nil {
		d.tb.Fatal(err)
	}
	return id
}

// post sends a form.
func (d *desk) post(path, form string) (status int, location, body string) {
	d.tb.Helper()
	return d.send(http.MethodPost, path, form, "Content-Type", "application/x-www-form-urlencoded")
}

// do sends a request and gives status, place to go to, and body.
func (d *desk) do(method, path string, header ...string) (status int, location, body string) {
	d.tb.Helper()
	return d.send(method, path, "", header...)
}

func (d *desk) send(method, path, content string, header ...string) (status int, location, body string) {
	d.tb.Helper()
	request, err := http.NewRequestWithContext(d.tb.Context(), method, d.server.URL+path, strings.NewReader(content))
	if err != nil {
		d.tb.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	response, err := client.Do(request)
	if err != nil {
		d.tb.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		d.tb.Fatal(err)
	}
	if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") || strings.Contains(policy, "unsafe") {
		d.tb.Errorf("%s: policy %q", path, policy)
	}
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/html") && response.StatusCode/100 != 3 {
		check(d.tb, path, string(data))
	}
	return response.StatusCode, response.Header.Get("Location"), string(data)
}

func (d *desk) get(path string) string {
	d.tb.Helper()
	status, _, body := d.do(http.MethodGet, path)
	if status != http.StatusOK {
		d.tb.Fatalf("%s: status %d:\n%s", path, status, body)
	}
	return body
}

// check holds every page to what the policy and people who cannot see need.
func check(tb testing.TB, path, text string) {
	tb.Helper()
	document, err := html.Parse(strings.NewReader(text))
	if err != nil {
		tb.Fatal(err)
	}
	ids, references, headings := map[string]bool{}, []string{}, 0
	for n := range document.Descendants() {
		if n.Type != html.ElementNode {
			continue
		}
		attributes := map[string]string{}
		for _, a := range n.Attr {
			attributes[a.Key] = a.Val
			if strings.HasPrefix(a.Key, "on") || a.Key == "style" {
				tb.Errorf("%s: <%s %s>: the policy forbids it", path, n.Data, a.Key)
			}
			if (a.Key == "src" || a.Key == "href" || a.Key == "action") && !strings.HasPrefix(a.Val, "/console") && !strings.HasPrefix(a.Val, "#") {
				tb.Errorf("%s: <%s %s=%q> leaves the console", path, n.Data, a.Key, a.Val)
			}
		}
		if id := attributes["id"]; id != "" {
			if ids[id] {
				tb.Errorf("%s: the id %q is there twice", path, id)
			}
			ids[id] = true
		}
		references = append(references, attributes["aria-labelledby"], attributes["for"], strings.TrimPrefix(attributes["href"], "#"))
		switch n.Data {
		case "script":
			if attributes["src"] == "" {
				tb.Errorf("%s: an inline script", path)
			}
		case "th":
			if attributes["scope"] == "" {
				tb.Errorf("%s: a header cell without scope", path)
			}
		case "h1":
			headings++
		case "svg":
			if attributes["aria-label"] == "" {
				tb.Errorf("%s: a drawing without words", path)
			}
		}
	}
	for _, id := range references {
		if id != "" && !strings.HasPrefix(id, "/") && !ids[id] {
			tb.Errorf("%s: nothing has the id %q", path, id)
		}
	}
	if headings != 1 {
		tb.Errorf("%s: %d first headings", path, headings)
	}
}

func has(tb testing.TB, page string, wants ...string) {
	tb.Helper()
	flat := strings.Join(strings.Fields(page), " ")
	for _, want := range wants {
		if !strings.Contains(flat, want) {
			tb.Errorf("the page lacks %q:\n%s", want, page)
		}
	}
}

func lacks(tb testing.TB, page string, secrets ...string) {
	tb.Helper()
	for _, secret := range secrets {
		if strings.Contains(page, secret) {
			tb.Errorf("the page shows %q:\n%s", secret, page)
		}
	}
}

// fail lets the push of everything that is due be refused.
func (d *desk) fail() {
	d.tb.Helper()
	claims, err := d.store.ClaimDue(d.tb.Context(), store.ClaimRequest{Holder: "t", Limit: 10, Lease: time.Minute, Remote: "git"})
	if err != nil {
		d.tb.Fatal(err)
	}
	for _, c := range claims {
		if _, err := d.store.Load(d.tb.Context(), c); err != nil {
			d.tb.Fatal(err)
		}
		if err := d.store.RecordFailure(d.tb.Context(), c, store.Failure{
			Class: store.Refused, Code: "hook_declined", Text: "A hook declined the push.", Owner: fault.OwnerDataHUB, Remedy: "Ask them", Park: true,
		}); err != nil {
			d.tb.Fatal(err)
		}
	}
}

// An operator sees the light, the reasons with their remedies, the backlog, the
// causes, the git store and the processes on one page.
func TestOverview(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	has(t, d.get("/console"), `<span class="word">green</span> Everything is fine`, "Version 1.2.3 · CN=operator", "No ARC was uploaded yet.", "middleware-api@1.service")
	id := d.submit("edal", "A", "Wheat")
	d.fail()
	why := &fault.Error{Code: "token_rejected", Text: "No token.", Owner: fault.OwnerOperator, Remedy: "Create one"}
	if err := d.store.PauseRemote(t.Context(), "git", why, time.Hour); err != nil {
		t.Fatal(err)
	}
	has(t, d.get("/console/"), `<span class="word">red</span>`, "has been paused for", `<span class="remedy">→ Create one</span>`,
		`<th scope="row"><a id="r-edal" href="/console/search?rdi=edal">edal</a></th><td>1</td><td>0</td><td>0</td><td class="yellow">1</td>`,
		"<code>hook_declined</code> · 1 ARC", "the administrators of the git server", `href="/console/arcs/`+id.String()+`">Look at one of them`, "Resume git", "<code>token_rejected</code> · every ARC · for")
	// What concerns every ARC has none to look at or to push.
	lacks(t, d.get("/console"), "0 ARCs", "push all 0", "/console/causes/token_rejected/resync", strings.Repeat("0", 64))
}

// The story of an ARC is found by name, and shows where it stands and how it
// came there; what others wrote is text, never markup.
func TestStory(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	id := d.submit("edal", `A"><script>alert(1)</script>`, "<b>Wheat</b>")
	d.fail()
	status, location, _ := d.do(http.MethodGet, "/console/search?q="+url.QueryEscape("Wheat"))
	if status != http.StatusSeeOther || location != "/console/arcs/"+id.String() {
		t.Fatalf("search: %d to %q", status, location)
	}
	page := d.get(location)
	has(t, page, "trying again would not help: A hook declined the push.", "Ask them", "ARC_CREATED", "by CN=sender", "Take up again")
	lacks(t, page, "<script>alert", "<b>Wheat")
	has(t, d.get("/console/search?q=oats"), "No ARC fits “oats”")
	for _, q := range []string{"oats%00", "oats%ff", "oats%00&state=due", "edal/%ff"} {
		has(t, d.get("/console/search?q="+q), "No ARC fits")
	}
	has(t, d.get("/console/search"), "/console/arcs/"+id.String())
	for _, path := range []string{"/console/arcs/x", "/console/arcs/" + strings.Repeat("0", 64)} {
		if status, _, body := d.do(http.MethodGet, path); status != http.StatusNotFound || !strings.Contains(body, "There is no such ARC.") {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
}

// An RDI sees its own data only, and can change nothing.
func TestAnRDISeesItsOwnDataOnly(t *testing.T) {
	t.Parallel()
	d := newDesk(t, edal)
	own, other := d.submit("edal", "mine", "Wheat"), d.submit("bonares", "theirs", "Wheat")
	if _, err := d.store.BeginHarvest(t.Context(), "bonares", nil, nil, "", store.Actor{}); err != nil {
		t.Fatal(err)
	}
	d.fail()
	page := d.get("/console")
	has(t, page, `<th scope="row"><a id="r-edal" href="/console/search?rdi=edal">edal</a></th><td>1</td>`, "data of edal")
	lacks(t, page, "bonares", other.String(), "middleware-api@1", "<form method=\"post\"")
	lacks(t, d.get("/console/arcs/"+own.String()), "<form method=\"post\"", "CN=sender", "journalctl")
	for _, path := range []string{"/console/arcs/" + other.String()} {
		if status, _, body := d.do(http.MethodGet, path); status != http.StatusNotFound || strings.Contains(body, "theirs") {
			t.Errorf("%s: %d\n%s", path, status, body)
		}
	}
	for _, query := range []string{
		"q=theirs", "q=" + other.String(), "q=" + other.String()[:12], "q=" + other.String()[:12] + "&rdi=bonares", "rdi=bonares", "rdi=bonares&state=parked", "state=parked", "q=bonares/theirs",
	} {
		lacks(t, d.get("/console/search?"+query), "bonares<", ">theirs", "/arcs/"+other.String())
	}
	has(t, d.get("/console/search?state=parked"), "/arcs/"+own.String())
	if status, _, body := d.do(http.MethodGet, "/console/audit"); status != http.StatusForbidden || strings.Contains(body, "CN=sender") {
		t.Errorf("audit trail: %d\n%s", status, body)
	}
	if status, location, _ := d.do(http.MethodGet, "/console/search?q=Wheat"); status != http.StatusSeeOther || location != "/console/arcs/"+own.String() {
		t.Errorf("search: %d to %q, want the own ARC", status, location)
	}
	for _, path := range []string{"/console/arcs/" + own.String() + "/resync", "/console/remotes/git/pause", "/console/causes/hook_declined/resync"} {
		if status, _, _ := d.do(http.MethodPost, path); status != http.StatusForbidden {
			t.Errorf("%s: %d, want 403", path, status)
		}
	}
	if status, _, body := deskOn(t, d.store, nobody).do(http.MethodGet, "/console"); status != http.StatusForbidden || strings.Contains(body, "edal") {
		t.Errorf("nobody: %d\n%s", status, body)
	}
}

// What is wrong with the machine and its access token is for operators, the worst first,
// and what there is to do about causes as well: on the page, and in what is sent to it
// when something changes.
func TestTheMachineIsForOperators(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.submit("edal", "A", "Wheat")
	d.fail()
	if err := d.store.Beat(t.Context(), store.Synchroniser{
		Holder: "h/1", Host: "h", Remote: "git", Token: store.Token{Name: "deploy", Ends: time.Now().Add(72 * time.Hour)},
	}); err != nil {
		t.Fatal(err)
	}
	for _, viewer := range []console.Viewer{operator, edal} {
		c := console.New(console.Options{
			Data: d.store, Who: func(*http.Request) (console.Viewer, bool) { return viewer, true },
			Also: func(context.Context) []report.Reason {
				return []report.Reason{{Light: report.Yellow, Text: "The disk fills up."}, {Light: report.Red, Text: "The disk is full."}}
			},
		})
		for _, path := range []string{"/console", "/console/live"} {
			ctx, cancel := context.WithCancel(t.Context())
			w := httptest.NewRecorder()
			if path == "/console/live" {
				cut := &cutOff{ResponseRecorder: w, end: cancel}
				c.ServeHTTP(cut, httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody))
				if got := w.Header().Get("X-Accel-Buffering"); got != "no" {
					t.Errorf("%s: X-Accel-Buffering %q", path, got)
				}
			} else {
				c.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody))
			}
			cancel()
			body := w.Body.String()
			for _, text := range []string{"deploy", "The disk is full.", "The disk fills up.", `<form method="post"`} {
				if strings.Contains(body, text) != viewer.Operator {
					t.Errorf("%s, operator %t: %q: %t\n%s", path, viewer.Operator, text, !viewer.Operator, body)
				}
			}
			if strings.Index(body, "The disk is full.") > strings.Index(body, "The disk fills up.") {
				t.Errorf("%s: the worst is not first", path)
			}
		}
	}
}

// cutOff is a client that goes after the first event.
type cutOff struct {
	*httptest.ResponseRecorder
	end context.CancelFunc
}

// Flush sends what was written.
func (c *cutOff) Flush() { c.end() }

// An action is done once, is in the audit trail, and leads back to the page; a
// form on another site cannot do it.
func TestActions(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	id := d.submit("edal", "A", "Wheat")
	d.fail()
	path := "/console/arcs/" + id.String()
	if status, _, _ := d.do(http.MethodPost, path+"/resync", "Sec-Fetch-Site", "cross-site"); status != http.StatusForbidden {
		t.Errorf("from another site: %d, want 403", status)
	}
	if a, err := d.store.ARC(t.Context(), id); err != nil || a.Git.State != store.Parked {
		t.Errorf("after a request from another site: %s, %v", a.Git.State, err)
	}
	status, location, _ := d.do(http.MethodPost, path+"/resync", "Sec-Fetch-Site", "same-origin")
	if status != http.StatusSeeOther || location != path {
		t.Fatalf("resync: %d to %q", status, location)
	}
	if a, err := d.store.ARC(t.Context(), id); err != nil || a.Git.State != store.Due {
		t.Errorf("after resync: %s, %v, want due", a.Git.State, err)
	}
	d.sql(`UPDATE arc SET due_at = now()`)
	d.fail()
	for _, c := range []struct{ path, location string }{
		{"/console/causes/hook_declined/resync", "/console"}, {path + "/park", path}, {"/console/remotes/git/pause", "/console"}, {"/console/remotes/git/resume", "/console"},
	} {
		if status, location, body := d.do(http.MethodPost, c.path); status != http.StatusSeeOther || location != c.location {
			t.Errorf("%s: %d to %q\n%s", c.path, status, location, body)
		}
	}
	trail, err := d.store.AuditTrail(t.Context(), store.ID{}, 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	by := 0
	for _, line := range trail {
		if line.Actor.Subject == "CN=operator" {
			by++
		}
	}
	if by != 5 {
		t.Errorf("%d lines in the audit trail, want 5: %+v", by, trail)
	}
	for _, path := range []string{path + "/burn", "/console/causes/hook_declined/burn", "/console/remotes/git/burn", "/console/remotes/unheard-of/resume", "/console/nowhere"} {
		if status, _, _ := d.do(http.MethodPost, path); status != http.StatusNotFound && status != http.StatusMethodNotAllowed {
			t.Errorf("%s: %d", path, status)
		}
	}
	// What was done is told once, and not to who follows a link.
	d.server.Client().Jar, _ = cookiejar.New(nil)
	answer, err := d.server.Client().PostForm(d.server.URL+"/console/remotes/git/pause", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	page, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	has(t, string(page), `role="status">The git store was paused.`)
	again, err := d.server.Client().Get(answer.Request.URL.String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Body.Close() }()
	if page, err = io.ReadAll(again.Body); err != nil {
		t.Fatal(err)
	}
	lacks(t, string(page), `role="status">The git store`)
	lacks(t, d.get("/console?done=resume"), `role="status">The git store`)
	lacks(t, body(d.do(http.MethodGet, "/console", "Cookie", "done=<b>x")), "<b>x")
}

func body(_ int, _, text string) string { return text }

// A reason is what the form says, on one line; a form that says nothing, or that is far
// too long to be one, leaves the usual words.
func TestReasons(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	id := d.submit("edal", "A", "Wheat")
	path := "/console/arcs/" + id.String() + "/park"
	for _, c := range []struct{ path, form, want string }{
		{path, "reason=broken+%0A++at+the%09source", "broken at the source"}, {path, "", "parked in the console"}, {path, "reason=+%0A", "parked in the console"}, {path, "reason=a%00b%ffc", "a\uFFFDb\uFFFDc"},
		{path, "reason=" + strings.Repeat("x", 20_000), "parked in the console"},
		{"/console/remotes/git/pause", "reason=maintenance", "git: maintenance"}, {"/console/remotes/git/pause", "", "git: paused in the console"},
	} {
		if status, _, body := d.post(c.path, c.form); status != http.StatusSeeOther {
			t.Fatalf("%s: %d\n%s", c.path, status, body)
		}
		trail, err := d.store.AuditTrail(t.Context(), store.ID{}, 0, 1)
		if err != nil || len(trail) != 1 || trail[0].Detail != c.want || trail[0].Actor.Subject != "CN=operator" {
			t.Errorf("%s with %.40q: %.100v, %v, want %q", c.path, c.form, trail, err, c.want)
		}
		if status, _, body := d.post("/console/arcs/"+id.String()+"/unpark", ""); status != http.StatusSeeOther {
			t.Fatalf("unpark: %d\n%s", status, body)
		}
	}
}

// Pages are not kept by browsers and proxies, tell other sites nothing and are taken for
// nothing else, whoever looks.
func TestHeadersOfPages(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	for _, desk := range []*desk{d, deskOn(t, d.store, nobody)} {
		for _, path := range []string{"/console", "/console/search", "/console/arcs/x", "/console/nowhere"} {
			response, err := desk.server.Client().Get(desk.server.URL + path)
			if err != nil {
				t.Fatal(err)
			}
			_ = response.Body.Close()
			for name, value := range map[string]string{
				"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
				"Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
			} {
				if got := response.Header.Get(name); got != value {
					t.Errorf("%s: got %s %q", path, name, got)
				}
			}
		}
	}
}

// A page that stays open is sent what has changed, when it has changed.
func TestPagesLive(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.server.URL+"/console/live", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if kind := response.Header.Get("Content-Type"); kind != "text/event-stream" {
		t.Errorf("content type %q", kind)
	}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, 1<<20)
	until := func(want string) {
		t.Helper()
		for lines.Scan() {
			if line := lines.Text(); line != "" && !strings.HasPrefix(line, "data: ") && line != "event: page" && line != "event: same" {
				t.Fatalf("not an event: %q", line)
			}
			if strings.Contains(lines.Text(), want) {
				return
			}
		}
		t.Fatalf("the stream ended without %q: %v", want, lines.Err())
	}
	until("No ARC was uploaded yet.")
	d.submit("edal", "A", "Wheat")
	until(`<th scope="row"><a id="r-edal" href="/console/search?rdi=edal">edal</a></th>`)
}

// A stream that ends while its page is being made does not end with a page that tells
// of trouble.
func TestTheEndOfAStreamIsNoTrouble(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.submit("edal", "A", "Wheat")
	ctx, drain := context.WithCancel(t.Context())
	c := console.New(console.Options{
		Data: drained{d.store, drain}, Version: "1.2.3",
		Who: func(*http.Request) (console.Viewer, bool) { return operator, true },
	})
	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodGet, "/console/live", nil))
	lacks(t, w.Body.String(), "event:")
}

// drained is a store whose worker has to go when it is asked for totals.
type drained struct {
	*store.Store
	drain func()
}

func (d drained) Totals(ctx context.Context) ([]store.Total, error) {
	d.drain()
	return d.Store.Totals(ctx)
}

// The charts show what waited and what moved, say it in words, and leave a gap
// where nobody looked. An RDI sees its own part.
func TestCharts(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	lacks(t, d.get("/console"), "<polyline")
	d.submit("edal", "A", "")
	d.submit("bonares", "B", "")
	past := []string{
		"('', 0, 0, 0, '0', '3 hours')", "('edal', 7, 10, 3, '1 hour', '3 hours')",
		"('', 0, 0, 0, '0', '179 minutes')", "('edal', 8, 5, 5, '1 hour 1 minute', '179 minutes')",
		"('', 0, 0, 0, '0', '10 minutes')", "('bonares', 4, 30, 20, '2 hours', '10 minutes')",
		"('', 0, 0, 0, '0', '5 minutes')", "('edal', 2, 20, 10, '5 minutes', '5 minutes')",
	}
	d.sql(`INSERT INTO sample (rdi, waiting, accepted, pushed, oldest, at)
		SELECT rdi, waiting, accepted, pushed, oldest::interval, date_trunc('minute', now()) - ago::interval
		FROM (VALUES ` + strings.Join(past, ", ") + `) v (rdi, waiting, accepted, pushed, oldest, ago)`)
	page := d.get("/console")
	has(t, page, "ARCs due or failing", "due or failing: now 2, at most 8", "Longest wait", "longest wait: now 5 min, at most 2 h",
		"<dt>stored a minute, of late</dt><dd>4.0</dd>", "<dt>pushed a minute, of late</dt><dd>2.0</dd>")
	if n := strings.Count(page, `<polyline class="first"`); n < 6 {
		t.Errorf("%d pieces of lines, want gaps where nobody looked:\n%s", n, page)
	}
	own := deskOn(t, d.store, edal).get("/console")
	has(t, own, "longest wait: now 5 min, at most 1 h 1 min")
	lacks(t, own, "at most 2 h")
}

// A list of ARCs is found by the beginning of an id, by a part of a name, by RDI
// and by state, in pages; an RDI finds its own only.
func TestSearch(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	first, second := d.submit("edal", "A1", "Wheat in Gatersleben"), d.submit("bonares", "A2", "Wheat in Halle")
	for _, c := range []struct {
		query  string
		shown  []store.ID
		hidden []store.ID
	}{
		{"q=wheat", []store.ID{first, second}, nil},
		{"q=wheat&rdi=edal", []store.ID{first}, []store.ID{second}},
		{"rdi=bonares", []store.ID{second}, []store.ID{first}},
		{"rdi=unheard-of", nil, []store.ID{first, second}},
		{"state=due", []store.ID{first, second}, nil},
		{"state=parked", nil, []store.ID{first, second}},
		{"q=" + second.String()[:9], []store.ID{second}, []store.ID{first}},
		{"q=" + strings.ToUpper(second.String()[:8]), []store.ID{second}, []store.ID{first}},
		{"after=nonsense", []store.ID{first, second}, nil},
	} {
		page := d.get("/console/search?" + c.query)
		for _, id := range c.shown {
			has(t, page, "/console/arcs/"+id.String())
		}
		for _, id := range c.hidden {
			lacks(t, page, "/console/arcs/"+id.String())
		}
	}
	// A year is the beginning of somebody's id as well.
	year := strings.Repeat("0", 60)
	d.sql(`INSERT INTO arc (id, rdi, identifier, name, content, content_hash, content_size) VALUES ('\x2026` + year + `', 'edal', 'Q', 'Barley', 'x', sha256('x'), 1)`)
	third, fourth := d.submit("edal", "A3", "Rye 2026"), d.submit("edal", "2026-4", "Oats")
	both := d.get("/console/search?q=2026")
	has(t, both, "/console/arcs/2026"+year, "/console/arcs/"+third.String(), "/console/arcs/"+fourth.String())
	has(t, d.get("/console/search?q=2026&state=synced"), "/console/arcs/2026"+year)
	lacks(t, d.get("/console/search?q=2026&state=due"), "/console/arcs/2026"+year)
	own := deskOn(t, d.store, edal)
	for _, query := range []string{"", "q=" + second.String()[:8], "rdi=bonares", "state=due"} {
		lacks(t, own.get("/console/search?"+query), second.String(), "Halle")
	}
	for i := range 60 {
		d.submit("many", fmt.Sprintf("M%02d", i), "Barley")
	}
	seen := map[string]bool{}
	link := regexp.MustCompile(`/console/arcs/[0-9a-f]{64}`)
	next := regexp.MustCompile(`<a href="([^"]*)" rel="next">`)
	for path := "/console/search?q=barley&rdi=many"; path != ""; {
		page := d.get(path)
		for _, l := range link.FindAllString(page, -1) {
			seen[l] = true
		}
		path = ""
		if m := next.FindStringSubmatch(page); m != nil {
			path = html.UnescapeString(m[1])
		}
	}
	if len(seen) != 60 {
		t.Errorf("%d ARCs on all pages, want 60", len(seen))
	}
}

// Operators read in the audit trail who did what; nobody else does.
func TestAuditTrail(t *testing.T) {
	t.Parallel()
	d := newDesk(t, console.Viewer{Operator: true, Actor: store.Actor{Subject: "jane", Fingerprint: strings.Repeat("ab", 32), RequestID: "r-17"}})
	id := d.submit("edal", "A", "Wheat")
	if status, _, _ := d.post("/console/arcs/"+id.String()+"/park", "reason="+url.QueryEscape("wait for <b>Kim</b>")); status != http.StatusSeeOther {
		t.Fatalf("park: %d", status)
	}
	page := d.get("/console/audit")
	has(t, page, "<td>jane <code", "abababababab…", "<td>arc.park</td>", "wait for &lt;b&gt;Kim&lt;/b&gt;", "<code>r-17</code>", "/console/arcs/"+id.String())
	has(t, d.get("/console/arcs/"+id.String()), "wait for &lt;b&gt;Kim", "Take up again")
	if status, _, body := deskOn(t, d.store, edal).do(http.MethodGet, "/console/audit"); status != http.StatusForbidden || strings.Contains(body, "jane") {
		t.Errorf("an RDI: %d\n%s", status, body)
	}
	if status, _, _ := d.post("/console/arcs/"+id.String()+"/unpark", ""); status != http.StatusSeeOther {
		t.Fatalf("unpark: %d", status)
	}
	if a, err := d.store.ARC(t.Context(), id); err != nil || a.Git.State != store.Due {
		t.Errorf("after unpark: %s, %v", a.Git.State, err)
	}
	// The last page leads nowhere, also when it is full.
	d.sql(`INSERT INTO audit (actor, action) SELECT 'kim', 'test' FROM generate_series(1, 50 - (SELECT count(*) FROM audit))`)
	page = d.get("/console/audit")
	lacks(t, page, `rel="next"`)
	has(t, page, "arc.created")
	d.sql(`INSERT INTO audit (actor, action) VALUES ('kim', 'test')`)
	page = d.get("/console/audit")
	lacks(t, page, "arc.created")
	older := regexp.MustCompile(`<a href="([^"]*)" rel="next">`).FindStringSubmatch(page)
	if older == nil {
		t.Fatalf("the oldest of 51 lines is out of reach:\n%s", page)
	}
	has(t, d.get(older[1]), "arc.created")
}

// An RDI is told what is wrong with the service, and not to type the commands of
// its operator.
func TestRemediesAreForTheViewer(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.submit("edal", "A1", "Wheat")
	has(t, d.get("/console"), "systemctl start middleware-api-sync")
	own := deskOn(t, d.store, edal).get("/console")
	has(t, own, "Tell the operator of the service if it stays like this")
	lacks(t, own, "systemctl", "Synchronisers")
	d.fail()
	has(t, deskOn(t, d.store, edal).get("/console"), "→ Below stands what is failing, and who can mend it")
}

// A certificate that is about to end turns the light, with its remedy.
func TestCertificates(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.certificates.Store(&[]report.Certificate{
		{Subject: "CN=api.example.org", File: "/etc/tls/server.pem", Days: 5, Light: report.Red, Text: "The certificate CN=api.example.org ends in 5 days", Remedy: "Replace it"},
		{Subject: "CN=RDI CA", File: "/etc/tls/clients.pem", Days: 900, Light: report.Green},
	})
	has(t, d.get("/console"), `<span class="word">red</span>`, "ends in 5 days", "→ Replace it", `<td class="red">5</td>`, "<td>900</td>")
	lacks(t, deskOn(t, d.store, edal).get("/console"), "api.example.org")
}

// The page is of use in a text browser.
func TestTextBrowser(t *testing.T) {
	t.Parallel()
	w3m := testenv.Program(t, "w3m", "w3m")
	d := newDesk(t, operator)
	d.trouble()
	out, err := exec.CommandContext(t.Context(), w3m, "-dump", "-cols", "100", "-O", "UTF-8", "-o", "auto_uncompress=0", d.server.URL+"/console").Output()
	if err != nil {
		t.Fatal(err)
	}
	has(t, string(out), "The service is in trouble", "GitLab rejected the token", "→ Create a token with the scopes", "hook_declined · 100 ARCs",
		"For the administrators of the git server: Ask", "bonares 1429", "400 of 900", "Harvests", "CN=api.example.org")
}

// Style, script and icon come from the program itself.
func TestAssets(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	for path, want := range map[string]string{"console.css": "color-scheme", "console.js": "EventSource", "icon.svg": "<svg"} {
		has(t, d.get("/console/static/"+path), want)
	}
}
