package store

// sqlPlanOnce lets the rest of the transaction be executed as it was planned once, and
// wait for locks no longer than $1.
// PostgreSQL knows the length of a group when it is told the arrays, finds that a
// plan for a few rows looks cheaper than one for any number, and so plans each small
// group anew: that takes longer than to execute it. The plans are the same.
const sqlPlanOnce = `SELECT set_config('plan_cache_mode', 'force_generic_plan', true), set_config('lock_timeout', $1, true)`

// sqlShareLocks shares locks of harvests. $1: keys, in the order of locking.
const sqlShareLocks = `SELECT pg_advisory_xact_lock_shared(k) FROM unnest($1::bigint[]) AS k`

// partAdmitted is the head of both submission statements: which of the
// submissions their harvests admit. $1 ids, $2 RDIs, $3 hashes, $4 harvests.
// Each looks its harvest up by itself: left to choose, PostgreSQL reads all
// members of all harvests until it has been told of sizes, which is after the first
// harvest.
const partAdmitted = `
WITH admitted AS MATERIALIZED (
    SELECT i.n, i.id, i.rdi, i.content_hash, i.harvest, m.arc_id IS NOT NULL AS member,
        CASE WHEN i.harvest IS NULL THEN ''
             WHEN h.id IS NULL THEN 'harvest_not_found'
             WHEN h.rdi <> i.rdi THEN 'harvest_other_rdi'
             WHEN h.status <> 'RUNNING' THEN 'harvest_closed'
             WHEN m.content_hash <> i.content_hash THEN 'harvest_conflict'
             ELSE '' END AS refusal
    FROM unnest($1::bytea[], $2::text[], $3::bytea[], $4::uuid[])
        WITH ORDINALITY AS i(id, rdi, content_hash, harvest, n)
    LEFT JOIN LATERAL (SELECT id, rdi, status FROM harvest WHERE id = i.harvest LIMIT 1) h ON true
    LEFT JOIN LATERAL (SELECT arc_id, content_hash FROM harvest_arc WHERE harvest_id = i.harvest AND arc_id = i.id LIMIT 1) m ON true
)`

// partTouched refreshes ARCs whose content is the submitted one. Those it does
// not know are left alone, unlocked, and come back with known = false. What is
// needed of a submission travels along with its row: PostgreSQL, which cannot
// know how many there are, would join them at the cost of their number squared.
// A locked row is found again by its place, not by its key. One that somebody else has
// changed since the statement began is at a place that the statement cannot see: it counts
// as not known, and whoever sends it learns what is true from sqlPut.
const partTouched = partAdmitted + `,
locked AS MATERIALIZED (
    SELECT arc.ctid AS place, a.n, a.harvest, a.member, a.content_hash, arc.lifecycle IN ('MISSING', 'DELETED') AS lost
    FROM admitted a JOIN arc ON arc.id = a.id AND arc.content_hash = a.content_hash
    WHERE a.refusal = ''
    ORDER BY arc.id
    FOR NO KEY UPDATE OF arc
),
stored AS (
    UPDATE arc SET
        last_seen = now(),
        last_harvest = l.harvest,
        outcome = CASE WHEN l.lost THEN 'restored' ELSE 'unchanged' END,
        event_count = arc.event_count + l.lost::int,
        lifecycle = 'ACTIVE',
        missing_since = NULL
    FROM locked l
    WHERE arc.ctid = l.place
    RETURNING arc.id, arc.outcome, arc.version, arc.lifecycle, arc.first_seen, arc.last_seen, arc.event_count,
        l.n, l.harvest, l.member, l.content_hash, l.lost
),
membership AS (
    INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
    SELECT harvest, id, 'unchanged', content_hash FROM stored WHERE harvest IS NOT NULL AND NOT member
    ORDER BY id
    ON CONFLICT (harvest_id, arc_id) DO UPDATE SET content_hash =
        CASE WHEN harvest_arc.content_hash = excluded.content_hash THEN excluded.content_hash END
),
logged AS (
    INSERT INTO event (arc_id, harvest_id, type, message)
    SELECT id, harvest, 'ARC_RESTORED', 'ARC reappeared after being missing/deleted' FROM stored WHERE lost
)`

