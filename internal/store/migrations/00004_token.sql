-- +goose Up

-- What the git server tells a synchroniser of the access token that it holds.
-- Processes on other hosts may hold other tokens.
ALTER TABLE synchroniser
    ADD COLUMN token_name    text        NOT NULL DEFAULT '',
    ADD COLUMN token_ends_at timestamptz,  -- NULL: never, or not known
    ADD COLUMN token_refused boolean     NOT NULL DEFAULT false;
