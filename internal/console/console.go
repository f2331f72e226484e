// Package console is the operators' web page: one look at the service, what is
// failing and why, the story of an ARC, and the few actions that mend something.
//
// Pages are made on the server from the reports of package report and work
// without scripts and in text browsers; a script of a few lines only replaces
// what is shown when something changes. Nothing is loaded from elsewhere and
// the Content-Security-Policy forbids it. The package decides nothing about who
// somebody is: Options.Who says so, and a viewer who is not an operator sees the
// data of his own RDIs only and can change nothing. Actions go through the
// store, which writes the audit trail.
//
// The handler is safe for concurrent use. Run lets samples be taken for the
// charts; any process may do so, see store.TakeSample.
package console

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"html/template"
	"io/fs"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// Data is what the console shows and changes; a *store.Store has it.
type Data interface {
	report.Facts
	report.ARCFacts
	RequestPush(ctx context.Context, arc store.ID, by store.Actor) error
	RequestPushesOfCause(ctx context.Context, code fault.Code, by store.Actor) (int64, error)
	Park(ctx context.Context, arc store.ID, reason string, by store.Actor) error
	HoldRemote(ctx context.Context, name, reason string, by store.Actor) error
	ResumeRemote(ctx context.Context, name string, by store.Actor) error
	RDIs(ctx context.Context) ([]string, error)
	ARCsByPrefix(ctx context.Context, prefix string, rdis []string, limit int) ([]store.ARC, error)
	TakeSample(ctx context.Context) error
	Samples(ctx context.Context, last time.Duration, rdis ...string) ([]store.Sample, error)
}

// Viewer is who looks at the console.
type Viewer struct {
	Actor    store.Actor
	Operator bool     // sees everything and may act
	RDIs     []string // what anybody else sees
}

// Options say what a console is for.
type Options struct {
	Data    Data
	Version string
	// Who tells who sent a request; false refuses him.
	Who func(*http.Request) (Viewer, bool)
	// Fleet asks systemd for the units; nil for none.
	Fleet func(context.Context) (*report.Fleet, error)
	// Certificates tells of the certificates of the service; nil for none.
	Certificates func() []report.Certificate
	// Also tells what else an operator should look at; nil for nothing.
	Also func(context.Context) []report.Reason
	Log  *slog.Logger
	// Refresh is the time between two looks for pages that stay open (5 s).
	Refresh time.Duration
}

// Console is the page.
type Console struct {
	o   Options
	mux *http.ServeMux
}

//go:embed page
var files embed.FS

// pages are the templates by name, read at the first request: every process has a
// console, next to none is ever looked at, and they take as much memory as all
// else that an idle worker holds.
var pages = sync.OnceValue(func() map[string]*template.Template {
	all := map[string]*template.Template{}
	for _, name := range []string{"overview", "story", "search", "audit", "problem"} {
		all[name] = template.Must(template.New("layout.html").Funcs(functions).ParseFS(files, "page/layout.html", "page/live.html", "page/"+name+".html"))
	}
	return all
})

// Path is where the console lives.
const Path = "/console"

// New makes a console.
func New(o Options) *Console {
	if o.Refresh <= 0 {
		o.Refresh = 5 * time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	c := &Console{o: o, mux: http.NewServeMux()}
	c.routes()
	return c
}

func (c *Console) routes() {
	c.mux.HandleFunc("GET "+Path, c.overview)
	c.mux.HandleFunc("GET "+Path+"/{$}", c.overview)
	c.mux.HandleFunc("GET "+Path+"/search", c.search)
	c.mux.HandleFunc("GET "+Path+"/arcs/{id}", c.story)
	c.mux.HandleFunc("GET "+Path+"/audit", c.audit)
	c.mux.HandleFunc("POST "+Path+"/arcs/{id}/{action}", c.arcAction)
	c.mux.HandleFunc("POST "+Path+"/causes/{code}/{action}", c.causeAction)
	c.mux.HandleFunc("POST "+Path+"/remotes/{name}/{action}", c.remoteAction)
	c.mux.HandleFunc("GET "+Path+"/live", c.live)
	static, _ := fs.Sub(files, "page/static") // the folder is in the binary
	c.mux.Handle("GET "+Path+"/static/", http.StripPrefix(Path+"/static/", http.FileServerFS(static)))
}

// policy allows what the pages consist of and nothing else.
const policy = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// ServeHTTP answers a request for the console.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
	viewer, ok := c.o.Who(r)
	if !ok || !viewer.Operator && len(viewer.RDIs) == 0 {
		c.problem(w, r, http.StatusForbidden, "You are not known here", "The console is for operators of the service and for RDIs, told apart by their client certificates.")
		return
	}
	// A form on another page must not act in the name of who looks at it.
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		c.problem(w, r, http.StatusForbidden, "This came from another page", "Nothing was done. Use the buttons of the console itself.")
		return
	}
	c.mux.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), viewerKey{}, viewer)))
}

type viewerKey struct{}

func viewerOf(r *http.Request) Viewer {
	v, _ := r.Context().Value(viewerKey{}).(Viewer)
	return v
}

// only gives the RDIs that a viewer is limited to, nil for everything.
func (v Viewer) only() []string {
	if v.Operator {
		return nil
	}
	return v.RDIs
}

// page is what a template is given.
type page struct {
	Title   string
	Version string
	Viewer  Viewer
	Live    bool // the page is replaced when something changes
	Done    string
	Query   string
	Text    string

	Status *report.Status
	Sum    report.RDI // of all that the viewer sees
	Past   past
	Story  *report.Story
	List   *list
	Deeds  []deed
	Older  string // link to older lines
}

// show writes a page; it is complete before the first byte leaves.
func (c *Console) show(w http.ResponseWriter, r *http.Request, status int, name string, p page) {
	p.Version, p.Viewer = c.o.Version, viewerOf(r)
	var b bytes.Buffer
	if err := pages()[name].Execute(&b, p); err != nil {
		c.o.Log.ErrorContext(r.Context(), "console page not made", "page", name, "error", err)
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes())
}

func (c *Console) problem(w http.ResponseWriter, r *http.Request, status int, title, text string) {
	c.show(w, r, status, "problem", page{Title: title, Text: text})
}

// failure shows an error as a page.
func (c *Console) failure(w http.ResponseWriter, r *http.Request, err error) {
	f, ok := fault.Of(err)
	switch {
	case errors.Is(err, context.Canceled):
	case !ok:
		c.o.Log.ErrorContext(r.Context(), "console request failed", "error", err)
		c.problem(w, r, http.StatusInternalServerError, "Internal error", "Look at: journalctl -t middleware-api")
	case f.Code == fault.ARCNotFound, f.Code == fault.RemoteNotFound:
		c.problem(w, r, http.StatusNotFound, f.Text, f.Remedy)
	case f.Code == fault.ARCAmbiguous:
		c.problem(w, r, http.StatusConflict, f.Text, f.Remedy)
	default:
		c.o.Log.ErrorContext(r.Context(), "console request failed", "error", err)
		c.problem(w, r, http.StatusServiceUnavailable, f.Text, f.Remedy)
	}
}
