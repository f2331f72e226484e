package source

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5/pgconn"
	mssql "github.com/microsoft/go-mssqldb"
)

// session is one connection. The values that visit sees are valid until it
// returns; nil is NULL.
type session interface {
	query(ctx context.Context, statement string, keys []string, visit func(row [][]byte) error) error
	// columns gives the names and types of a result.
	columns(ctx context.Context, statement string) ([]columnInfo, error)
	exec(ctx context.Context, statement string) error
	// rollback ends the snapshot, if there is one.
	rollback(ctx context.Context)
	close(ctx context.Context)
}

// columnInfo is a column as the database has it.
type columnInfo struct {
	name     string
	typeName string
}

// pgSession speaks to PostgreSQL below the level of Go values: all values come
// as text, and nothing is decoded that is not needed.
type pgSession struct{ conn *pgconn.PgConn }

func (s *pgSession) query(ctx context.Context, statement string, keys []string, visit func(row [][]byte) error) error {
	var args [][]byte
	if keys != nil {
		args = [][]byte{arrayLiteral(keys)}
	}
	rows := s.conn.ExecParams(ctx, statement, args, nil, nil, nil)
	var stop error
	for rows.NextRow() {
		if stop = visit(rows.Values()); stop != nil {
			break
		}
	}
	if _, err := rows.Close(); err != nil && stop == nil {
		return err
	}
	return stop
}

