-- +goose Up

-- What a client has named the beginning of a harvest with, so that it gets the
-- same harvest again if it did not hear the answer.
ALTER TABLE harvest ADD COLUMN begin_key text;
CREATE UNIQUE INDEX harvest_begin_key_idx ON harvest (rdi, coalesce(client_id, ''), begin_key)
    WHERE begin_key IS NOT NULL AND status = 'RUNNING';
