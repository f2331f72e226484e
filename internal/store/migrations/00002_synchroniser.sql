-- +goose Up

-- Synchronisers that have shown a sign of life. One that ends in order says so;
-- one that was killed falls silent.
CREATE TABLE synchroniser (
    holder     text        PRIMARY KEY,  -- as in arc.lease_holder
    host       text        NOT NULL,
    remote     text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    beat_at    timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz,
    pushing    integer     NOT NULL DEFAULT 0
);

-- How many projects may still be created at a remote, for all synchronisers
-- together: a bucket that next_turn measures. Every creation moves it on.
CREATE TABLE creation_budget (
    remote    text        PRIMARY KEY,
    per_hour  integer     NOT NULL,
    burst     integer     NOT NULL,
    next_turn timestamptz NOT NULL DEFAULT now()
);

-- Whose turn it is to get a project, and when. Kept for a while afterwards, so
-- that an attempt that fails may be repeated without another turn.
CREATE TABLE creation_turn (
    remote text        NOT NULL,
    arc_id bytea       NOT NULL,
    at     timestamptz NOT NULL,
    PRIMARY KEY (remote, arc_id)
);

-- ARCs during whose push the synchroniser ended without a word, and how often
-- in a row for the same version. A push that comes to any end removes the row.
CREATE TABLE interruption (
    arc_id  bytea       PRIMARY KEY,
    version bigint      NOT NULL,
    wanted  bigint      NOT NULL,
    count   integer     NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);
