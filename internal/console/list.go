package console

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// pageSize is how many rows a list shows at a time.
const pageSize = 50

// list is what a page with ARCs shows.
type list struct {
	Query, RDI, State string
	RDIs              []string // to choose from
	States            []store.GitState
	ARCs              []store.ARC
	Next              string // link to the next page; "" on the last
	Asked             bool   // something was looked for
}

// search finds ARCs: the one that is named exactly, or a list of those that fit.
func (c *Console) search(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	l := list{
		Query: strings.TrimSpace(report.Clean(q.Get("q"))), RDI: q.Get("rdi"), State: q.Get("state"),
		States: []store.GitState{store.Due, store.Failing, store.Parked, store.Synced},
	}
	l.Asked = l.Query != "" || l.RDI != "" || l.State != ""
	if l.Query != "" && l.RDI == "" && l.State == "" && q.Get("after") == "" {
		id, err := report.FindARC(r.Context(), c.o.Data, l.Query, viewerOf(r).only()...)
		if err == nil {
			err = c.visible(r, id)
		}
		switch code := fault.CodeOf(err); {
		case err == nil:
			http.Redirect(w, r, Path+"/arcs/"+id.String(), http.StatusSeeOther) //nolint:gosec // an id is hexadecimal digits
			return
		case code != fault.ARCNotFound && code != fault.ARCAmbiguous:
			c.failure(w, r, err)
			return
		}
	}
	if err := c.fill(r, &l); err != nil {
		c.failure(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "search", page{Title: "ARCs", Query: l.Query, List: &l})
}

// isPrefix says whether a text can be the beginning of an ARC's ID.
func isPrefix(text string) bool {
	return len(text) >= 4 && len(text) <= 64 && strings.Trim(text, "0123456789abcdef") == ""
}

// fill reads the ARCs that fit and that the viewer may see.
func (c *Console) fill(r *http.Request, l *list) error {
	ctx, only := r.Context(), viewerOf(r).only()
	var err error
	if l.RDIs = only; only == nil {
		if l.RDIs, err = c.o.Data.RDIs(ctx); err != nil {
			return err
		}
	}
	wanted := l.RDIs
	if l.RDI != "" {
		wanted = []string{}
		if slices.Contains(l.RDIs, l.RDI) {
			wanted = append(wanted, l.RDI)
		}
	}
	state := store.GitState("")
	if slices.Contains(l.States, store.GitState(l.State)) {
		state = store.GitState(l.State)
	}
	after, err := store.ParseCursor(r.URL.Query().Get("after"))
	if err != nil {
		after = store.Cursor{} // an old link: the beginning will do
	}
	if len(wanted) == 0 {
		return nil // to the store, no RDIs are all
	}
	if digits := strings.ToLower(l.Query); isPrefix(digits) && after.IsZero() {
		if l.ARCs, err = c.o.Data.ARCsByPrefix(ctx, digits, wanted, pageSize); err != nil {
			return err
		}
		l.ARCs = slices.DeleteFunc(l.ARCs, func(a store.ARC) bool { return state != "" && a.Git.State != state })
	}
	arcs, next, err := c.o.Data.ARCs(ctx, store.ARCFilter{RDIs: wanted, State: state, Text: l.Query, After: after, Limit: pageSize})
	if err != nil {
		return err
	}
	// Years and parts of DOIs read like the beginning of an id, so one does not
	// exclude the other.
	for _, a := range arcs {
		if !slices.ContainsFunc(l.ARCs, func(b store.ARC) bool { return a.ID == b.ID }) {
			l.ARCs = append(l.ARCs, a)
		}
	}
	if !next.IsZero() {
		values := url.Values{"after": {next.String()}}
		for key, value := range map[string]string{"q": l.Query, "rdi": l.RDI, "state": l.State} {
			if value != "" {
				values.Set(key, value)
			}
		}
		l.Next = Path + "/search?" + values.Encode()
	}
	return nil
}

// visible says whether there is an ARC that the viewer may see. One that he
// may not see does not exist for him.
func (c *Console) visible(r *http.Request, id store.ID) error {
	arc, err := c.o.Data.ARC(r.Context(), id)
	if err != nil {
		return err
	}
	if viewer := viewerOf(r); viewer.Operator || slices.Contains(viewer.RDIs, arc.RDI) {
		return nil
	}
	return fault.New(fault.ARCNotFound, nil)
}

// requested gives the ARC that the path names.
func (c *Console) requested(r *http.Request) (store.ID, error) {
	id, err := store.ParseID(r.PathValue("id"))
	if err != nil {
		return id, fault.New(fault.ARCNotFound, err)
	}
	return id, c.visible(r, id)
}

func (c *Console) story(w http.ResponseWriter, r *http.Request) {
	id, err := c.requested(r)
	if err != nil {
		c.failure(w, r, err)
		return
	}
	story, err := report.CollectStory(r.Context(), c.o.Data, id)
	if err != nil {
		c.failure(w, r, err)
		return
	}
	c.show(w, r, http.StatusOK, "story", page{
		Title: "ARC " + story.RDI + "/" + story.Identifier, Story: story, Done: told(w, r),
	})
}
