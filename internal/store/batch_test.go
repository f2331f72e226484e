package store_test

import (
	"context"
	"testing"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// A request for all ARCs changes and locks few at a time: who submits one of them
// does not wait until all are done.
func TestARequestForAllHoldsUpNobody(t *testing.T) {
	t.Parallel()
	const many = 1200 // ARCs, several batches
	dsn := pgtest.DSN(t)
	s := open(t, dsn)
	sql(t, dsn, `
INSERT INTO arc (id, rdi, identifier, content, content_hash, content_size)
SELECT sha256(convert_to('A' || i || ':r', 'UTF8')), 'r', 'A' || i, 'x', sha256('x'), 1 FROM generate_series(1, 1200) AS i`)
	conn := must(connect(dsn))(t)
	defer conn.Close(context.Background())
	tx := must(conn.Begin(t.Context()))(t)
	must(tx.Exec(t.Context(), `SELECT FROM arc ORDER BY id DESC LIMIT 1 FOR UPDATE`))(t)
	var first string
	if err := tx.QueryRow(t.Context(), `SELECT identifier FROM arc ORDER BY id LIMIT 1`).Scan(&first); err != nil {
		t.Fatal(err)
	}
	type outcome struct {
		n   int64
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		n, err := s.RequestPushes(context.Background(), "r", store.Actor{})
		done <- outcome{n, err}
	}()
	awaitLock(t, dsn, "it waits for the last ARC")
	if r := submit(t, s, submission(first, "new content")); r.Outcome != store.Updated {
		t.Errorf("the first ARC was %s, want updated", r.Outcome)
	}
	var asked, free int
	if err := tx.QueryRow(t.Context(), `SELECT count(*) FILTER (WHERE push_wanted = 1) FROM arc`).Scan(&asked); err != nil {
		t.Fatal(err)
	}
	rows := must(tx.Query(t.Context(), `SELECT FROM arc FOR UPDATE SKIP LOCKED`))(t)
	for rows.Next() {
		free++
	}
	if asked < many/2 || free < asked {
		t.Errorf("%d of %d ARCs are asked for, and %d are free, while the last one is held", asked, many, free)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if o := <-done; o.n != many || o.err != nil {
		t.Errorf("%d ARCs were asked for, %v; want %d", o.n, o.err, many)
	}
}
