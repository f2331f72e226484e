package console_test

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// browserLimit is for a browser on a busy machine.
const browserLimit = 4 * time.Minute

// tab is a page in a real browser.
type tab struct {
	tb  testing.TB
	ctx context.Context

	mu       sync.Mutex
	problems []string // errors on the console, exceptions, violations of the policy
}

// browse opens a browser of the test's own. At the end the test fails for
// everything that the browser had to complain about.
func browse(tb testing.TB) *tab {
	tb.Helper()
	program := testenv.Program(tb, "chromium", "chromium")
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(program), chromedp.NoSandbox,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-gpu", true), chromedp.UserDataDir(tb.TempDir()),
		chromedp.Flag("disable-component-update", true), chromedp.WSURLReadTimeout(browserLimit))
	browser, quit := chromedp.NewExecAllocator(context.Background(), options...)
	tb.Cleanup(quit)
	ctx, end := chromedp.NewContext(browser)
	t := &tab{tb: tb, ctx: ctx}
	tb.Cleanup(func() {
		_ = chromedp.Cancel(ctx) // closes the browser, which then tidies up after itself
		end()
		t.mu.Lock()
		defer t.mu.Unlock()
		for _, p := range t.problems {
			tb.Errorf("the browser complains: %s", p)
		}
	})
	t.run() // starts the browser
	err := chromedp.Listen(ctx, func(event any) {
		t.mu.Lock()
		defer t.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.problems = append(t.problems, e.ExceptionDetails.Text)
		case *runtime.EventConsoleAPICalled:
			t.problems = append(t.problems, fmt.Sprintf("console.%s", e.Type))
		case *log.EventEntryAdded:
			t.problems = append(t.problems, e.Entry.Text)
		}
	})
	if err == nil {
		_, err = chromedp.Call(ctx, log.Enable, cdp.Empty{})
	}
	if err == nil {
		_, err = chromedp.Call(ctx, runtime.Enable, cdp.Empty{})
	}
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

func (t *tab) run(actions ...chromedp.Action[chromedp.Void]) {
	t.tb.Helper()
	if err := chromedp.Do(t.ctx, actions...); err != nil {
		t.tb.Fatal(err)
	}
}

// ask evaluates an expression.
func ask[T any](t *tab, expression string) T {
	t.tb.Helper()
	v, err := chromedp.Run(t.ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		t.tb.Fatal(err)
	}
	return v
}

func (t *tab) open(url string) {
	t.tb.Helper()
	t.run(chromedp.Navigate(url))
}

// shape sets the size of the window and the wish for a dark or light page.
func (t *tab) shape(width int, scheme string) {
	t.tb.Helper()
	t.run(chromedp.EmulateViewport(int64(width), 900))
	if _, err := chromedp.Call(t.ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
	}); err != nil {
		t.tb.Fatal(err)
	}
}

// picture keeps a picture of the whole page for people, if CONSOLE_PICTURES names
// a folder.
func (t *tab) picture(name string) {
	t.tb.Helper()
	dir := os.Getenv("CONSOLE_PICTURES")
	if dir == "" {
		return
	}
	png, err := chromedp.Run(t.ctx, chromedp.FullScreenshot(100))
	if err != nil {
		t.tb.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), png, 0o600); err != nil {
		t.tb.Fatal(err)
	}
}

