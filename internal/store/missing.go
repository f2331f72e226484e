package store

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
)

// markMissing looks for ARCs of the RDI that the harvest did not bring and
// that nobody else has brought since it began. New ones become MISSING, those
// that have been missing for longer than the grace period DELETED, if wanted.
// Those stay as they are of which the harvester knows that they are still there:
// it names them, or has tried to bring them and was refused.
// If marking would concern too large a share of the RDI's ARCs, nothing is marked
// and the harvest says so, and so it does if the harvester knows that it was not whole.
func markMissing(ctx context.Context, tx pgx.Tx, h *Harvest, o EndOptions) error {
	if o.KeepMissing {
		h.Guarded = true
		h.Note = "The harvester could not bring all that it found: nothing was marked as missing."
		return nil
	}
	limit := o.MissingLimit
	if limit == 0 {
		limit = defaultMissingLimit
	}
	limit = max(0, limit)
	keep := make([][]byte, len(o.Keep))
	for i := range o.Keep {
		keep[i] = o.Keep[i][:]
	}
	var all, unseen, marks, kept int64
	err := tx.QueryRow(ctx, sqlCountUnseen, planEachTime, h.ID, h.RDI, h.StartedAt, o.MarkDeleted, o.GracePeriod, keep).Scan(&all, &unseen, &marks, &kept)
	if err != nil {
		return err
	}
	if kept > 0 {
		h.Note = fmt.Sprintf("ARCs of RDI %s that were not brought but stay as they are, because they are still at the source: %d. "+
			"The harvester could not bring them, or they were refused.", h.RDI, kept)
	}
	// A quotient of whole numbers is the number that is nearest to it, as the limit is; a product need not be.
	if marks > 0 && float64(marks)/float64(all) > limit {
		h.Guarded = true
		h.Note = fmt.Sprintf("%d of the %d ARCs of RDI %s were not seen, more than %g %%: none was marked as missing. "+
			"If they are really gone, delete them at the RDI in smaller steps or ask the operator.", unseen, all, h.RDI, math.Round(limit*1e4)/100)
		return nil
	}
	if unseen == 0 {
		return nil
	}
	tag, err := tx.Exec(ctx, sqlMarkUnseen, planEachTime, h.ID, h.RDI, h.StartedAt, o.MarkDeleted, o.GracePeriod, keep, "harvest-"+h.ID.String())
	if err != nil {
		return err
	}
	h.Statistics.Missing = tag.RowsAffected()
	return nil
}

// What both statements look at, of an ARC that is not deleted. $1 harvest, $2
// RDI, $3 its beginning, $4 whether to mark as deleted, $5 grace period, $6 ARCs
// that the harvester names. Only
// ARCs that have not been seen since the beginning are looked up among the
// members, each by itself: OFFSET keeps PostgreSQL from joining them with the
// members, of which it believes that there is one, because they are new, so
// that it would go through all of them for every ARC.
const (
	partUnseen = `
    arc.last_seen < $3 AND NOT EXISTS (SELECT FROM harvest_arc m WHERE m.harvest_id = $1 AND m.arc_id = arc.id OFFSET 0)`
	partMark = `
    CASE WHEN arc.lifecycle <> 'MISSING' THEN 'MISSING'
        WHEN $4::boolean AND arc.missing_since < now() - $5::interval THEN 'DELETED' END`
	// Two sets that PostgreSQL hashes once.
	partKept = `
    (arc.id IN (SELECT unnest($6::bytea[]))
        OR arc.id IN (SELECT e.arc_id FROM harvest_error e WHERE e.harvest_id = $1 AND e.arc_id IS NOT NULL))`
)

// The ARCs of the RDI are read once, for all counts.
const sqlCountUnseen = `
SELECT count(*), count(*) FILTER (WHERE unseen AND NOT kept), count(mark) FILTER (WHERE unseen AND NOT kept),
    count(mark) FILTER (WHERE unseen AND kept)
FROM (
    SELECT` + partUnseen + ` AS unseen,` + partKept + ` AS kept,` + partMark + ` AS mark
    FROM arc WHERE arc.rdi = $2 AND arc.lifecycle <> 'DELETED' OFFSET 0
) a`

// An ARC that is submitted while the statement waits for its row is seen after
// all: the lock reads the row anew. The arrays keep PostgreSQL, which cannot
// know how many are unseen, from joining them with the whole table.
const sqlMarkUnseen = `
WITH unseen AS MATERIALIZED (
    SELECT arc.id,` + partMark + ` AS mark
    FROM arc WHERE arc.rdi = $2 AND arc.lifecycle <> 'DELETED' AND` + partUnseen + ` AND NOT` + partKept + `
    ORDER BY arc.id FOR NO KEY UPDATE OF arc
),
marked AS (
    UPDATE arc SET
        lifecycle = coalesce(u.mark, arc.lifecycle),
        missing_since = coalesce(arc.missing_since, now()),
        event_count = arc.event_count + CASE WHEN u.mark IS NULL THEN 1 ELSE 2 END
    FROM unnest(ARRAY(SELECT id FROM unseen), ARRAY(SELECT mark FROM unseen)) AS u(id, mark) WHERE arc.id = u.id
    RETURNING arc.id, u.mark, arc.content_hash
),
logged AS (
    INSERT INTO event (arc_id, harvest_id, type, message)
    SELECT id, $1, type, message FROM (
        SELECT id, 1 AS n, 'ARC_NOT_SEEN' AS type, 'ARC not seen in ' || $7::text AS message FROM marked
        UNION ALL
        SELECT id, 2, 'ARC_MARKED_' || mark,
            CASE mark WHEN 'MISSING' THEN 'ARC marked as missing' ELSE 'ARC marked as deleted, missing for longer than the grace period' END
        FROM marked WHERE mark IS NOT NULL
    ) e ORDER BY id, n
)
INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
SELECT $1, id, 'missing', content_hash FROM marked`
