package store

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
)

// ARCFilter chooses ARCs. Zero values do not restrict.
type ARCFilter struct {
	RDIs      []string // of these RDIs only; nil for all, empty for none
	State     GitState
	Code      fault.Code // whose last push failed with it
	Lifecycle Lifecycle
	Harvest   uuid.UUID // brought by this harvest
	Text      string    // occurs in identifier or name, in any case
	After     Cursor    // the page after this one
	Limit     int
}

// Cursor is a place in a list. It is opaque to the outside; its zero value is
// the beginning.
type Cursor struct {
	at time.Time
	id ID
}

// Cursor gives the place behind the ARC in a list by time, which is every list
// but that of a harvest.
func (a *ARC) Cursor() Cursor { return Cursor{at: a.LastChanged, id: a.ID} }

// IsZero says whether the cursor stands at the beginning.
func (c Cursor) IsZero() bool { return c.id == ID{} }

// String gives a form that fits into a URL; empty for the beginning.
func (c Cursor) String() string {
	if c.IsZero() {
		return ""
	}
	b := binary.BigEndian.AppendUint64(nil, uint64(c.at.UnixMicro()))
	return base64.RawURLEncoding.EncodeToString(append(b, c.id[:]...))
}

// ParseCursor reads what String gave.
func ParseCursor(s string) (Cursor, error) {
	if s == "" {
		return Cursor{}, nil
	}
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != 8+32 {
		return Cursor{}, fmt.Errorf("%q is not a place in a list", clip(s))
	}
	return Cursor{at: time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC(), id: ID(b[8:])}, nil
}

// ARCs lists ARCs, those that changed last first, or in a harvest by id. Next
// is the cursor for the next page, zero if this is the last one.
func (s *Store) ARCs(ctx context.Context, f ARCFilter) (arcs []ARC, next Cursor, err error) {
	if f.RDIs == nil {
		if f.RDIs, err = s.RDIs(ctx); err != nil {
			return nil, next, err
		}
	}
	if f.wide() {
		leave, err := s.wide.enter(ctx, "list ARCs")
		if err != nil {
			return nil, next, err
		}
		defer leave()
	}
	arcs, err = read(ctx, s, "list ARCs", scanARC, f.sql(), append([]any{planEachTime}, f.arguments()...)...)
	if err != nil {
		return nil, next, err
	}
	if len(arcs) > f.Limit {
		arcs = arcs[:f.Limit]
		next = arcs[f.Limit-1].Cursor()
	}
	return arcs, next, nil
}

// wide says whether the list may have to look at many more ARCs than it gives: no
// index tells which of them fit.
func (f *ARCFilter) wide() bool {
	return f.Text != "" || f.Lifecycle != "" || f.Code != "" || f.State == Synced || f.Harvest != uuid.Nil && f.State != ""
}

// sql chooses the statement by the index that serves it.
func (f *ARCFilter) sql() string {
	switch {
	case f.Harvest != uuid.Nil:
		return sqlListHarvest
	case f.State != "" && f.State != Synced:
		return sqlListBacklog
	case f.Code != "":
		return sqlListFailed
	}
	return sqlListARCs
}

// arguments asks for one ARC more than wanted, which tells whether there is a
// next page.
func (f *ARCFilter) arguments() []any {
	var at *time.Time
	var id []byte
	if !f.After.IsZero() {
		at, id = &f.After.at, f.After.id[:]
	}
	place := any(at)
	if f.Harvest != uuid.Nil {
		place = f.Harvest
	}
	return []any{f.RDIs, f.Limit + 1, place, id, string(f.State), string(f.Lifecycle), f.Text, string(f.Code)}
}

