package source

import (
	"context"
	"database/sql"
	"fmt"
)

// begin makes the session see one state of the database from now on, and
// nothing but read. The note tells where a product does not keep the promise
// by default.
func (d *Database) begin(ctx context.Context, s session) (*Finding, error) {
	switch s := s.(type) {
	case *pgSession:
		return nil, s.exec(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"+pgSettings)
	case *sqlSession:
		switch s.dialect {
		case MySQL:
			if err := s.exec(ctx, "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ"); err != nil {
				return nil, err
			}
			return nil, s.exec(ctx, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
		case Oracle:
			tx, err := s.conn.BeginTx(ctx, nil)
			if err != nil {
				return nil, err
			}
			s.tx = tx
			return nil, s.exec(ctx, "SET TRANSACTION READ ONLY")
		case SQLServer:
			return beginSQLServer(ctx, s)
		}
	}
	return nil, fmt.Errorf("no snapshot for %T", s)
}

// beginSQLServer uses row versions where the database keeps them. Otherwise
// the run holds shared locks, which its owner should know.
func beginSQLServer(ctx context.Context, s *sqlSession) (*Finding, error) {
	versions := false
	err := s.query(ctx, "SELECT snapshot_isolation_state FROM sys.databases WHERE database_id = DB_ID()", nil,
		func(row [][]byte) error {
			versions = string(row[0]) == "1"
			return nil
		})
	if err != nil {
		return nil, err
	}
	level, note := sql.LevelSnapshot, (*Finding)(nil)
	if !versions {
		level = sql.LevelRepeatableRead
		note = &Finding{Severity: Warning,
			Text:   "the database keeps no row versions, so what has been read stays locked against changes until the run ends",
			Remedy: "ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON"}
	}
	s.tx, err = s.conn.BeginTx(ctx, &sql.TxOptions{Isolation: level})
	return note, err
}

// keepingSnapshot lets the transaction go on if a statement fails, as where a right is missing. In the other products it
// goes on by itself.
func keepingSnapshot(ctx context.Context, s session, do func() error) error {
	if _, ok := s.(*pgSession); !ok {
		return do()
	}
	if err := s.exec(ctx, "SAVEPOINT attempt"); err != nil {
		return err
	}
	if err := do(); err != nil {
		if back := s.exec(ctx, "ROLLBACK TO SAVEPOINT attempt"); back != nil {
			return back
		}
		return err
	}
	return s.exec(ctx, "RELEASE SAVEPOINT attempt")
}

// share opens n more sessions that see the same snapshot. Only PostgreSQL can
// do that; elsewhere, and where a proxy or server forbids it, there is none.
func (d *Database) share(ctx context.Context, s session, n int) []session {
	pg, ok := s.(*pgSession)
	if !ok || n == 0 {
		return nil
	}
	var id string
	err := pg.query(ctx, "SELECT pg_export_snapshot()", nil, func(row [][]byte) error {
		id = string(row[0])
		return nil
	})
	if err != nil {
		// The transaction has failed with it; the caller begins anew.
		return nil
	}
	sessions := make([]session, 0, n)
	for range n {
		more, err := d.connect(ctx)
		if err != nil {
			break
		}
		if _, err = d.begin(ctx, more); err == nil {
			err = more.exec(ctx, "SET TRANSACTION SNAPSHOT '"+id+"'")
		}
		if err != nil {
			more.close(ctx)
			break
		}
		sessions = append(sessions, more)
	}
	return sessions
}
