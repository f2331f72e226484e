package httpapi

import (
	"errors"
	"net/http"
	"runtime"
	"strconv"
	"strings"

	"github.com/fairagro/middleware-api/internal/convert"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/rocrate/jsondoc"
	"github.com/fairagro/middleware-api/internal/rocrate/wire"
	"github.com/fairagro/middleware-api/internal/store"
)

// reportAnswer is what the reading of a crate found. Valid means that the crate
// becomes an ARC; warnings tell what is lost on the way.
type reportAnswer struct {
	Valid      bool            `json:"valid"`
	ARCID      *string         `json:"arc_id"`
	Identifier *string         `json:"identifier"`
	Hash       *string         `json:"arc_hash"`
	CheckedAt  *string         `json:"checked_at,omitempty"`
	Errors     int             `json:"errors"`
	Warnings   int             `json:"warnings"`
	Findings   []store.Finding `json:"findings"`
}

func newReport(findings []store.Finding) reportAnswer {
	out := reportAnswer{Valid: true, Findings: findings}
	if findings == nil {
		out.Findings = []store.Finding{}
	}
	for _, f := range findings {
		switch f.Severity {
		case store.SeverityError:
			out.Errors++
			out.Valid = false
		case store.SeverityWarning:
			out.Warnings++
		}
	}
	return out
}

func storeFindings(findings []rocrate.Finding) []store.Finding {
	out := make([]store.Finding, len(findings))
	for i, f := range findings {
		out[i] = store.Finding(f)
	}
	return out
}

// validateARC is POST /v3/arcs/validate.
func (a *API) validateARC(x *exchange) error {
	var check wire.Checker
	if !check.Body(x.body) {
		return check.Err()
	}
	loc := wire.Loc{"body"}
	rdi := ""
	if x.body.Member("rdi").Exists() {
		rdi = check.String(x.body, loc, "rdi")
	}
	crate, ok := check.Required(x.body, loc, "arc")
	if ok && crate.Kind() != jsondoc.Object {
		check.Object(crate, loc.With("arc"))
	}
	if err := check.Err(); err != nil {
		return err
	}
	if x.body.Member("rdi").Exists() {
		if err := x.authorize(rdi); err != nil {
			return err
		}
	}
	return x.validate(crate, rdi)
}

// validate runs what a submission and a push would run, and stores nothing.
func (x *exchange) validate(crate jsondoc.Value, rdi string) error {
	payload, err := rocrate.ScanValue(crate, nil)
	document := payload.Document
	if err != nil {
		document = crate.Raw()
	}
	result, failed := x.convert(func() ([]byte, error) { return document, nil })
	if failed != nil {
		return failed
	}
	findings := append(payloadFindings(err), storeFindings(result.Findings)...)
	out := newReport(findings)
	if err == nil {
		hash := store.Hash(payload.Hash)
		out.Identifier, out.Hash = &payload.Identifier, optional(hash.String())
		if rdi != "" {
			id := store.ID(rocrate.Identity(payload.Identifier, rdi))
			out.ARCID = optional(id.String())
		}
	}
	return x.json(http.StatusOK, out)
}

// conversions is how many may run at a time: each takes a processor, and about three
// times the document in memory, of which there shall be no more than for bodies.
func conversions(o Options) int {
	return int(max(1, min(int64(runtime.GOMAXPROCS(0)), o.MaxBodiesMemory/(3*o.MaxBody))))
}

// convert reads a document and converts it, when its turn has come.
func (x *exchange) convert(read func() ([]byte, error)) (convert.Result, error) {
	select {
	case x.api.converts <- struct{}{}:
		defer func() { <-x.api.converts }()
	case <-x.ctx().Done():
		return convert.Result{}, x.ctx().Err()
	}
	document, err := read()
	if err != nil {
		return convert.Result{}, err
	}
	return convert.Crate(document), nil
}

// payloadFindings are the reasons for which an upload would be refused at once.
func payloadFindings(err error) []store.Finding {
	errs, ok := errors.AsType[wire.Errors](err)
	if !ok {
		return nil
	}
	out := make([]store.Finding, len(errs))
	for i, e := range errs {
		out[i] = store.Finding{
			Code: "payload-" + strings.ReplaceAll(e.Type, "_", "-"), Severity: store.SeverityError, Pointer: pointer(e.Loc),
			Text: e.Msg, Remedy: "correct the crate; it would be refused with status 422", Owner: fault.OwnerRDI,
		}
	}
	return out
}

// pointer makes a JSON Pointer (RFC 6901) of a place.
func pointer(loc wire.Loc) string {
	var b strings.Builder
	for _, step := range loc {
		b.WriteByte('/')
		switch step := step.(type) {
		case string:
			b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(step))
		case int:
			b.WriteString(strconv.Itoa(step))
		}
	}
	return b.String()
}

// onlyValidate says whether the client wants to know what would happen.
func (x *exchange) onlyValidate() (bool, error) {
	q := x.newQuery()
	mode := q.enum("validate", "only")
	return mode == "only", q.err()
}

// linesAreStored refuses to only validate lines: who asks for that must not find
// them stored.
func (x *exchange) linesAreStored() error {
	q := x.newQuery()
	q.add("validate", "value_error", "Value error, only single crates can be validated without being stored", "only", `{"error":{}}`)
	return q.err()
}

// strict refuses a crate that would be stored and never become an ARC, where the
// operator wants that.
func (x *exchange) strict(document []byte, loc wire.Loc) error {
	if !x.api.options.Strict {
		return nil
	}
	result, err := x.convert(func() ([]byte, error) { return document, nil })
	if err != nil {
		return err
	}
	var errs wire.Errors
	for _, f := range result.Errors() {
		place := loc
		for token := range strings.SplitSeq(strings.TrimPrefix(f.Pointer, "/"), "/") {
			if token == "" {
				continue
			}
			if n, err := strconv.Atoi(token); err == nil {
				place = place.With(n)
				continue
			}
			place = place.With(strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
		}
		ctx, err := appendJSON(f)
		if err != nil {
			return err
		}
		errs = append(errs, wire.Error{Type: "arc_invalid", Loc: place, Msg: f.Text, Ctx: ctx})
	}
	if len(errs) == 0 {
		return nil
	}
	return errs
}