// trouble arranges a service of ten thousand ARCs of seven RDIs with everything
// that a page can show.
func (d *desk) trouble() {
	d.tb.Helper()
	d.sql(`INSERT INTO arc (id, rdi, identifier, name, content, content_hash, content_size, due_at, last_changed,
			parked, failed_at, failure_class, failure_code, failure_text, failure_owner, failure_remedy)
		SELECT sha256(convert_to('A' || i, 'UTF8')), (ARRAY['edal','bonares','publisso','openagrar','thuenen','fairagro-demo','zalf'])[1 + i % 7],
			'10.5447/ipk/2026/' || i, 'Field trial ' || i || ' with a rather long name that has to be cut or wrapped somewhere',
			'x', sha256('x'), 30000, CASE WHEN i % 50 = 0 OR i % 33 = 0 THEN now() END, now() - i * interval '7 seconds',
			i % 100 = 0, CASE WHEN i % 50 = 0 THEN now() - interval '1 hour' END, CASE WHEN i % 50 = 0 THEN 'refused' ELSE '' END,
			CASE WHEN i % 100 = 0 THEN 'hook_declined' WHEN i % 50 = 0 THEN 'git_timeout' ELSE '' END,
			CASE WHEN i % 100 = 0 THEN 'A hook of the server declined the push: the file isa.investigation.xlsx is larger than 10 MB.' WHEN i % 50 = 0 THEN 'The git server did not answer in time.' ELSE '' END,
			CASE WHEN i % 100 = 0 THEN 'datahub' WHEN i % 50 = 0 THEN 'nobody' ELSE '' END,
			CASE WHEN i % 100 = 0 THEN 'Ask the administrators of the git server to raise the limit, then push again.' ELSE '' END
		FROM generate_series(1, 10000) i`)
	d.sql(`UPDATE arc SET identifier = 'https://doi.org/10.5447/' || repeat('identifier-without-any-blank-', 12) WHERE id = sha256('A1')`)
	d.sql(`INSERT INTO harvest (id, rdi, status, expected_datasets, started_at) VALUES (gen_random_uuid(), 'edal', 'RUNNING', 900, now() - interval '4 minutes')`)
	d.sql(`INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
		SELECT (SELECT id FROM harvest LIMIT 1), id, 'new', content_hash FROM arc WHERE rdi = 'edal' LIMIT 400`)
	d.sql(`INSERT INTO harvest (id, rdi, status, started_at, completed_at, arcs_new, arcs_updated, errors, note)
		VALUES (gen_random_uuid(), 'bonares', 'COMPLETED', now() - interval '1 day', now() - interval '23 hours', 12, 1400, 3, 'No ARC was marked as missing: too many would have been.')`)
	d.sql(`INSERT INTO sample (at, rdi, waiting, parked, oldest, accepted, pushed)
		SELECT date_trunc('minute', now()) - i * interval '1 minute', rdi,
			CASE rdi WHEN '' THEN 0 ELSE (200 + 150 * sin(i / 90.0))::bigint END, CASE rdi WHEN '' THEN 0 ELSE 100 END,
			(600 + 500 * sin(i / 60.0)) * interval '1 second', CASE rdi WHEN '' THEN 0 ELSE (10 + 9 * sin(i / 30.0))::bigint END,
			CASE rdi WHEN '' THEN 0 ELSE (10 + 9 * cos(i / 30.0))::bigint END
		FROM generate_series(1, 1400) i, unnest(ARRAY['', 'edal']) rdi WHERE i NOT BETWEEN 700 AND 760`)
	d.sql(`INSERT INTO synchroniser (holder, host, remote, pushing, token_name, token_ends_at) VALUES ('a', 'api1.example.org', 'git', 5, 'middleware', now() + interval '9 days 1 hour')`)
	d.sql(`INSERT INTO event (arc_id, type, message) SELECT id, 'GIT_PUSH_FAILED', failure_text FROM arc WHERE failure_code <> ''`)
	why := &fault.Error{Code: "token_rejected", Text: "GitLab rejected the token: it was revoked or has expired.", Owner: fault.OwnerOperator, Remedy: "Create a token with the scopes api and write_repository, write it to /etc/middleware-api/credentials/gitlab-token, then: systemctl restart middleware-api-sync"}
	if err := d.store.PauseRemote(d.tb.Context(), "git", why, time.Hour); err != nil {
		d.tb.Fatal(err)
	}
	d.certificates.Store(&[]report.Certificate{
		{Subject: "CN=api.example.org", File: "/etc/middleware-api/tls/server.pem", Days: 12, Light: report.Yellow, Text: "The certificate CN=api.example.org ends in 12 days", Remedy: "Replace the certificate; the service notices the new file by itself"},
		{Subject: "CN=FAIRagro RDI CA,O=FAIRagro", File: "/etc/middleware-api/tls/clients.pem", Days: 1900, Light: report.Green},
	})
}

// pages are those that are looked at, by name.
func (d *desk) pages() map[string]string {
	d.tb.Helper()
	pages := map[string]string{"overview": "/console", "arcs": "/console/search", "audit": "/console/audit", "nothing": "/console/search?q=no-such-arc"}
	arcs, _, err := d.store.ARCs(d.tb.Context(), store.ARCFilter{State: store.Parked, Limit: 1})
	if err != nil {
		d.tb.Fatal(err)
	}
	for _, a := range arcs {
		pages["story"] = "/console/arcs/" + a.ID.String()
	}
	return pages
}

