package httpapi

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
)

// textInternal is all a client learns of a mistake of ours.
const textInternal = "Internal Server Error. Please contact support if the problem persists."

// Codes of what only this package can find wrong with a request.
const (
	codeNotAcceptable fault.Code = "not_acceptable"
	codeMediaType     fault.Code = "media_type"
	codeUnparseable   fault.Code = "body_unparseable"
	codeTooLarge      fault.Code = "body_too_large"
	codeTooSlow       fault.Code = "body_too_slow"
	codeBroken        fault.Code = "body_broken"
	codeOverloaded    fault.Code = "overloaded"
	codeSingleARC     fault.Code = "single_arc"
	codeNotFound      fault.Code = "not_found"
)

// statuses maps the code of a fault to the status of its answer. What is not
// listed is our mistake: 500, and its text stays in the log.
var statuses = map[fault.Code]int{
	auth.CodeCertificateMissing:    http.StatusUnauthorized,
	auth.CodeCertificateUnverified: http.StatusUnauthorized,
	auth.CodeCertificateUnreadable: http.StatusBadRequest,
	auth.CodeCertificateNameless:   http.StatusBadRequest,
	auth.CodeRDIUnknown:            http.StatusBadRequest,
	auth.CodeRDIForbidden:          http.StatusForbidden,

	codeNotAcceptable: http.StatusNotAcceptable,
	codeMediaType:     http.StatusUnsupportedMediaType,
	codeUnparseable:   http.StatusBadRequest,
	codeTooLarge:      http.StatusRequestEntityTooLarge,
	codeTooSlow:       http.StatusRequestTimeout,
	codeBroken:        http.StatusBadRequest,
	codeOverloaded:    http.StatusServiceUnavailable,
	codeSingleARC:     http.StatusBadRequest,
	codeNotFound:      http.StatusNotFound,

	fault.StoreUnavailable: http.StatusServiceUnavailable,
	fault.StoreTimeout:     http.StatusServiceUnavailable,
	fault.StoreFull:        http.StatusServiceUnavailable,
	fault.StoreStandby:     http.StatusServiceUnavailable,
	fault.StoreSchema:      http.StatusServiceUnavailable,
	fault.StoreAccess:      http.StatusServiceUnavailable,
	fault.StorePooler:      http.StatusServiceUnavailable,
	fault.StoreRejected:    http.StatusUnprocessableEntity,

	fault.ARCNotFound:       http.StatusNotFound,
	fault.ARCInvalid:        http.StatusUnprocessableEntity,
	fault.HarvestNotFound:   http.StatusNotFound,
	fault.HarvestNotYours:   http.StatusForbidden,
	fault.HarvestClosed:     http.StatusConflict,
	fault.HarvestConflict:   http.StatusConflict,
	fault.HarvestTransition: http.StatusConflict,
	fault.HarvestOtherRDI:   http.StatusUnprocessableEntity,
	fault.TaskNotFound:      http.StatusNotFound,
}

// unavailable is what a client may retry: told in the words it knows, because
// the operator's reasons are none of its business.
const textUnavailable = "Service temporarily unavailable"

// detail is the body of every refusal but those of validation.
type detail struct {
	Detail string `json:"detail"`
}

// invalidBody is the body of a refusal that says what is wrong where.
type invalidBody struct {
	Detail wire.Errors `json:"detail"`
}

func refuse(code fault.Code, text string) error {
	return &fault.Error{Code: code, Text: text, Owner: fault.OwnerRDI}
}

// statusOf gives status and public text for an error.
func statusOf(err error) (int, string) {
	if h, ok := errors.AsType[*echo.HTTPError](err); ok {
		return h.Code, http.StatusText(h.Code)
	}
	f, ok := fault.Of(err)
	if !ok {
		if errors.Is(err, context.DeadlineExceeded) {
			return http.StatusServiceUnavailable, textUnavailable
		}
		return http.StatusInternalServerError, textInternal
	}
	status, ok := statuses[f.Code]
	switch {
	case !ok:
		return http.StatusInternalServerError, textInternal
	case status == http.StatusServiceUnavailable:
		return status, textUnavailable
	}
	return status, f.Text
}

// fail answers with an error and writes down what only the operator may know.
func (a *API) fail(w *writer, err error) {
	if invalid, ok := errors.AsType[wire.Errors](err); ok {
		_ = writeJSON(w, http.StatusUnprocessableEntity, invalidBody{invalid})
		return
	}
	status, text := statusOf(err)
	if w.request.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // the client is gone
	}
	if status >= http.StatusInternalServerError && fault.CodeOf(err) != codeOverloaded {
		a.report(w, status, err)
	}
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(a.retryAfter(err)))
	}
	if code := fault.CodeOf(err); code != "" && status != http.StatusInternalServerError {
		w.Header().Set("X-Error-Code", string(code))
	}
	_ = writeJSON(w, status, detail{text})
}

// outageSilence is for how long further requests that fail for the same outage are
// only counted: a line for each would bury the first.
const outageSilence = time.Minute

// report writes down what only the operator may know. Mistakes of ours are told one by one.
func (a *API) report(w *writer, status int, err error) {
	var silent int64
	if status == http.StatusServiceUnavailable {
		now := int64(time.Since(a.began)) + 1 // not the time of day: a clock that is set back would silence us
		last := a.outage.told.Load()
		if last != 0 && now-last < int64(outageSilence) || !a.outage.told.CompareAndSwap(last, now) {
			a.outage.silent.Add(1)
			return
		}
		silent = a.outage.silent.Swap(0)
	}
	remedy := ""
	if f, ok := fault.Of(err); ok {
		remedy = f.Remedy
	}
	r := w.request
	a.log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path,
		"request_id", w.record.RequestID, "status", status, "more_since_last", silent, "error", err, "remedy", remedy)
}

// retryAfter gives seconds: at least what the fault asks for, and spread, so
// that refused clients do not come back all at once.
func (a *API) retryAfter(err error) int {
	jitter := a.jitter(a.options.RetryAfter)
	f, ok := fault.Of(err)
	if !ok || f.RetryAfter == 0 {
		return jitter
	}
	return int(math.Ceil(f.RetryAfter.Seconds())) + jitter - 1
}

// overloaded is the refusal of a request that there is no room for.
func overloaded() error {
	return &fault.Error{Code: codeOverloaded, Text: textUnavailable, Owner: fault.OwnerNobody}
}
