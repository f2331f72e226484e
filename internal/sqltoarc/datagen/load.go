package datagen

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// Options of loading.
type Options struct {
	// LowerCase names the views as a script without quotes does.
	LowerCase bool
	// Ordered lets the views give rows in the order in which they were made,
	// which PostgreSQL does not do by itself.
	Ordered bool
	// Change, if set, may alter a dataset before it is stored.
	Change func(n int, d *source.Dataset)
}

// Load creates tables, views over them and indexes in an empty database, and
// fills them. The connection string is one of PostgreSQL or MariaDB.
func Load(ctx context.Context, connectionString string, s Shape, o Options) error {
	dialect, err := source.ParseConnectionString(connectionString)
	if err != nil {
		return err
	}
	if dialect == source.PostgreSQL {
		return loadPostgreSQL(ctx, connectionString, s, o)
	}
	return loadMariaDB(ctx, connectionString, s, o)
}

// tableName gives the table under a view; views are named as users name them.
func tableName(v *source.View) string { return "t_" + strings.ToLower(v.Name) }

func schema(v *source.View, quote, textType, keyType, timeType string, o Options) []string {
	var defs, names []string
	for i, c := range v.Columns {
		t := textType
		switch {
		case c.Kind == source.Time:
			t = timeType
		case c.Kind == source.Integer:
			t = "integer"
		case i == v.Ref:
			t = keyType
		}
		defs, names = append(defs, c.Name+" "+t), append(names, c.Name)
	}
	view, order := v.Name, ""
	if o.LowerCase {
		view = strings.ToLower(view)
	}
	if o.Ordered {
		order = " ORDER BY n"
	}
	return []string{
		"CREATE TABLE " + tableName(v) + " (n integer, " + strings.Join(defs, ", ") + ")",
		"CREATE INDEX " + tableName(v) + "_ref ON " + tableName(v) + " (" + names[v.Ref] + ")",
		"CREATE VIEW " + quote + view + quote + " AS SELECT " + strings.Join(names, ", ") + " FROM " + tableName(v) + order,
	}
}

func (s Shape) each(o Options, visit func(d *source.Dataset) error) error {
	for n := range s.Investigations {
		d := s.Dataset(n)
		if o.Change != nil {
			o.Change(n, d)
		}
		if err := visit(d); err != nil {
			return err
		}
	}
	return nil
}

func loadPostgreSQL(ctx context.Context, connectionString string, s Shape, o Options) error {
	conn, err := pgconn.Connect(ctx, connectionString)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	for i, v := range source.Views() {
		for _, statement := range schema(v, `"`, "text", "text", "timestamp", o) {
			if _, err := conn.Exec(ctx, statement).ReadAll(); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		r, w := io.Pipe()
		go func() {
			var b bytes.Buffer
			position := 0
			err := s.each(o, func(d *source.Dataset) error {
				b.Reset()
				for _, row := range rows(d, i) {
					position++
					copyRow(&b, position, row)
				}
				_, err := w.Write(b.Bytes())
				return err
			})
			w.CloseWithError(err)
		}()
		if _, err := conn.CopyFrom(ctx, r, "COPY "+tableName(v)+" FROM STDIN"); err != nil {
			return fmt.Errorf("fill %s: %w", v.Name, err)
		}
	}
	_, err = conn.Exec(ctx, "VACUUM ANALYZE").ReadAll()
	return err
}

var copyEscape = strings.NewReplacer(`\`, `\\`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// copyRow writes a row in the text format of COPY.
func copyRow(b *bytes.Buffer, n int, row source.Row) {
	fmt.Fprint(b, n)
	for _, v := range row {
		b.WriteByte('\t')
		if !v.Valid {
			b.WriteString(`\N`)
			continue
		}
		b.WriteString(copyEscape.Replace(v.Text))
	}
	b.WriteByte('\n')
}

func loadMariaDB(ctx context.Context, connectionString string, s Shape, o Options) error {
	u, err := url.Parse(connectionString)
	if err != nil {
		return err
	}
	socket := u.Query().Get("unix_socket")
	if socket == "" {
		return errors.New("only MariaDB on a unix socket is filled")
	}
	config := mysql.NewConfig()
	config.User, config.Net, config.Addr, config.DBName = u.User.Username(), "unix", socket, strings.TrimPrefix(u.Path, "/")
	config.InterpolateParams, config.MaxAllowedPacket = true, 0
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer func() { _ = db.Close() }()
	for i, v := range source.Views() {
		for _, statement := range schema(v, "`", "LONGTEXT", "VARCHAR(191)", "DATETIME(6)", o) {
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return fmt.Errorf("%s: %w", statement, err)
			}
		}
		in := &inserter{db: db, view: v}
		position := 0
		err := s.each(o, func(d *source.Dataset) error {
			for _, row := range rows(d, i) {
				position++
				if err := in.add(ctx, position, row); err != nil {
					return err
				}
			}
			return nil
		})
		if err == nil {
			err = in.flush(ctx)
		}
		if err != nil {
			return fmt.Errorf("fill %s: %w", v.Name, err)
		}
	}
	return nil
}

// inserter collects rows into statements of many.
type inserter struct {
	db   *sql.DB
	view *source.View
	args []any
	rows int
}

func (in *inserter) add(ctx context.Context, n int, row source.Row) error {
	in.args = append(in.args, n)
	for _, v := range row {
		if v.Valid {
			in.args = append(in.args, v.Text)
		} else {
			in.args = append(in.args, nil)
		}
	}
	in.rows++
	if in.rows < 500 {
		return nil
	}
	return in.flush(ctx)
}

func (in *inserter) flush(ctx context.Context) error {
	if in.rows == 0 {
		return nil
	}
	one := "(?" + strings.Repeat(",?", len(in.view.Columns)) + ")"
	//nolint:gosec // names are our own, values are parameters
	_, err := in.db.ExecContext(ctx, "INSERT INTO "+tableName(in.view)+" VALUES "+one+strings.Repeat(","+one, in.rows-1), in.args...)
	in.args, in.rows = in.args[:0], 0
	return err
}