// partLog are the newest events of an ARC s before the submission number n, newest
// first. $5 says whose are wanted, $6 how many at most. A new ARC has none.
const partLog = `
LEFT JOIN LATERAL (
    SELECT array_agg(at) AS at, array_agg(type) AS types, array_agg(message) AS messages
    FROM (SELECT at, type, message FROM event
        WHERE arc_id = s.id AND s.outcome <> 'created' AND ($5::boolean[])[n]
        ORDER BY id DESC LIMIT $6::int) newest
) log ON true`

// sqlTouch answers for those that are refused and those that are known.
const sqlTouch = partTouched + `
SELECT n, '', true, outcome, version, lifecycle, first_seen, last_seen, event_count, log.at, log.types, log.messages
FROM stored s` + partLog + `
UNION ALL
SELECT n, refusal, false, '', 0, '', now(), now(), 0, NULL, NULL, NULL FROM admitted WHERE refusal <> ''`

// sqlDiff is sqlTouch with a question about the rest: new or changed? The rest is
// found by NOT IN, which PostgreSQL hashes; a join would be at the cost of the number squared.
const sqlDiff = partTouched + `
SELECT a.n, CASE a.refusal WHEN '' THEN CASE WHEN arc.id IS NULL THEN 'new' ELSE 'changed' END
    WHEN 'harvest_conflict' THEN 'conflict' ELSE a.refusal END
FROM admitted a LEFT JOIN LATERAL (SELECT id FROM arc WHERE id = a.id LIMIT 1) arc ON true
WHERE a.n NOT IN (SELECT n FROM stored)
UNION ALL
SELECT n, 'unchanged' FROM stored`

