package httpapi

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"
)

// checks are what is looked at before a route's own work, always in the order
// body, certificate, Content-Type, Accept.
type checks uint8

const (
	jsonBody checks = 1 << iota // the body is read, and parsed if it claims to be JSON
	certificate
	contentType
	accept
	bulkBody // a body of lines is not read beforehand, whatever jsonBody says
	stream   // the answer may rightly take long
	instant  // the answer asks nobody, so there is nothing to limit
)

// route is one operation. Order matters: the first one of a path lends its
// method to the Allow header.
type route struct {
	method  string
	pattern string // as in OpenAPI: /v3/arcs/{arc_id}
	checks  checks
	handle  func(*API, *exchange) error
}

// echoPath gives the pattern as Echo spells it.
func (r *route) echoPath() string {
	return strings.ReplaceAll(strings.ReplaceAll(r.pattern, "{", ":"), "}", "")
}

// matches says whether a decoded path fits the pattern; a parameter stands for
// one segment that is not empty.
func (r *route) matches(path string) bool {
	pattern := r.pattern
	for {
		want, restOfPattern, moreWanted := strings.Cut(pattern, "/")
		segment, restOfPath, more := strings.Cut(path, "/")
		fits := want == segment
		if strings.HasPrefix(want, "{") {
			fits = segment != ""
		}
		if !fits || more != moreWanted {
			return false
		}
		if !more {
			return true
		}
		pattern, path = restOfPattern, restOfPath
	}
}

// operation is a method on a path.
type operation struct{ method, path string }

// fixed are the operations without parameters, which most requests are for.
func fixed(routes []route) map[operation]bool {
	all := map[operation]bool{}
	for i := range routes {
		if !strings.Contains(routes[i].pattern, "{") {
			all[operation{routes[i].method, routes[i].pattern}] = true
		}
	}
	return all
}

// find looks a path up: whether method and path fit a route, and otherwise the
// method of the first route of that path, "" without one.
func find(routes []route, method, path string) (found bool, allow string) {
	for i := range routes {
		if !routes[i].matches(path) {
			continue
		}
		if routes[i].method == method {
			return true, ""
		}
		if allow == "" {
			allow = routes[i].method
		}
	}
	return false, allow
}

// dispatch hands a request to its route, and answers what no route is for as the
// framework of the old service does: 405 with the first method, 307 to the path with
// or without the last slash, or 404. Paths are compared decoded, so an encoded slash
// separates segments.
func (a *API) dispatch(w *writer) error {
	r := w.request
	r.URL.RawPath = ""
	path := r.URL.Path
	if a.isConsole(path) {
		return a.console(w)
	}
	found, allow := a.fixed[operation{r.Method, path}], ""
	if !found {
		found, allow = find(a.routes, r.Method, path)
	}
	if found {
		a.echo.ServeHTTP(w, r)
		return nil
	}
	if allow != "" {
		w.Header().Set("Allow", allow)
		return echo.NewHTTPError(http.StatusMethodNotAllowed)
	}
	if path != "/" {
		other := path + "/"
		if strings.HasSuffix(path, "/") {
			other = strings.TrimRight(path, "/")
		}
		if found, allow := find(a.routes, r.Method, other); found || allow != "" {
			a.redirect(w, other)
			return nil
		}
	}
	return echo.NewHTTPError(http.StatusNotFound)
}

func (a *API) redirect(w *writer, path string) {
	r := w.request
	target := url.URL{Scheme: a.auth.Scheme(r), Host: r.Host, Path: path, RawQuery: r.URL.RawQuery}
	h := w.Header()
	h.Set("Location", target.String())
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusTemporaryRedirect)
}
