package httpapi

import (
	"context"
	"net/http"
	"strings"

	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/store"
)

// Visitor is who looks at the console through this interface.
type Visitor struct {
	Client auth.Client
	Actor  store.Actor // for what he does there
}

// Where the console lives, and its stream.
const (
	consolePath = "/console"
	consoleLive = consolePath + "/live"
)

// isConsole says whether a path belongs to the console, if there is one here.
func (a *API) isConsole(path string) bool {
	return a.options.Console != nil && (path == consolePath || strings.HasPrefix(path, consolePath+"/"))
}

// console hands a request of somebody with a certificate to the console, which
// has its own words for errors. Its stream counts among the streams of the API.
func (a *API) console(w *writer) error {
	r := w.request
	w.record.Route = consolePath
	client, err := a.auth.Client(r)
	if err != nil {
		return err
	}
	w.record.ClientID = client.ID
	var cancel context.CancelFunc
	ctx := r.Context()
	if r.URL.Path == consoleLive {
		end, err := a.stream(w)
		if err != nil {
			return err
		}
		defer end()
		ctx, cancel = context.WithCancel(ctx)
		defer context.AfterFunc(a.draining, cancel)()
	} else {
		ctx, cancel = context.WithTimeout(ctx, a.options.Timeout)
	}
	defer cancel()
	by := store.Actor{Subject: client.ID, Fingerprint: client.Fingerprint, RequestID: w.record.RequestID}
	if client.ID == "" {
		by.Subject = "anonymous"
	}
	a.options.Console(w, r.WithContext(ctx), Visitor{Client: client, Actor: by})
	if w.record.Status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return nil
}
