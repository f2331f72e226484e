package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Finding is one thing that the reading of a crate found.
type Finding struct {
	Code     string      `json:"code"`
	Severity string      `json:"severity"` // error, warning or hint
	Pointer  string      `json:"pointer"`  // JSON Pointer into the crate
	Entity   string      `json:"entity"`   // @id
	Text     string      `json:"text"`
	Remedy   string      `json:"remedy"`
	Owner    fault.Owner `json:"owner"`
}

// Severities of findings that count.
const (
	SeverityError   = "error"
	SeverityWarning = "warning"
)

// Report is what the reading of one content of an ARC found.
type Report struct {
	Hash     Hash // of the content
	At       time.Time
	Findings []Finding
}

// SetReport replaces the report of an ARC, and tells of it in the ARC's log:
// one event for errors and one for warnings, unless the same report is there
// already. It does nothing if the ARC has other content by now.
func (s *Store) SetReport(ctx context.Context, arc ID, hash Hash, findings []Finding) error {
	findings = append([]Finding{}, findings...)
	for i := range findings {
		f := &findings[i]
		f.Pointer, f.Entity, f.Text, f.Remedy = storable(f.Pointer), storable(f.Entity), storable(f.Text), storable(f.Remedy)
	}
	text, err := json.Marshal(findings)
	if err != nil {
		return fmt.Errorf("keep report: %w", err)
	}
	return s.tx(ctx, "keep report", func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, sqlSetReport, arc[:], hash[:], text)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		for _, e := range summary(findings) {
			if _, err := tx.Exec(ctx, sqlAddEvent, arc[:], e.Type, e.Message); err != nil {
				return err
			}
		}
		return nil
	})
}

// storable gives a text as PostgreSQL can hold it: what quotes a crate is recorded whatever is in it.
func storable(text string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\uFFFD"), "\x00", "\uFFFD")
}

// summary words the events of a report.
func summary(findings []Finding) (events []Event) {
	for _, k := range []struct{ severity, kind, noun string }{
		{SeverityError, EventValidationError, "error"},
		{SeverityWarning, EventValidationWarning, "warning"},
	} {
		n, first := 0, ""
		for _, f := range findings {
			if f.Severity != k.severity {
				continue
			}
			if n++; n == 1 {
				first = f.Text
			}
		}
		switch n {
		case 0:
		case 1:
			events = append(events, Event{Type: k.kind, Message: first})
		default:
			events = append(events, Event{Type: k.kind, Message: fmt.Sprintf("%d %ss; the first: %s", n, k.noun, first)})
		}
	}
	return events
}

const sqlSetReport = `
INSERT INTO report AS report (arc_id, content_hash, findings)
SELECT id, $2, $3::jsonb FROM arc WHERE id = $1 AND content_hash = $2
ON CONFLICT (arc_id) DO UPDATE SET content_hash = excluded.content_hash, findings = excluded.findings, at = now()
WHERE report.content_hash <> excluded.content_hash OR report.findings <> excluded.findings`

// Report gives the newest report of an ARC; its Hash is zero if the ARC has
// not been looked at.
func (s *Store) Report(ctx context.Context, arc ID) (Report, error) {
	var r Report
	var hash []byte
	err := s.readOne(ctx, []any{&hash, &r.At, &r.Findings}, sqlReport, arc[:])
	if isNoRows(err) {
		return Report{}, nil
	}
	copy(r.Hash[:], hash)
	return r, wrap("read report", err)
}

const sqlReport = `SELECT content_hash, at, findings FROM report WHERE arc_id = $1`