// No page is wider than the window, from a telephone to a wall, and every text
// has the contrast of WCAG 2.2 AA, in light and dark, empty and full.
func TestPagesFitAndCanBeRead(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		t.Run(map[bool]string{false: "empty", true: "full"}[full], func(t *testing.T) {
			t.Parallel()
			d := newDesk(t, operator)
			if full {
				d.trouble()
			}
			b := browse(t)
			for name, path := range d.pages() {
				for _, scheme := range []string{"light", "dark"} {
					for _, width := range []int{360, 768, 1280, 3840} {
						b.shape(width, scheme)
						b.open(d.server.URL + path)
						what := fmt.Sprintf("%s, %d px, %s", name, width, scheme)
						if over := ask[int](b, `document.documentElement.scrollWidth - innerWidth`); over > 0 {
							t.Errorf("%s: %d px wider than the window: %s", what, over, ask[string](b, scriptWide))
						}
						if wide := ask[string](b, scriptCut); width >= 1280 && wide != "" {
							t.Errorf("%s: tables that do not fit into the window: %s", what, wide)
						}
						for _, faint := range ask[[]string](b, scriptContrast) {
							t.Errorf("%s: too little contrast: %s", what, faint)
						}
						b.picture(fmt.Sprintf("%s-%s-%d-%s", map[bool]string{false: "empty", true: "full"}[full], name, width, scheme))
					}
				}
			}
		})
	}
}

// scriptWide names what is wider than the window.
const scriptWide = `[...document.querySelectorAll("body *")].filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".wide")).map(e => e.tagName + "." + e.className + "#" + e.id).slice(0, 5).join(" ")`

// scriptCut names the tables of which a part is out of sight.
const scriptCut = `[...document.querySelectorAll(".wide")].filter(e => e.scrollWidth > e.clientWidth).map(e => e.ariaLabel || e.id).join(" ")`

// scriptContrast lists texts whose contrast with what is behind them is below
// 4.5, or 3 for large ones (https://www.w3.org/TR/WCAG22/#contrast-minimum). It
// draws colours on a canvas, so that every notation is understood.
const scriptContrast = `(() => {
  const pen = Object.assign(document.createElement("canvas"), {width: 1, height: 1}).getContext("2d", {willReadFrequently: true});
  const rgba = (c) => { pen.clearRect(0, 0, 1, 1); pen.fillStyle = c; pen.fillRect(0, 0, 1, 1); const d = pen.getImageData(0, 0, 1, 1).data; return [d[0], d[1], d[2], d[3] / 255]; };
  const over = (top, under) => top.slice(0, 3).map((v, i) => v * top[3] + under[i] * (1 - top[3]));
  const light = (c) => { const [r, g, b] = c.map(v => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { const stack = []; for (; e; e = e.parentElement) stack.push(rgba(getComputedStyle(e).backgroundColor)); let c = matchMedia("(prefers-color-scheme: dark)").matches ? [18, 18, 18] : [255, 255, 255]; for (const s of stack.reverse()) c = over(s, c); return c; };
  const bad = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement, text = walker.currentNode.data.trim();
    if (!text || e.closest("script, noscript, option, .unseen, .skip") || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), back = behind(e), front = over(rgba(style.color), back);
    const a = light(front), b = light(back), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && Number(style.fontWeight) >= 700;
    if (ratio < (large ? 3 : 4.5)) bad.add(ratio.toFixed(2) + " " + e.tagName + "." + e.className + " " + text.slice(0, 40));
  }
  return [...bad];
})()`

// Everything that can be used is reached with the Tab key, in the order of the
// page, and shows that it has the focus.
func TestPagesWorkByKeyboard(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.trouble()
	b := browse(t)
	b.shape(1280, "light")
	for name, path := range d.pages() {
		b.open(d.server.URL + path)
		// What renews itself is made anew all the time; it is known by its id.
		want := ask[int](b, `window.key = (e) => e.id || e.outerHTML;
			window.todo = new Set([...document.querySelectorAll("a[href], button, input, select, [tabindex='0']")].filter(e => e.checkVisibility()).map(key)); todo.size`)
		for range want + 3 {
			b.run(chromedp.KeyEvent("\t"))
			seen := ask[string](b, `(() => { const e = document.activeElement; if (!e || e === document.body) return ""; todo.delete(key(e));
				const s = getComputedStyle(e), r = e.getBoundingClientRect();
				if (s.outlineStyle === "none" || parseFloat(s.outlineWidth) < 2) return "no outline: " + e.outerHTML.slice(0, 80);
				if (r.left < 0 || r.right > innerWidth + 1 || r.bottom < 0 || r.top > innerHeight) return "out of sight: " + e.outerHTML.slice(0, 80);
				return ""; })()`)
			if seen != "" {
				t.Errorf("%s: focus: %s", name, seen)
			}
		}
		if left := ask[[]string](b, `[...todo]`); len(left) > 0 {
			t.Errorf("%s: not reached by Tab: %q", name, left)
		}
	}
}

