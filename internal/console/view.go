package console

import (
	"html/template"
	"net/http"
	"slices"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// functions are what templates may call.
var functions = template.FuncMap{
	"span":    func(now, then time.Time) string { return report.Span(now.Sub(then)) },
	"ago":     report.Ago,
	"until":   report.Until,
	"clock":   func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") },
	"iso":     func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"owner":   report.OwnerName,
	"decimal": decimal,
	"short":   func(id store.ID) string { return id.String()[:12] },
	"percent": func(of, whole int64) int64 { return 100 * of / max(whole, 1) },
	"nobody":  func(o fault.Owner) bool { return o == fault.OwnerNobody },
	"zero":    func(id store.ID) bool { return id == store.ID{} },
	"clean":   report.Clean,
	"same":    func(a store.GitState, b string) bool { return string(a) == b },
}

// status collects what the viewer of a request may see.
func (c *Console) status(r *http.Request) *report.Status {
	viewer := viewerOf(r)
	o := report.StatusOptions{Only: viewer.only(), Tokens: viewer.Operator}
	if viewer.Operator {
		if c.o.Fleet != nil {
			fleet, err := c.o.Fleet(r.Context())
			if err != nil {
				c.o.Log.WarnContext(r.Context(), "systemd did not answer", "error", err)
			}
			o.Fleet = fleet
		}
		if c.o.Certificates != nil {
			o.Certificates = c.o.Certificates()
		}
	}
	if viewer.Operator && c.o.Also != nil {
		o.Also = c.o.Also(r.Context())
	}
	s := report.CollectStatus(r.Context(), c.o.Data, o)
	if !viewer.Operator {
		for i := range s.Reasons { // the commands are for whoever has this machine
			s.Reasons[i].Remedy = guestRemedy(s.Reasons[i].Remedy)
		}
	}
	return s
}

// guestRemedy is what an RDI can do where an operator has a remedy.
func guestRemedy(remedy string) string {
	switch remedy {
	case "":
		return ""
	case report.SeeCauses: // perhaps its own ARCs are to blame
		return "Below stands what is failing, and who can mend it"
	}
	return "Tell the operator of the service if it stays like this"
}

func (c *Console) overview(w http.ResponseWriter, r *http.Request) {
	p := c.overviewPage(r)
	p.Done = told(w, r)
	c.show(w, r, http.StatusOK, "overview", p)
}

func (c *Console) overviewPage(r *http.Request) page {
	p := page{Title: "Overview", Live: true, Status: c.status(r)}
	// The worst first: on a telephone there is room for one.
	slices.SortStableFunc(p.Status.Reasons, func(a, b report.Reason) int { return b.Light.ExitCode() - a.Light.ExitCode() })
	for _, rdi := range p.Status.RDIs {
		p.Sum.ARCs += rdi.ARCs
		p.Sum.Due += rdi.Due
		p.Sum.Failing += rdi.Failing
		p.Sum.Parked += rdi.Parked
		if !rdi.Oldest.IsZero() && (p.Sum.Oldest.IsZero() || rdi.Oldest.Before(p.Sum.Oldest)) {
			p.Sum.Oldest = rdi.Oldest
		}
	}
	if p.Status.Database.OK {
		p.Past = c.readPast(r)
	}
	return p
}
