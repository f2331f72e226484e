package httpapi

import (
	"bytes"
	"encoding/csv"
	"html/template"
	"io"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/store"
)

// receiptWriter writes a receipt in one of its forms.
type receiptWriter interface {
	begin(h harvestAnswer) error
	member(m memberView) error
	refusals() error // what follows are refused submissions
	refusal(e refusalView) error
	end() error
}

// refusalView is a submission that a harvest did not get in.
type refusalView struct {
	ARCID      *string `json:"arc_id"`
	Identifier *string `json:"identifier"`
	Timestamp  string  `json:"timestamp"`
	Code       string  `json:"code"`
	Message    string  `json:"message"`
}

// harvestReceipt is GET /v3/harvests/{harvest_id}/receipt: every outcome, finding,
// commit and missing ARC of a harvest, as JSON, CSV or HTML. It is written as it
// is read, page by page.
func (a *API) harvestReceipt(x *exchange) error {
	kind := negotiate(x.r.Header.Get("Accept"), mediaJSON, "text/csv", "text/html")
	if kind == "" {
		return refuse(codeNotAcceptable, "Accept must be application/json, text/csv or text/html")
	}
	h, err := a.visibleHarvest(x)
	if err != nil {
		return err
	}
	var form receiptWriter
	switch kind {
	case "text/csv":
		form = &csvReceipt{csv.NewWriter(x.w), ingest.HarvestID(h)}
		kind += "; charset=utf-8"
	case "text/html":
		form = &htmlReceipt{x.w}
		kind += "; charset=utf-8"
		x.w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'sha256-"+receiptStyleHash+"'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
		x.w.Header().Set("X-Content-Type-Options", "nosniff")
	default:
		form = &jsonReceipt{w: x.w}
	}
	x.w.Header().Set("Content-Type", kind)
	x.w.Header().Set("Vary", "Accept")
	return abortIfBegun(x.w, a.writeReceipt(x, h, form))
}

func (a *API) writeReceipt(x *exchange, h store.Harvest, form receiptWriter) error {
	if err := form.begin(newHarvestAnswer(h)); err != nil {
		return err
	}
	for m, err := range a.service.Members(x.ctx(), h, store.ID{}) {
		if err == nil {
			err = form.member(newMemberView(m))
		}
		if err != nil {
			return err
		}
	}
	if err := form.refusals(); err != nil {
		return err
	}
	for e, err := range a.service.Refusals(x.ctx(), h) {
		if err == nil {
			err = form.refusal(newRefusalView(e))
		}
		if err != nil {
			return err
		}
	}
	return form.end()
}

func newRefusalView(e store.HarvestError) refusalView {
	v := refusalView{Identifier: optional(e.Identifier), Timestamp: zulu(e.At), Code: string(e.Code), Message: e.Text}
	if e.ARC != (store.ID{}) {
		v.ARCID = optional(e.ARC.String())
	}
	return v
}

// jsonReceipt is one object, written piece by piece.
type jsonReceipt struct {
	w     io.Writer
	comma bool
}

func (j *jsonReceipt) piece(before string, value any) error {
	text, err := appendJSON(value)
	if err == nil {
		_, err = io.WriteString(j.w, before+string(text))
	}
	return err
}

func (j *jsonReceipt) element(value any) error {
	before := ""
	if j.comma {
		before = ","
	}
	j.comma = true
	return j.piece(before, value)
}

func (j *jsonReceipt) begin(h harvestAnswer) error {
	if err := j.piece(`{"harvest":`, h); err != nil {
		return err
	}
	_, err := io.WriteString(j.w, `,"arcs":[`)
	return err
}

func (j *jsonReceipt) member(m memberView) error { return j.element(m) }

func (j *jsonReceipt) refusals() error {
	j.comma = false
	_, err := io.WriteString(j.w, `],"refused":[`)
	return err
}

func (j *jsonReceipt) refusal(e refusalView) error { return j.element(e) }

func (j *jsonReceipt) end() error {
	_, err := io.WriteString(j.w, `]}`)
	return err
}

// csvReceipt has one row for each ARC and each refused submission (RFC 4180).
type csvReceipt struct {
	w       *csv.Writer
	harvest string
}

func (c *csvReceipt) row(fields ...string) error {
	for i, f := range fields {
		// A spreadsheet must not take a text from a crate for a formula.
		if f != "" && strings.ContainsRune("=+-@\t\r", rune(f[0])) {
			fields[i] = "'" + f
		}
	}
	return c.w.Write(fields)
}

func (c *csvReceipt) begin(harvestAnswer) error {
	return c.row("harvest_id", "outcome", "arc_id", "identifier", "name", "arc_hash", "timestamp", "git_state", "in_git", "commit",
		"error_code", "error", "owner", "remedy", "findings")
}

func (c *csvReceipt) member(m memberView) error {
	code, text, owner, remedy := "", "", "", ""
	if f := m.LastError; f != nil {
		code, text, owner, remedy = string(f.Code), f.Text, string(f.Owner), f.Remedy
	}
	return c.row(c.harvest, m.Outcome, m.ARCID, m.Identifier, m.Name, m.Hash, m.Timestamp, m.GitState, strconv.FormatBool(m.InGit), orEmpty(m.Commit),
		code, text, owner, remedy, findingTexts(m.Findings))
}

