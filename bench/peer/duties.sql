-- What the peer keeps besides: who did what, and what lists of ARCs are read from.
CREATE TABLE audit (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    actor      text        NOT NULL,
    request_id text        NOT NULL,
    action     text        NOT NULL,
    arc_id     bytea       NOT NULL,
    rdi        text        NOT NULL
);
CREATE INDEX audit_arc_idx ON audit (arc_id, id);
CREATE INDEX arc_list_idx ON arc (rdi, last_changed DESC, id DESC);
CREATE INDEX arc_backlog_idx ON arc (rdi, last_changed DESC, id DESC) WHERE due_at IS NOT NULL;
