-- The peer's tables: the least that holds an ARC, its log, and what is due.
CREATE TABLE arc (
    id           bytea       PRIMARY KEY,
    rdi          text        NOT NULL,
    identifier   text        NOT NULL,
    name         text        NOT NULL,
    description  text        NOT NULL,
    content      text        COMPRESSION lz4 NOT NULL,
    content_hash bytea       NOT NULL,
    content_size bigint      NOT NULL,
    version      bigint      NOT NULL DEFAULT 1,
    outcome      text        NOT NULL DEFAULT 'created',
    first_seen   timestamptz NOT NULL DEFAULT now(),
    last_seen    timestamptz NOT NULL DEFAULT now(),
    last_changed timestamptz NOT NULL DEFAULT now(),
    due_at       timestamptz DEFAULT now()
) WITH (fillfactor = 85);
CREATE INDEX arc_due_idx ON arc (due_at) WHERE due_at IS NOT NULL;
CREATE TABLE event (
    id      bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    arc_id  bytea       NOT NULL,
    at      timestamptz NOT NULL DEFAULT now(),
    type    text        NOT NULL,
    message text        NOT NULL
);
CREATE INDEX event_arc_idx ON event (arc_id, id);
