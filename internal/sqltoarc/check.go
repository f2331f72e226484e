package sqltoarc

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// Checked is one thing that a check has looked at.
type Checked struct {
	What     string           `json:"what"`
	OK       bool             `json:"ok"`
	Text     string           `json:"text"`
	Remedy   string           `json:"remedy,omitempty"`
	Findings []source.Finding `json:"findings,omitempty"`
	Err      error            `json:"-"`
}

// expirySoon is when a certificate is worth a warning.
const expirySoon = 30 * 24 * time.Hour

// Check looks at everything that a run needs, changes nothing, and reports all
// of it: the views with their columns and counts, the API, the certificate, the
// right to send for the RDI.
func Check(ctx context.Context, o Options) []Checked {
	o = o.complete()
	checks := checkDatabase(ctx, o)
	checks = append(checks, checkCertificate(o.Upload))
	return append(checks, checkAPI(ctx, o)...)
}

func failedCheck(what string, err error) Checked {
	c := Checked{What: what, Text: err.Error(), Err: err}
	if f, ok := fault.Of(err); ok {
		c.Text, c.Remedy = f.Text, f.Remedy
	}
	return c
}

func checkDatabase(ctx context.Context, o Options) []Checked {
	database, err := source.Open(ctx, o.ConnectionString, o.Schema)
	if err != nil {
		return []Checked{failedCheck("database", err)}
	}
	defer database.Close()
	checks := []Checked{{What: "database", OK: true, Text: "connected to " + database.Dialect().Name}}
	findings, err := database.Resolve(ctx)
	if err != nil {
		return append(checks, failedCheck("views", err))
	}
	views := Checked{What: "views", OK: source.Usable(findings), Findings: findings, Text: "as documented"}
	if len(findings) > 0 {
		views.Text = source.Counted(int64(len(findings)), "finding", "findings")
	}
	if !views.OK {
		views.Err = &fault.Error{Code: CodeViews, Text: "the database does not offer what is needed"}
		return append(checks, views)
	}
	counts, findings, err := database.Inspect(ctx)
	if err != nil {
		return append(checks, views, failedCheck("rows", err))
	}
	rows := Checked{What: "rows", OK: true, Findings: findings}
	parts := make([]string, len(counts))
	for i, c := range counts {
		parts[i] = fmt.Sprintf("%s %d", c.View, c.Rows)
	}
	rows.Text = strings.Join(parts, ", ")
	return append(checks, views, rows)
}

// checkCertificate reads the client certificate as a person would: whose is it,
// and until when.
func checkCertificate(o upload.Options) Checked {
	const what = "client certificate"
	if o.CertFile == "" {
		return Checked{What: what, OK: true, Text: "none is configured"}
	}
	data, err := os.ReadFile(o.CertFile)
	if err != nil {
		return failedCheck(what, err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return failedCheck(what, fmt.Errorf("%s holds no PEM block", o.CertFile))
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return failedCheck(what, err)
	}
	left := time.Until(cert.NotAfter)
	c := Checked{What: what, OK: left > 0, Text: fmt.Sprintf("%s, valid until %s (%s)",
		cert.Subject.CommonName, cert.NotAfter.UTC().Format(time.DateOnly), source.Counted(int64(left.Hours()/24), "day", "days"))}
	if left < expirySoon {
		c.Remedy = "have it renewed"
	}
	if left <= 0 {
		c.Err = &fault.Error{Code: upload.CodeCertificate, Text: "the client certificate has expired"}
	}
	return c
}

func checkAPI(ctx context.Context, o Options) []Checked {
	// A person is waiting: one attempt tells enough.
	o.Upload.MaxRetries = -1
	client, err := upload.New(o.Upload)
	if err != nil {
		return []Checked{failedCheck("API", err)}
	}
	defer client.Close()
	if err := client.Alive(ctx); err != nil {
		return []Checked{failedCheck("API", err)}
	}
	checks := []Checked{{What: "API", OK: true, Text: "answers at " + client.Address()}}
	me, err := client.WhoAmI(ctx)
	if err != nil {
		return append(checks, failedCheck("rights", err))
	}
	name := "anonymous"
	if me.ClientID != nil {
		name = *me.ClientID
	}
	rights := Checked{What: "rights", OK: true, Text: fmt.Sprintf("known as %s; may send for %s", name, strings.Join(me.RDIs, ", "))}
	// The first generation tells the anonymous nothing about RDIs.
	if !slices.Contains(me.RDIs, o.RDI) && (me.ClientID != nil || len(me.RDIs) > 0) {
		rights.OK = false
		rights.Text = fmt.Sprintf("%s may not send for %s, only for: %s", name, o.RDI, strings.Join(me.RDIs, ", "))
		rights.Remedy = "ask the operator of the API for a certificate with this RDI, or correct rdi"
		rights.Err = &fault.Error{Code: upload.CodeDenied, Text: rights.Text}
	}
	return append(checks, rights)
}
