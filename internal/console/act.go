package console

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// formLimit bounds what a form may send: a reason of a few sentences.
const formLimit = 16 << 10

// done words what an action did; only texts of ours can come back.
func done(action string) string {
	return map[string]string{
		"resync": "The ARC will be pushed again.", "unpark": "The ARC is taken up again and will be pushed.",
		"resync-cause": "The ARCs with this cause will be pushed again.",
		"park":         "The ARC waits until its content changes or somebody takes it up again.",
		"pause":        "The git store was paused. ARCs are still accepted and kept.", "resume": "The git store was taken into use again.",
	}[action]
}

// doneCookie carries what was done to the page that tells of it. In the address it
// would be told again at each reload, and to whoever follows a link, when it holds no
// more.
const doneCookie = "done"

// told gives the words for what has just been done, once.
func told(w http.ResponseWriter, r *http.Request) string {
	cookie, err := r.Cookie(doneCookie)
	if err != nil {
		return ""
	}
	setDone(w, "", -1)
	return done(cookie.Value)
}

func setDone(w http.ResponseWriter, action string, age int) {
	http.SetCookie(w, &http.Cookie{Name: doneCookie, Value: action, Path: Path, MaxAge: age, HttpOnly: true, SameSite: http.SameSiteStrictMode}) //nolint:gosec // no secret, and unix sockets have no TLS
}

// mayAct refuses everybody but operators.
func (c *Console) mayAct(w http.ResponseWriter, r *http.Request) bool {
	if viewerOf(r).Operator {
		r.Body = http.MaxBytesReader(w, r.Body, formLimit)
		return true
	}
	c.problem(w, r, http.StatusForbidden, "Only operators may do this", "Ask the operator of the service.")
	return false
}

// reason is what the form gives as one, or the usual text.
func reason(r *http.Request, usual string) string {
	if text := strings.Join(strings.Fields(report.Clean(r.PostFormValue("reason"))), " "); text != "" {
		return text
	}
	return usual
}

func (c *Console) arcAction(w http.ResponseWriter, r *http.Request) {
	if !c.mayAct(w, r) {
		return
	}
	id, err := c.requested(r)
	action, by := r.PathValue("action"), viewerOf(r).Actor
	if err == nil {
		switch action {
		case "resync", "unpark":
			err = c.o.Data.RequestPush(r.Context(), id, by)
		case "park":
			err = c.o.Data.Park(r.Context(), id, reason(r, "parked in the console"), by)
		default:
			c.problem(w, r, http.StatusNotFound, "There is no such action", "")
			return
		}
	}
	c.acted(w, r, err, Path+"/arcs/"+id.String(), action)
}

// causeAction lets all ARCs that share a cause be pushed again, once somebody has
// mended it.
func (c *Console) causeAction(w http.ResponseWriter, r *http.Request) {
	if !c.mayAct(w, r) {
		return
	}
	if r.PathValue("action") != "resync" {
		c.problem(w, r, http.StatusNotFound, "There is no such action", "")
		return
	}
	_, err := c.o.Data.RequestPushesOfCause(r.Context(), fault.Code(r.PathValue("code")), viewerOf(r).Actor)
	c.acted(w, r, err, Path, "resync-cause")
}

func (c *Console) remoteAction(w http.ResponseWriter, r *http.Request) {
	if !c.mayAct(w, r) {
		return
	}
	var err error
	name, action, by := r.PathValue("name"), r.PathValue("action"), viewerOf(r).Actor
	switch action {
	case "pause":
		err = c.o.Data.HoldRemote(r.Context(), name, reason(r, "paused in the console"), by)
	case "resume":
		err = c.o.Data.ResumeRemote(r.Context(), name, by)
	default:
		c.problem(w, r, http.StatusNotFound, "There is no such action", "")
		return
	}
	c.acted(w, r, err, Path, action)
}

// acted goes back to the page, so that reloading does not act again.
func (c *Console) acted(w http.ResponseWriter, r *http.Request, err error, back, action string) {
	if err != nil {
		c.failure(w, r, err)
		return
	}
	by := viewerOf(r).Actor
	c.o.Log.InfoContext(r.Context(), "action in the console", "action", action, "path", r.URL.Path,
		"client_id", by.Subject, "request_id", by.RequestID)
	setDone(w, action, 60)
	http.Redirect(w, r, back, http.StatusSeeOther) //nolint:gosec // back is one of our paths
}

// deed is a line of the audit trail as it is shown.
type deed struct {
	store.Audit
	ShortPrint string // the beginning of the fingerprint
}

// audit shows the audit trail to operators, newest first.
func (c *Console) audit(w http.ResponseWriter, r *http.Request) {
	if !viewerOf(r).Operator {
		c.problem(w, r, http.StatusForbidden, "Only operators may see this", "Ask the operator of the service.")
		return
	}
	before, err := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	if err != nil {
		before = 0
	}
	trail, err := c.o.Data.AuditTrail(r.Context(), store.ID{}, before, pageSize+1) // one more tells whether there are older ones
	if err != nil {
		c.failure(w, r, err)
		return
	}
	p := page{Title: "Audit trail"}
	if len(trail) > pageSize {
		trail = trail[:pageSize]
		p.Older = fmt.Sprintf("%s/audit?before=%d", Path, trail[pageSize-1].ID)
	}
	for _, a := range trail {
		a.Detail = report.Clean(a.Detail)
		p.Deeds = append(p.Deeds, deed{Audit: a, ShortPrint: a.Actor.Fingerprint[:min(12, len(a.Actor.Fingerprint))]})
	}
	c.show(w, r, http.StatusOK, "audit", p)
}