func (s *pgSession) columns(ctx context.Context, statement string) ([]columnInfo, error) {
	rows := s.conn.ExecParams(ctx, statement, nil, nil, nil, nil)
	fields := rows.FieldDescriptions()
	infos := make([]columnInfo, len(fields))
	for i, f := range fields {
		// The type's name is asked for below; descriptions live until Close.
		infos[i] = columnInfo{name: f.Name, typeName: strconv.FormatUint(uint64(f.DataTypeOID), 10)}
	}
	if _, err := rows.Close(); err != nil {
		return nil, err
	}
	for i := range infos {
		err := s.query(ctx, "SELECT format_type("+infos[i].typeName+", NULL)", nil, func(row [][]byte) error {
			infos[i].typeName = string(row[0])
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return infos, nil
}

func (s *pgSession) exec(ctx context.Context, statement string) error {
	_, err := s.conn.Exec(ctx, statement).ReadAll()
	return err
}

func (s *pgSession) rollback(ctx context.Context) { _ = s.exec(ctx, "ROLLBACK") }

func (s *pgSession) close(ctx context.Context) { _ = s.conn.Close(ctx) }

// arrayLiteral spells texts as a PostgreSQL array.
func arrayLiteral(keys []string) []byte {
	var b strings.Builder
	b.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteByte('"')
		for j := range len(key) {
			if key[j] == '"' || key[j] == '\\' {
				b.WriteByte('\\')
			}
			b.WriteByte(key[j])
		}
		b.WriteByte('"')
	}
	b.WriteByte('}')
	return []byte(b.String())
}

// sqlSession speaks to the other databases through database/sql.
type sqlSession struct {
	db      *sql.DB
	conn    *sql.Conn
	dialect *Dialect
	tx      *sql.Tx // nil outside of a snapshot
}

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (s *sqlSession) querier() querier {
	if s.tx != nil {
		return s.tx
	}
	return s.conn
}

func (s *sqlSession) query(ctx context.Context, statement string, keys []string, visit func(row [][]byte) error) error {
	args := make([]any, len(keys))
	for i, key := range keys {
		if args[i] = key; !utf8.ValidString(key) {
			args[i] = []byte(key) // of a binary column
		}
	}
	rows, err := s.querier().QueryContext(ctx, statement, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	columns, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	types := make([]string, len(columns))
	for i, c := range columns {
		types[i] = strings.ToUpper(c.DatabaseTypeName())
	}
	if s.dialect == MySQL {
		err = visitRaw(rows, types, visit)
	} else {
		err = visitAny(rows, types, visit)
	}
	if err != nil {
		return err
	}
	return rows.Err()
}

// visitRaw hands out the driver's own bytes; MySQL sends everything as text, but
// for bits and for binary columns.
func visitRaw(rows *sql.Rows, types []string, visit func(row [][]byte) error) error {
	n := len(types)
	raw, targets, values := make([]sql.RawBytes, n), make([]any, n), make([][]byte, n)
	for i := range raw {
		targets[i] = &raw[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i := range raw {
			values[i] = spellRaw(raw[i], types[i])
		}
		if err := visit(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// spellRaw makes readable what MySQL does not send as text. Binary columns often
// hold texts, which the product makes of many expressions; those stay as they are.
func spellRaw(v []byte, typeName string) []byte {
	switch typeName {
	case "BIT":
		if v == nil || len(v) > 8 {
			return v
		}
		var number [8]byte
		copy(number[8-len(v):], v)
		return strconv.AppendUint(nil, binary.BigEndian.Uint64(number[:]), 10)
	case "BINARY", "VARBINARY", "BLOB", "GEOMETRY":
		if !utf8.Valid(v) || bytes.IndexByte(v, 0) >= 0 {
			return fmt.Appendf(nil, "%x", v)
		}
	}
	return v
}

// visitAny spells typed values as text.
func visitAny(rows *sql.Rows, types []string, visit func(row [][]byte) error) error {
	n := len(types)
	scanned, targets, values := make([]any, n), make([]any, n), make([][]byte, n)
	for i := range scanned {
		targets[i] = &scanned[i]
	}
	for rows.Next() {
		if err := rows.Scan(targets...); err != nil {
			return err
		}
		for i, v := range scanned {
			values[i] = spell(v, types[i])
		}
		if err := visit(values); err != nil {
			return err
		}
	}
	return rows.Err()
}

// spell gives the text of a value of a driver, nil for NULL. The type is what the
// driver calls that of the column, in capitals.
func spell(v any, typeName string) []byte {
	switch v := v.(type) {
	case nil:
		return nil
	case []byte:
		return spellBytes(v, typeName)
	case string:
		return spellBytes([]byte(v), typeName)
	case time.Time:
		switch {
		case typeName == "TIME":
			return []byte(v.Format("15:04:05.999999"))
		case typeName == "DATETIMEOFFSET" || strings.Contains(typeName, "TZ"):
			return []byte(v.Format("2006-01-02T15:04:05.999999-07:00"))
		}
		// The driver has made up the zone.
		return []byte(v.Format("2006-01-02T15:04:05.999999"))
	case int64:
		return strconv.AppendInt(nil, v, 10)
	case float64:
		return strconv.AppendFloat(nil, v, 'f', -1, 64)
	case bool:
		return strconv.AppendBool(nil, v)
	}
	return fmt.Append(nil, v)
}

// spellBytes makes bytes readable that are not text.
func spellBytes(v []byte, typeName string) []byte {
	switch typeName {
	case "UNIQUEIDENTIFIER":
		// Its first three groups have their bytes turned round.
		var id mssql.UniqueIdentifier
		if id.Scan(v) == nil {
			return []byte(id.String())
		}
	case "CHAR", "NCHAR":
		return bytes.TrimRight(v, " ") // padded to the length of the column
	case "BINARY", "VARBINARY", "IMAGE", "RAW", "LONGRAW":
		return fmt.Appendf(nil, "%x", v)
	}
	return v
}

func (s *sqlSession) columns(ctx context.Context, statement string) ([]columnInfo, error) {
	rows, err := s.querier().QueryContext(ctx, statement)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	infos := make([]columnInfo, len(types))
	for i, t := range types {
		infos[i] = columnInfo{name: t.Name(), typeName: strings.ToLower(t.DatabaseTypeName())}
	}
	return infos, rows.Err()
}

func (s *sqlSession) exec(ctx context.Context, statement string) error {
	_, err := s.querier().ExecContext(ctx, statement)
	return err
}

func (s *sqlSession) rollback(ctx context.Context) {
	if s.tx != nil {
		_ = s.tx.Rollback()
		s.tx = nil
	} else if s.dialect == MySQL {
		_ = s.exec(ctx, "ROLLBACK")
	}
}

func (s *sqlSession) close(ctx context.Context) {
	s.rollback(ctx)
	_ = s.conn.Close()
	_ = s.db.Close()
}
