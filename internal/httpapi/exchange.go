package httpapi

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
	"github.com/fairagro/middleware-api/internal/store"
)

// exchange is one request on its way through a route.
type exchange struct {
	api    *API
	w      *writer
	r      *http.Request
	until  context.Context //nolint:containedctx // of the request, which ends when the answer is due; a copy of the request costs more
	echo   echo.Context
	client auth.Client
	body   jsondoc.Value // the zero value for an absent body

	doc     *jsondoc.Doc
	release func()
}

// serve does what every route has in common, in the documented order.
func (a *API) serve(rt *route, c echo.Context) error {
	r := c.Request()
	x := &exchange{api: a, w: c.Response().Writer.(*writer), r: r, until: r.Context(), echo: c, release: func() {}}
	defer x.close()
	x.w.record.Route = rt.pattern
	bulk := rt.checks&bulkBody != 0 && isNDJSON(x.r.Header.Get("Content-Type"))
	if rt.checks&jsonBody != 0 && !bulk {
		if err := x.readJSON(); err != nil {
			return err
		}
	}
	if rt.checks&(stream|instant) == 0 && !bulk {
		// The time for an answer begins when everything has been asked; a body has
		// a time of its own.
		ctx, cancel := context.WithTimeout(x.until, a.options.Timeout)
		defer cancel()
		x.until = ctx
	}
	if rt.checks&certificate != 0 {
		client, err := a.auth.Client(x.r)
		if err != nil {
			return err
		}
		x.client = client
		x.w.record.ClientID = client.ID
	}
	if rt.checks&contentType != 0 {
		if err := checkContentType(x.r.Header); err != nil {
			return err
		}
	}
	if rt.checks&accept != 0 {
		if err := checkAccept(x.r.Header); err != nil {
			return err
		}
	}
	return rt.handle(a, x)
}

func (x *exchange) close() {
	if x.doc != nil {
		x.doc.Release()
	}
	x.release()
}

func (x *exchange) ctx() context.Context { return x.until }

// memory is the client's share of the memory for documents.
func (x *exchange) memory() share { return x.api.bodies.of(x.api.admissionKey(x.r)) }

func (x *exchange) param(name string) string { return x.echo.Param(name) }

// json sends the answer.
func (x *exchange) json(status int, value any) error { return writeJSON(x.w, status, value) }

// query gives the last value of a query parameter. What is not encoded as it should be counts
// as it is: a filter or a wish of the client must not get lost.
func (x *exchange) query(name string) (value string, ok bool) {
	for pair := range strings.SplitSeq(x.r.URL.RawQuery, "&") {
		key, text, _ := strings.Cut(pair, "=")
		if unescapeQuery(key) == name {
			value, ok = unescapeQuery(text), true
		}
	}
	return value, ok
}

func unescapeQuery(s string) string { return auth.Unescape(strings.ReplaceAll(s, "+", " ")) }

// readJSON reads and parses the body. A body of another kind is a text.
func (x *exchange) readJSON() error {
	body, release, err := x.api.readBody(x.w, x.r)
	x.release = release
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	if !isJSON(x.r.Header.Get("Content-Type")) {
		body = jsondoc.AppendString(nil, strings.ToValidUTF8(string(body), "\uFFFD"))
	}
	doc, err := jsondoc.Parse(body)
	if err != nil {
		return parseError(err)
	}
	x.doc, x.body = doc, doc.Root()
	return nil
}

// caller is the client as the rules of ingest know it.
func (x *exchange) caller() ingest.Caller {
	actor := store.Actor{Subject: x.client.ID, Fingerprint: x.client.Fingerprint, RequestID: x.w.record.RequestID}
	if x.client.ID == "" {
		actor.Subject = "anonymous"
		return ingest.Caller{Actor: actor}
	}
	return ingest.Caller{ClientID: &x.client.ID, Actor: actor}
}

// authorize says whether the client may speak for the RDI.
func (x *exchange) authorize(rdi string) error {
	x.w.record.RDI = rdi
	return x.client.Authorize(rdi)
}

// preferredWait gives how long the client would like to wait for git (RFC 7240),
// within what an answer may take.
func (x *exchange) preferredWait() time.Duration {
	for _, value := range x.r.Header.Values("Prefer") {
		for preference := range strings.SplitSeq(value, ",") {
			name, seconds, _ := strings.Cut(strings.TrimSpace(preference), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			n, err := strconv.Atoi(strings.TrimSpace(seconds))
			if err != nil || n <= 0 {
				return 0
			}
			x.w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(n))
			return min(time.Duration(min(n, 3600))*time.Second, x.api.options.Timeout*4/5)
		}
	}
	return 0
}

// awaitGit waits as long as the client prefers until the ARCs are in git or have
// failed to get there, and says whether all are in git. A preference may be passed over,
// and is when too many wait already: each of them holds a place.
func (x *exchange) awaitGit(arcs []*ingest.Accepted) bool {
	wait := x.preferredWait()
	if wait == 0 {
		return false
	}
	waits := x.api.waits.of(x.api.admissionKey(x.r))
	if !waits.take(1, true) {
		x.w.Header().Del("Preference-Applied")
		return false
	}
	defer waits.give(1)
	x.w.record.Paced = true
	ctx, cancel := context.WithTimeout(x.ctx(), wait)
	defer cancel()
	stop := context.AfterFunc(x.api.draining, cancel)
	defer stop()
	all := true
	for _, accepted := range arcs {
		arc, err := x.api.service.AwaitGit(ctx, accepted.ID)
		all = all && err == nil && arc.Git.State == store.Synced
	}
	return all
}

func parseError(err error) error {
	if syntax, ok := errors.AsType[*jsondoc.SyntaxError](err); ok {
		return wire.Invalid(syntax)
	}
	return refuse(codeUnparseable, "There was an error parsing the body")
}

// stamp is the spelling of times in the answers about ARCs: an offset and a Z.
func stamp(t time.Time) string { return isoTime(t) + "+00:00Z" }

// zulu is the spelling of times elsewhere.
func zulu(t time.Time) string { return isoTime(t) + "Z" }

// isoTime gives UTC with six digits of a second, none if they are all zero.
func isoTime(t time.Time) string {
	t = t.UTC().Truncate(time.Microsecond)
	if t.Nanosecond() == 0 {
		return t.Format("2006-01-02T15:04:05")
	}
	return t.Format("2006-01-02T15:04:05.000000")
}

// optional gives nil for an empty text, which is JSON null.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
