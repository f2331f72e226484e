-- +goose Up

-- A harvest: one run of a harvester over the datasets of an RDI.
CREATE TABLE harvest (
    id                uuid        PRIMARY KEY,
    rdi               text        NOT NULL,
    client_id         text,
    status            text        NOT NULL DEFAULT 'RUNNING'
                                  CHECK (status IN ('RUNNING', 'COMPLETED', 'FAILED', 'CANCELLED')),
    expected_datasets bigint,
    started_at        timestamptz NOT NULL DEFAULT now(),
    completed_at      timestamptz,
    note              text        NOT NULL DEFAULT '',
    -- Frozen at the end, so that nothing that happens later changes them.
    arcs_new          bigint      NOT NULL DEFAULT 0,
    arcs_updated      bigint      NOT NULL DEFAULT 0,
    arcs_unchanged    bigint      NOT NULL DEFAULT 0,
    arcs_missing      bigint      NOT NULL DEFAULT 0,
    errors            bigint      NOT NULL DEFAULT 0
);
CREATE INDEX harvest_list_idx ON harvest (rdi, started_at DESC, id DESC);
CREATE INDEX harvest_running_idx ON harvest (started_at) WHERE status = 'RUNNING';

-- An ARC: its newest content and everything that decides when it is pushed.
-- It is due when due_at has come. A claim moves due_at to the end of its lease,
-- so that a lease that is never given back expires by itself.
CREATE TABLE arc (
    id             bytea       PRIMARY KEY CHECK (octet_length(id) = 32),
    rdi            text        NOT NULL,
    identifier     text        NOT NULL,
    name           text        NOT NULL DEFAULT '',
    description    text        NOT NULL DEFAULT '',
    content        bytea       NOT NULL,  -- a zstd frame of the RO-Crate document
    content_hash   bytea       NOT NULL CHECK (octet_length(content_hash) = 32),
    content_size   bigint      NOT NULL,  -- bytes of the document, uncompressed
    version        bigint      NOT NULL DEFAULT 1,  -- counts contents
    lifecycle      text        NOT NULL DEFAULT 'ACTIVE'
                               CHECK (lifecycle IN ('ACTIVE', 'PROCESSING', 'MISSING', 'DELETED', 'INVALID')),
    outcome        text        NOT NULL DEFAULT 'created', -- of the latest submission
    event_count    integer     NOT NULL DEFAULT 0,
    first_seen     timestamptz NOT NULL DEFAULT now(),
    last_seen      timestamptz NOT NULL DEFAULT now(),
    last_changed   timestamptz NOT NULL DEFAULT now(),
    missing_since  timestamptz,
    first_harvest  uuid,
    last_harvest   uuid,
    changed_in     uuid,       -- harvest of the latest change of content
    traceparent    text        NOT NULL DEFAULT '',

    due_at         timestamptz,
    lease_holder   text,
    lease_token    bigint      NOT NULL DEFAULT 0,  -- grows with every claim: the fence
    lease_until    timestamptz,
    push_wanted    bigint      NOT NULL DEFAULT 0,  -- pushes asked for by hand
    push_done      bigint      NOT NULL DEFAULT 0,

    pushed_hash    bytea,      -- content hash of what is in git
    pushed_version bigint,
    pushed_at      timestamptz,
    commit_id      text        NOT NULL DEFAULT '',
    head_tree      bytea,      -- what the synchroniser knows of the head, opaque here
    remote_ref     text        NOT NULL DEFAULT '',  -- the remote's name for the repository, opaque here

    attempts       integer     NOT NULL DEFAULT 0,  -- failed ones since the last success
    failed_at      timestamptz,
    failure_class  text        NOT NULL DEFAULT '',
    failure_code   text        NOT NULL DEFAULT '',
    failure_text   text        NOT NULL DEFAULT '',
    failure_owner  text        NOT NULL DEFAULT '',
    failure_remedy text        NOT NULL DEFAULT '',
    parked         boolean     NOT NULL DEFAULT false,

    git_state      text        NOT NULL GENERATED ALWAYS AS (
        CASE WHEN parked THEN 'parked'
             WHEN failure_code <> '' THEN 'failing'
             WHEN due_at IS NOT NULL THEN 'due'
             ELSE 'synced' END) STORED
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05);
-- Content is compressed already.
ALTER TABLE arc ALTER COLUMN content SET STORAGE EXTERNAL;
ALTER TABLE arc ALTER COLUMN head_tree SET STORAGE EXTERNAL;
CREATE INDEX arc_due_idx ON arc (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX arc_list_idx ON arc (rdi, last_changed DESC, id DESC);
CREATE INDEX arc_backlog_idx ON arc (rdi, git_state, last_changed DESC, id DESC) WHERE git_state <> 'synced';

-- Which ARCs a harvest brought, and what came of each: the first submission
-- decides. Outcome 'missing' is a known ARC that the harvest did not bring.
-- No foreign key: its check would lock the one harvest row for every ARC; the
-- statements that insert have looked at the harvest.
CREATE TABLE harvest_arc (
    harvest_id   uuid        NOT NULL,
    arc_id       bytea       NOT NULL,
    outcome      text        NOT NULL CHECK (outcome IN ('new', 'updated', 'unchanged', 'missing')),
    content_hash bytea       NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (harvest_id, arc_id) INCLUDE (outcome)
);

-- Submissions of a harvest that were refused, and why.
CREATE TABLE harvest_error (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    harvest_id uuid        NOT NULL,
    at         timestamptz NOT NULL DEFAULT now(),
    arc_id     bytea,
    identifier text        NOT NULL DEFAULT '',
    code       text        NOT NULL,
    message    text        NOT NULL
);
CREATE INDEX harvest_error_idx ON harvest_error (harvest_id, id);

-- The event log of ARCs, trimmed to the newest of each.
CREATE TABLE event (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    arc_id     bytea       NOT NULL,
    harvest_id uuid,
    at         timestamptz NOT NULL DEFAULT now(),
    type       text        NOT NULL,
    message    text        NOT NULL
);
CREATE INDEX event_arc_idx ON event (arc_id, id);
CREATE INDEX event_harvest_idx ON event (harvest_id, id) WHERE harvest_id IS NOT NULL;

-- What the reading of an ARC's content found, replaced as a whole.
CREATE TABLE report (
    arc_id       bytea       PRIMARY KEY,
    content_hash bytea       NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    findings     jsonb       NOT NULL
);

-- Results of the asynchronous routes of v1 and v2.
CREATE TABLE task (
    id         uuid        PRIMARY KEY,
    client_id  text,
    rdi        text        NOT NULL,
    status     text        NOT NULL CHECK (status IN ('PENDING', 'RUNNING', 'SUCCESS', 'FAILURE')),
    message    text        NOT NULL DEFAULT '',
    error      text,
    arcs       jsonb       NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX task_age_idx ON task (updated_at);

-- Where ARCs go. A row exists once something has been said about the remote.
CREATE TABLE remote (
    name          text        PRIMARY KEY,
    paused_at     timestamptz,
    by_hand       boolean     NOT NULL DEFAULT false,  -- not resumed by a probe
    code          text        NOT NULL DEFAULT '',
    message       text        NOT NULL DEFAULT '',
    owner         text        NOT NULL DEFAULT '',
    remedy        text        NOT NULL DEFAULT '',
    probes        integer     NOT NULL DEFAULT 0,      -- failed ones of this incident
    next_probe_at timestamptz,
    data          text        NOT NULL DEFAULT ''      -- the remote's own notes, opaque here
);

-- Who did what. Rows are only ever added.
CREATE TABLE audit (
    id          bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at          timestamptz NOT NULL DEFAULT now(),
    actor       text        NOT NULL,  -- certificate subject, local user, or system
    fingerprint text        NOT NULL DEFAULT '',
    request_id  text        NOT NULL DEFAULT '',
    action      text        NOT NULL,
    arc_id      bytea,
    rdi         text        NOT NULL DEFAULT '',
    harvest_id  uuid,
    version     bigint,
    detail      text        NOT NULL DEFAULT ''
);
CREATE INDEX audit_arc_idx ON audit (arc_id, id) WHERE arc_id IS NOT NULL;

-- +goose StatementBegin
CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'insufficient_privilege';
END $$;
-- +goose StatementEnd
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit
    FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
