-- +goose Up

-- What was on its way into git and what moved, minute by minute, for a day.
-- Every minute that was looked at has a row without RDI, so that a minute in
-- which nothing happened is told from one in which nobody looked.
CREATE TABLE sample (
    at       timestamptz NOT NULL,  -- the beginning of the minute
    rdi      text        NOT NULL,
    waiting  bigint      NOT NULL DEFAULT 0,  -- ARCs due or failing
    parked   bigint      NOT NULL DEFAULT 0,
    oldest   interval    NOT NULL DEFAULT '0',  -- age of the one that waits longest
    accepted bigint      NOT NULL DEFAULT 0,  -- contents stored since the sample before
    pushed   bigint      NOT NULL DEFAULT 0,  -- pushes that came through since then
    PRIMARY KEY (at, rdi)
);

-- Which minute was looked at last, and up to which event. The lock on its one
-- row lets one process do it, on whatever host.
CREATE TABLE sampler (
    alone boolean     PRIMARY KEY DEFAULT true CHECK (alone),
    at    timestamptz NOT NULL,
    event bigint      NOT NULL
);
INSERT INTO sampler (at, event) SELECT '-infinity', coalesce(max(id), 0) FROM event;