func findingTexts(findings []store.Finding) string {
	texts := make([]string, len(findings))
	for i, f := range findings {
		texts[i] = f.Severity + " " + f.Code + " " + f.Pointer + ": " + f.Text
	}
	return strings.Join(texts, "\n")
}

func (c *csvReceipt) refusals() error { return nil }

func (c *csvReceipt) refusal(e refusalView) error {
	return c.row(c.harvest, "refused", orEmpty(e.ARCID), orEmpty(e.Identifier), "", "", e.Timestamp, "", "false", "", e.Code, e.Message, "rdi", "", "")
}

func (c *csvReceipt) end() error {
	c.w.Flush()
	return c.w.Error()
}

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// htmlReceipt is a page for people, without script.
type htmlReceipt struct{ w io.Writer }

// receiptStyle is part of the page; the policy names its hash.
const receiptStyle = `body{font:14px/1.5 sans-serif;margin:2em;color:#222}table{border-collapse:collapse;margin:1em 0}` +
	`td,th{border:1px solid #ccc;padding:.2em .6em;text-align:left;vertical-align:top}code{font-size:90%}`

const receiptStyleHash = "V34NKqxAHlzVWgU9hciHBj0hRVm6Wv0zWng7dnsFnY0="

// receiptPage is read when the first one is wanted.
var receiptPage = sync.OnceValue(func() *template.Template {
	return template.Must(template.New("receipt").Parse(`{{define "begin"}}<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>{{.HarvestID}}</title><style>` + receiptStyle + `</style></head><body>
<h1>Harvest of {{.RDI}}: {{.Status}}</h1>
<p><code>{{.HarvestID}}</code>, begun {{.StartedAt}}{{with .CompletedAt}}, ended {{.}}{{end}}</p>
{{with .Message}}<p>{{.}}</p>
{{end}}<table><tr><th>submitted</th><th>new</th><th>updated</th><th>unchanged</th><th>missing</th><th>refused</th></tr>
{{with .Statistics}}<tr><td>{{.Submitted}}</td><td>{{.New}}</td><td>{{.Updated}}</td><td>{{.Unchanged}}</td><td>{{.Missing}}</td><td>{{.Errors}}</td></tr>{{end}}
</table>
<h2>ARCs</h2>
<table><tr><th>outcome</th><th>identifier</th><th>name</th><th>git</th><th>commit</th><th>findings</th></tr>
{{end}}{{define "member"}}<tr><td>{{.Outcome}}</td><td>{{.Identifier}}</td><td>{{.Name}}</td><td>{{.GitState}}{{with .LastError}}: {{.Text}} {{.Remedy}}{{end}}</td><td>{{with .Commit}}<code>{{.}}</code>{{end}}</td><td>{{range .Findings}}{{.Severity}}: {{.Text}} <code>{{.Pointer}}</code> {{.Remedy}}<br>{{end}}</td></tr>
{{end}}{{define "refusals"}}</table>
<h2>Refused</h2>
<table><tr><th>time</th><th>identifier</th><th>reason</th></tr>
{{end}}{{define "refusal"}}<tr><td>{{.Timestamp}}</td><td>{{with .Identifier}}{{.}}{{end}}</td><td>{{.Message}}</td></tr>
{{end}}{{define "end"}}</table>
<p>{{.}}</p>
</body></html>
{{end}}`))
})

func (p *htmlReceipt) part(name string, value any) error {
	var b bytes.Buffer
	if err := receiptPage().ExecuteTemplate(&b, name, value); err != nil {
		return err
	}
	_, err := p.w.Write(b.Bytes())
	return err
}

func (p *htmlReceipt) begin(h harvestAnswer) error { return p.part("begin", h) }
func (p *htmlReceipt) member(m memberView) error   { return p.part("member", m) }
func (p *htmlReceipt) refusals() error             { return p.part("refusals", nil) }
func (p *htmlReceipt) refusal(e refusalView) error { return p.part("refusal", e) }
func (p *htmlReceipt) end() error                  { return p.part("end", zulu(time.Now())) }

// negotiate chooses the offered media type that the Accept header likes best, the
// first one without preferences, or "" if it wants none (RFC 9110 section 12.5.1).
func negotiate(header string, offers ...string) string {
	if strings.TrimSpace(header) == "" {
		return offers[0]
	}
	best, bestQuality := "", 0.0
	for _, offer := range offers {
		quality, exact := 0.0, -1
		for part := range strings.SplitSeq(header, ",") {
			media, parameters, _ := strings.Cut(part, ";")
			if how := matches(strings.ToLower(strings.TrimSpace(media)), offer); how > exact {
				exact, quality = how, qualityOf(parameters)
			}
		}
		if quality > bestQuality {
			best, bestQuality = offer, quality
		}
	}
	return best
}

// matches says how exactly a range names a type: 2 itself, 1 its family, 0 any, -1 not.
func matches(mediaRange, offer string) int {
	family, _, _ := strings.Cut(offer, "/")
	switch mediaRange {
	case offer:
		return 2
	case family + "/*":
		return 1
	case "*/*":
		return 0
	}
	return -1
}

func qualityOf(parameters string) float64 {
	for parameter := range strings.SplitSeq(parameters, ";") {
		name, value, _ := strings.Cut(strings.TrimSpace(parameter), "=")
		if strings.EqualFold(strings.TrimSpace(name), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil || q < 0 {
				return 0
			}
			return min(q, 1)
		}
	}
	return 1
}