// sqlPut stores contents: the ARC, the fact that it is due, its membership in
// the harvest, its event and its line in the audit trail are one statement.
//
// Rows come sorted by id, the order in which they are locked. The contents
// stay in their array until a row is written; a sort would copy them.
// If a submission of the same ARC in the same harvest slipped in between and had
// other content, the hash of the membership becomes null, which is not
// allowed: the group fails, and each is tried alone with fresh eyes.
// What became of a row is written into the row itself, because ON CONFLICT
// sees the newest version of it where the rest of the statement does not.
// $7 identifiers, $8 names, $9 descriptions, $10 sizes, $11 contents,
// $12 trace contexts, $13 actors, $14 fingerprints, $15 request ids.
const sqlPut = partAdmitted + `,
stored AS (
    INSERT INTO arc AS arc (id, rdi, identifier, name, description, content, content_hash, content_size,
        first_harvest, last_harvest, changed_in, traceparent, due_at, event_count)
    SELECT o.id, o.rdi, ($7::text[])[o.n], ($8::text[])[o.n], ($9::text[])[o.n], ($11::bytea[])[o.n],
        o.content_hash, ($10::bigint[])[o.n], o.harvest, o.harvest, o.harvest, ($12::text[])[o.n], now(), 1
    FROM (SELECT * FROM admitted WHERE refusal = '' ORDER BY id OFFSET 0) o
    ON CONFLICT (id) DO UPDATE SET
        identifier = excluded.identifier,
        name = excluded.name,
        description = excluded.description,
        -- The same content stays where it is.
        content = CASE WHEN arc.content_hash = excluded.content_hash THEN arc.content ELSE excluded.content END,
        content_hash = excluded.content_hash,
        content_size = CASE WHEN arc.content_hash = excluded.content_hash THEN arc.content_size ELSE excluded.content_size END,
        version = arc.version + (arc.content_hash <> excluded.content_hash)::int,
        outcome = CASE WHEN arc.content_hash <> excluded.content_hash THEN 'updated'
                       WHEN arc.lifecycle IN ('MISSING', 'DELETED') THEN 'restored'
                       ELSE 'unchanged' END,
        event_count = arc.event_count + (arc.content_hash <> excluded.content_hash
                       OR arc.lifecycle IN ('MISSING', 'DELETED'))::int,
        lifecycle = 'ACTIVE',
        missing_since = NULL,
        last_seen = now(),
        last_changed = CASE WHEN arc.content_hash <> excluded.content_hash THEN now() ELSE arc.last_changed END,
        last_harvest = excluded.last_harvest,
        changed_in = CASE WHEN arc.content_hash <> excluded.content_hash THEN excluded.changed_in ELSE arc.changed_in END,
        traceparent = CASE WHEN arc.content_hash <> excluded.content_hash THEN excluded.traceparent ELSE arc.traceparent END,
        -- A push under way records what it pushed and finds that there is more;
        -- if it dies instead, the lease ends at due_at.
        due_at = CASE WHEN arc.content_hash = excluded.content_hash OR arc.lease_holder IS NOT NULL
                      THEN arc.due_at ELSE now() END,
        -- What was wrong with the old content says nothing about the new.
        attempts = CASE WHEN arc.content_hash = excluded.content_hash OR arc.lease_holder IS NOT NULL
                        THEN arc.attempts ELSE 0 END,
        failure_class = CASE WHEN arc.content_hash = excluded.content_hash OR arc.lease_holder IS NOT NULL
                             THEN arc.failure_class ELSE '' END,
        failure_code = CASE WHEN arc.content_hash = excluded.content_hash OR arc.lease_holder IS NOT NULL
                            THEN arc.failure_code ELSE '' END,
        parked = CASE WHEN arc.content_hash = excluded.content_hash OR arc.lease_holder IS NOT NULL
                      THEN arc.parked ELSE false END
    RETURNING arc.id, arc.outcome, arc.version, arc.lifecycle, arc.first_seen, arc.last_seen, arc.event_count
),
membership AS (
    INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
    SELECT a.harvest, a.id,
        CASE s.outcome WHEN 'created' THEN 'new' WHEN 'updated' THEN 'updated' ELSE 'unchanged' END,
        a.content_hash
    FROM stored s JOIN admitted a ON a.id = s.id
    WHERE a.harvest IS NOT NULL AND NOT a.member
    ORDER BY a.id
    ON CONFLICT (harvest_id, arc_id) DO UPDATE SET content_hash =
        CASE WHEN harvest_arc.content_hash = excluded.content_hash THEN excluded.content_hash END
),
logged AS (
    INSERT INTO event (arc_id, harvest_id, type, message)
    SELECT s.id, a.harvest,
        CASE s.outcome WHEN 'created' THEN 'ARC_CREATED' WHEN 'updated' THEN 'ARC_UPDATED' ELSE 'ARC_RESTORED' END,
        CASE s.outcome WHEN 'created' THEN 'ARC first seen' WHEN 'updated' THEN 'ARC content updated'
            ELSE 'ARC reappeared after being missing/deleted' END
    FROM stored s JOIN admitted a ON a.id = s.id WHERE s.outcome <> 'unchanged'
),
audited AS (
    INSERT INTO audit (actor, fingerprint, request_id, action, arc_id, rdi, harvest_id, version, detail)
    SELECT ($13::text[])[a.n], ($14::text[])[a.n], ($15::text[])[a.n], 'arc.' || s.outcome, s.id, a.rdi, a.harvest,
        s.version, encode(a.content_hash, 'hex')
    FROM stored s JOIN admitted a ON a.id = s.id WHERE s.outcome IN ('created', 'updated')
)
SELECT a.n, a.refusal, s.id IS NOT NULL, coalesce(s.outcome, ''), coalesce(s.version, 0), coalesce(s.lifecycle, ''),
    coalesce(s.first_seen, now()), coalesce(s.last_seen, now()), coalesce(s.event_count, 0),
    log.at, log.types, log.messages
FROM admitted a LEFT JOIN stored s ON s.id = a.id` + partLog
