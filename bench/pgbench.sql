-- The rows of :rows submissions of new ARCs, in one statement, as the service
-- writes them: the ARC with its content and the fact that it is due, its event,
-- its line in the audit trail. The content is made once per statement.
\set serial random(1, 1000000000000000)
WITH stored AS (
    INSERT INTO arc (id, rdi, identifier, name, description, content, content_hash, content_size, due_at, event_count)
    SELECT sha256(convert_to(:client_id || '-' || :serial || '-' || i, 'UTF8')), 'bench', 'arc-' || :serial || '-' || i,
        'Trial ' || :serial, 'Yield and water use', frame, sha256(convert_to(:serial || '-' || i, 'UTF8')), 29696, now(), 1
    FROM generate_series(1, :rows) AS i, (SELECT content AS frame FROM bench_frame OFFSET 0) f
    ORDER BY 1
    ON CONFLICT (id) DO NOTHING
    RETURNING id, version, content_hash
), logged AS (
    INSERT INTO event (arc_id, type, message) SELECT id, 'ARC_CREATED', 'ARC first seen' FROM stored
), audited AS (
    INSERT INTO audit (actor, request_id, action, arc_id, rdi, version, detail)
    SELECT 'anonymous', '0123456789abcdef01234567', 'arc.created', id, 'bench', version, encode(content_hash, 'hex') FROM stored
)
SELECT count(*) FROM stored;
