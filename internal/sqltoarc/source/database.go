package source

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/fairagro/middleware-api/internal/fault"
)

// Schema says what the database offers.
type Schema string

// The schemas: the documented views, or the three tables of the first
// generation (PostgreSQL only).
const (
	SchemaViews  Schema = "views"
	SchemaTables Schema = "tables"
)

// Codes of the problems with a database.
const (
	CodeConnectionString fault.Code = "source.connection_string"
	CodeUnreachable      fault.Code = "source.unreachable"
	CodeDenied           fault.Code = "source.denied"
	CodeQuery            fault.Code = "source.query"
	CodeSpool            fault.Code = "source.spool"
)

// Database is a connection to the database of an RDI and what was found there.
type Database struct {
	address   *address
	schema    Schema
	session   session
	views     []*View
	relations []*relation // as views; nil where the view is missing
}

// Open connects. An error is a [fault.Error] and never shows the password.
func Open(ctx context.Context, connectionString string, schema Schema) (*Database, error) {
	a, err := parse(connectionString)
	if err != nil {
		return nil, &fault.Error{Code: CodeConnectionString, Text: err.Error(), Owner: fault.OwnerRDI}
	}
	if schema == SchemaTables && a.dialect != PostgreSQL {
		return nil, &fault.Error{
			Code: CodeConnectionString, Owner: fault.OwnerRDI,
			Text:   "schema: tables is for PostgreSQL only, and this is " + a.dialect.Name,
			Remedy: "create the views (sql-to-arc init prints the statements) and set schema: views",
		}
	}
	d := &Database{address: a, schema: schema, views: Views()}
	if d.session, err = d.connect(ctx); err != nil {
		return nil, d.failure("connect to the database", err)
	}
	return d, nil
}

// Dialect gives the product that the database is.
func (d *Database) Dialect() *Dialect { return d.address.dialect }

// Close ends the connection.
func (d *Database) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	d.session.close(ctx)
}

func (d *Database) connect(ctx context.Context) (session, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	s, err := d.address.open(ctx)
	if err != nil && d.address.instead != nil && classify(err) == unknownService {
		return d.address.instead(ctx)
	}
	return s, err
}

// failure turns an error of the database into a fault.
func (d *Database) failure(doing string, err error) error {
	if _, ok := fault.Of(err); ok || errors.Is(err, context.Canceled) {
		return err
	}
	f := &fault.Error{Code: CodeQuery, Owner: fault.OwnerRDI, Cause: err,
		Text:   fmt.Sprintf("cannot %s (%s): %s", doing, d.address.dialect.Name, oneLine(err)),
		Remedy: "mend what the database complains about, then: sql-to-arc check"}
	switch classify(err) {
	case unreachable, unknownService:
		f.Code = CodeUnreachable
		f.Remedy = "check that the database runs and that connection_string names its host, port and database"
	case accessDenied:
		f.Code = CodeDenied
		f.Remedy = "check user and password, and grant the user SELECT on the views"
	}
	return f
}

func oneLine(err error) string { return strings.Join(strings.Fields(err.Error()), " ") }

// WithPassword gives the connection string with a password, unless it has one.
func WithPassword(connectionString, password string) string {
	u, err := parseURL(connectionString)
	if err != nil || password == "" {
		return connectionString
	}
	if _, has := u.User.Password(); has {
		return connectionString
	}
	u.User = url.UserPassword(u.User.Username(), password)
	return u.String()
}
