package main

import (
	"context"
	"net/http"
	"slices"

	"github.com/fairagro/middleware-api/internal/console"
	"github.com/fairagro/middleware-api/internal/httpapi"
)

type visitorKey struct{}

// visit lets those who come over HTTP look at a console.
func visit(page http.Handler) func(http.ResponseWriter, *http.Request, httpapi.Visitor) {
	return func(w http.ResponseWriter, r *http.Request, v httpapi.Visitor) {
		page.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), visitorKey{}, v)))
	}
}

// certifiedViewer gives who looks at the console over HTTP. Operators are those
// whose certificates are listed or have the extension of operators; a request without a certificate is never one of
// them, even where none is asked for.
func certifiedViewer(operators []string) func(*http.Request) (console.Viewer, bool) {
	return func(r *http.Request) (console.Viewer, bool) {
		v, ok := r.Context().Value(visitorKey{}).(httpapi.Visitor)
		if !ok {
			return console.Viewer{}, false
		}
		operator := v.Client.ID != "" &&
			(v.Client.Operator || slices.Contains(operators, v.Client.ID) || slices.Contains(operators, "sha256:"+v.Client.Fingerprint))
		return console.Viewer{Actor: v.Actor, Operator: operator, RDIs: v.Client.RDIs()}, true
	}
}