// A screen reader finds landmarks, one first heading, headings without a gap,
// names for everything that can be used, and tables whose cells have headers.
func TestPagesCanBeHeard(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.trouble()
	b := browse(t)
	b.shape(1280, "light")
	for name, path := range d.pages() {
		b.open(d.server.URL + path)
		tree, err := chromedp.Call(b.ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
		if err != nil {
			t.Fatal(err)
		}
		roles, level := map[string]int{}, 0
		for _, n := range tree.Nodes {
			if n.Ignored {
				continue
			}
			role, label := text(n.Role), text(n.Name)
			roles[role]++
			switch role {
			case "link", "button", "searchbox", "textbox", "combobox", "heading", "region", "image", "progressbar", "table", "search", "navigation":
				if label == "" && role != "table" {
					t.Errorf("%s: a %s without a name", name, role)
				}
			}
			if role != "heading" {
				continue
			}
			for _, p := range n.Properties {
				if p.Name != "level" {
					continue
				}
				next := 0
				if _, err := fmt.Sscan(string(p.Value.Value), &next); err != nil || next > level+1 || next == 1 && roles["heading"] > 1 {
					t.Errorf("%s: heading %q has level %s after %d", name, label, p.Value.Value, level)
				}
				level = next
			}
		}
		for role, least := range map[string]int{"main": 1, "navigation": 1, "search": 1, "contentinfo": 1, "banner": 1, "heading": 1} {
			if roles[role] < least {
				t.Errorf("%s: no %s; there are %v", name, role, roles)
			}
		}
		switch name {
		case "overview":
			if roles["status"] == 0 || roles["columnheader"] < 10 || roles["rowheader"] < 8 || roles["image"] < 3 || roles["progressbar"] == 0 {
				t.Errorf("overview: %v", roles)
			}
		case "arcs", "audit":
			if roles["columnheader"] < 5 || roles["table"] == 0 {
				t.Errorf("%s: %v", name, roles)
			}
		}
	}
}

// text gives the text of a value of the tree.
func text(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	return strings.Trim(string(v.Value), `"`)
}

// A page that is open renews itself, keeps the focus where it is, and says aloud
// that the light has changed; when the server is gone it says so.
func TestPagesRenewThemselves(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.submit("edal", "A", "Wheat")
	b := browse(t)
	b.open(d.server.URL + "/console")
	b.until(`document.getElementById("pulse").textContent.startsWith("Live")`)
	b.run(chromedp.Focus(chromedp.CSS("#r-edal")))
	d.fail()
	b.until(`document.getElementById("h-light").textContent.includes("Somebody should look")`)
	if focus := ask[string](b, `document.activeElement.id`); focus != "r-edal" {
		t.Errorf("the focus went to %q", focus)
	}
	if said := ask[string](b, `document.getElementById("say").textContent`); !strings.Contains(said, "Somebody should look") {
		t.Errorf("said %q", said)
	}
	b.run(chromedp.Click(chromedp.CSS("#b-hook_declined")))
	b.until(`document.querySelector(".done")?.textContent.includes("will be pushed again") === true`)
	b.until(`document.getElementById("pulse").textContent.startsWith("Live")`)
	d.server.CloseClientConnections()
	d.server.Listener.Close()
	b.until(`document.getElementById("pulse").textContent.includes("lost")`)
	b.forget("ERR_")
}

// A page that is open comes back by itself when its stream was answered with an error,
// or when nothing is heard on it any more, and says in sight that it may be old.
func TestPagesComeBack(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.submit("edal", "A", "Wheat")
	var trouble, met atomic.Int32
	const refused, silent = 1, 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		kind := trouble.Load()
		if kind == refused && r.URL.Path == "/console/live" {
			http.Error(w, "come again", http.StatusServiceUnavailable)
			met.Store(kind)
			return
		}
		if kind == silent && r.URL.Path == "/console/live" {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			met.Store(kind)
			<-r.Context().Done()
			return
		}
		go func() { // a stream ends, or is silent, when trouble begins
			for trouble.Load() == 0 && ctx.Err() == nil {
				time.Sleep(10 * time.Millisecond)
			}
			cancel()
		}()
		d.console.ServeHTTP(w, r.WithContext(ctx))
		if trouble.Load() == silent {
			<-r.Context().Done()
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(server.CloseClientConnections)
	b := browse(t)
	b.shape(1280, "light")
	// Its time goes ten times as fast.
	if _, err := chromedp.Call(b.ctx, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{
		Source: `const slow = setTimeout; window.setTimeout = (f, after) => slow(f, after / 10);`,
	}); err != nil {
		t.Fatal(err)
	}
	b.open(server.URL + "/console")
	for i, kind := range []int32{refused, silent} {
		b.until(`document.getElementById("pulse").textContent.startsWith("Live")`)
		trouble.Store(kind)
		b.until(`document.getElementById("pulse").textContent.includes("lost")`)
		testenv.Await(t, "the page asks again", func() bool { return met.Load() == kind })
		if !ask[bool](b, `(() => { const r = document.getElementById("pulse").getBoundingClientRect(); return r.top >= 0 && r.bottom <= innerHeight && document.getElementById("say").textContent.includes("lost"); })()`) {
			t.Error("that the page may be old is said out of sight, or not aloud")
		}
		d.submit("edal", fmt.Sprint("B", i), "Rye")
		trouble.Store(0)
		b.until(fmt.Sprintf(`document.getElementById("pulse").textContent.startsWith("Live") && document.querySelector(".tiles dd").textContent === "%d"`, i+2))
	}
	b.forget("503")
	b.forget("ERR_")
}

// What an operator has selected stays selected, and a button can be pressed, while the
// page renews itself.
func TestRenewalsDoNotDisturb(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.trouble()
	b := browse(t)
	b.shape(1280, "light")
	b.open(d.server.URL + "/console")
	b.until(`document.getElementById("pulse").textContent.startsWith("Live")`)
	command := ask[string](b, `(() => { window.button = document.getElementById("b-hook_declined"); getSelection().selectAllChildren(document.querySelector(".reasons .remedy")); return getSelection().toString(); })()`)
	d.sql(`UPDATE arc SET failed_at = now() - interval '3 days' WHERE failed_at IS NOT NULL`)
	b.until(`document.getElementById("c-hook_declined").textContent.includes("3 d")`)
	if got := ask[string](b, `getSelection().toString()`); got != command || command == "" {
		t.Errorf("%q was selected, and is now %q", command, got)
	}
	if !ask[bool](b, `button.isConnected`) {
		t.Error("the button was exchanged under the finger")
	}
}

// until waits for a condition in the page.
func (t *tab) until(condition string) {
	t.tb.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ask[bool](t, condition) {
		select {
		case <-tick.C:
		case <-deadline:
			t.tb.Fatalf("not in time: %s; the page:\n%s", condition, ask[string](t, "document.body.innerText"))
		}
	}
}

// forget takes back complaints that belong to what the test did.
func (t *tab) forget(part string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	left := t.problems[:0]
	for _, p := range t.problems {
		if !strings.Contains(p, part) {
			left = append(left, p)
		}
	}
	t.problems = left
}

// The picture of a line is where its values are: a peak is at the top, and time
// goes from left to right.
func TestChartsAreDrawn(t *testing.T) {
	t.Parallel()
	d := newDesk(t, operator)
	d.sql(`INSERT INTO sample (at, rdi, waiting) SELECT date_trunc('minute', now()) - i * interval '5 minutes', r, CASE WHEN i = 6 AND r <> '' THEN 100 ELSE 0 END
		FROM generate_series(0, 12) i, unnest(ARRAY['', 'edal']) r`)
	b := browse(t)
	b.shape(1280, "light")
	b.open(d.server.URL + "/console")
	points := ask[[]float64](b, `(() => { const s = document.querySelector("figure svg").getBoundingClientRect(), p = document.querySelector("figure polyline"), m = p.getScreenCTM();
		const all = [...p.points].map(q => q.matrixTransform(m)), top = all.reduce((a, c) => c.y < a.y ? c : a);
		return [(top.x - s.left) / s.width, (top.y - s.top) / s.height, (all.at(-1).x - s.left) / s.width, (all.at(-1).y - s.top) / s.height]; })()`)
	for i, want := range []float64{0.5, 0, 1, 1} {
		if math.Abs(points[i]-want) > 0.05 {
			t.Errorf("the line is at %v, want the peak in the middle of the top and the end at the lower right", points)
			break
		}
	}
}