// The lists by time take the newest of each RDI from the index and merge them.
// $1 RDIs, $2 limit, $3 and $4 cursor, $5 git state, $6 lifecycle, $7 text,
// $8 code of the failure.
const (
	partListMatch = `
        AND ($6::text = '' OR arc.lifecycle = $6::text)
        AND ($7::text = '' OR position(lower($7::text) IN lower(arc.identifier)) > 0
            OR position(lower($7::text) IN lower(arc.name)) > 0)
        AND ($8::text = '' OR arc.failure_code = $8::text)`
	partListPlace = `
        AND (arc.last_changed, arc.id) < (coalesce($3::timestamptz, 'infinity'), coalesce($4::bytea, ''))`
	partListHead = `
SELECT ` + partARCColumns + ` FROM unnest($1::text[]) AS r (rdi) CROSS JOIN LATERAL (
    SELECT * FROM arc WHERE arc.rdi = r.rdi`
	partListTail = `
    ORDER BY arc.last_changed DESC, arc.id DESC LIMIT $2::bigint
) arc ORDER BY arc.last_changed DESC, arc.id DESC LIMIT $2::bigint`

	sqlListARCs = partListHead + partListPlace + partListMatch + `
        AND ($5::text = '' OR arc.git_state = $5::text)` + partListTail
	sqlListBacklog = partListHead + partListPlace + partListMatch + `
        AND arc.git_state = $5::text AND arc.git_state <> 'synced'` + partListTail
	// What has failed is not synced, so the index of the backlog has it.
	sqlListFailed = partListHead + partListPlace + partListMatch + `
        AND ($5::text = '' OR arc.git_state = $5::text) AND arc.git_state <> 'synced'` + partListTail

	// A harvest is listed by id; $3 is the harvest.
	sqlListHarvest = `
SELECT ` + partARCColumns + ` FROM harvest_arc m JOIN arc ON arc.id = m.arc_id
WHERE m.harvest_id = $3 AND m.outcome <> 'missing' AND m.arc_id > coalesce($4::bytea, '') AND arc.rdi = ANY ($1::text[])
        AND ($5::text = '' OR arc.git_state = $5::text)` + partListMatch + `
ORDER BY m.arc_id LIMIT $2::bigint`
)

// ARCsByPrefix lists ARCs of the given RDIs whose id begins with hexadecimal
// digits, by id.
func (s *Store) ARCsByPrefix(ctx context.Context, prefix string, rdis []string, limit int) ([]ARC, error) {
	leave, err := s.wide.enter(ctx, "list ARCs")
	if err != nil {
		return nil, err
	}
	defer leave()
	from, to := prefix+strings.Repeat("0", max(0, 64-len(prefix))), prefix+strings.Repeat("f", max(0, 64-len(prefix)))
	rows, err := s.pool.Query(ctx, sqlARCsByPrefix, planEachTime, from, to, rdis, limit)
	if err != nil {
		return nil, wrap("list ARCs", err)
	}
	list, err := pgx.CollectRows(rows, scanARC)
	return list, wrap("list ARCs", err)
}

const sqlARCsByPrefix = `SELECT ` + partARCColumns + ` FROM arc
WHERE arc.id BETWEEN decode($1::text, 'hex') AND decode($2::text, 'hex') AND arc.rdi = ANY ($3::text[])
ORDER BY arc.id LIMIT $4::bigint`

// RDIs lists the RDIs that have ARCs, by hopping through the index from one to
// the next.
func (s *Store) RDIs(ctx context.Context) ([]string, error) {
	return read(ctx, s, "list RDIs", pgx.RowTo[string], sqlRDIs)
}

const sqlRDIs = `
WITH RECURSIVE hop AS (
    (SELECT rdi FROM arc ORDER BY rdi LIMIT 1)
    UNION ALL
    SELECT (SELECT arc.rdi FROM arc WHERE arc.rdi > hop.rdi ORDER BY arc.rdi LIMIT 1) FROM hop WHERE hop.rdi IS NOT NULL
)
SELECT rdi FROM hop WHERE rdi IS NOT NULL`

// Head is what is recorded of a repository, for comparison with the real one.
type Head struct {
	ID         ID
	RDI        string
	Identifier string
	Commit     string
	RemoteRef  string
	PushedHash Hash
	Hash       Hash
	State      GitState
}

// Heads lists recorded heads by id, those after the given one (the zero ID for
// the beginning), of one RDI or, with "", of all. ARCs that were never pushed
// are listed without Commit.
func (s *Store) Heads(ctx context.Context, rdi string, after ID, limit int) ([]Head, error) {
	return read(ctx, s, "list heads", scanHead, sqlHeads, planEachTime, after[:], rdi, limit)
}

func scanHead(row pgx.CollectableRow) (h Head, err error) {
	var id, pushed, hash []byte
	err = row.Scan(&id, &h.RDI, &h.Identifier, &h.Commit, &h.RemoteRef, &pushed, &hash, &h.State)
	copy(h.ID[:], id)
	copy(h.PushedHash[:], pushed)
	copy(h.Hash[:], hash)
	return h, err
}

const sqlHeads = `
SELECT id, rdi, identifier, commit_id, remote_ref, pushed_hash, content_hash, git_state
FROM arc WHERE id > $1 AND ($2::text = '' OR rdi = $2) ORDER BY id LIMIT $3`
