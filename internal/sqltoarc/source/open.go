package source

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	mssql "github.com/microsoft/go-mssqldb"
	goora "github.com/sijms/go-ora/v2"
	"github.com/sijms/go-ora/v2/network"
)

// connectTimeout bounds a connection attempt: longer than a failover, shorter
// than the patience of whoever started the program.
const connectTimeout = 30 * time.Second

// address is a parsed connection string: the dialect and how to connect.
type address struct {
	dialect *Dialect
	open    func(ctx context.Context) (session, error)
	// instead is tried when the server does not know what open asks for.
	instead func(ctx context.Context) (session, error)
}

// ParseConnectionString tells which database a connection string means. The
// schemes are postgresql, postgres, mysql, mariadb, mssql, sqlserver and
// oracle; a driver after a plus sign ("mysql+aiomysql") is of no importance.
func ParseConnectionString(text string) (*Dialect, error) {
	a, err := parse(text)
	if err != nil {
		return nil, err
	}
	return a.dialect, nil
}

// parseURL reads a connection string without the name of a driver, which may have
// characters that a scheme must not have.
func parseURL(text string) (*url.URL, error) {
	text = strings.TrimSpace(text)
	if scheme, rest, ok := strings.Cut(text, "://"); ok {
		scheme, _, _ = strings.Cut(scheme, "+")
		text = scheme + "://" + rest
	}
	return url.Parse(text)
}

// parse never repeats the connection string, which holds a password.
func parse(text string) (*address, error) {
	u, err := parseURL(text)
	if err != nil || strings.Contains(u.EscapedPath(), "@") {
		// A password of digits up to a slash looks like a port, and the rest of it like the
		// name of the database, which messages repeat.
		return nil, errors.New("connection_string is not a valid URL (characters such as #, / or @ in a password must be percent-encoded)")
	}
	switch scheme := strings.ToLower(u.Scheme); scheme {
	case "postgresql", "postgres":
		u.Scheme = "postgresql"
		return parsePostgreSQL(u)
	case "mysql", "mariadb":
		return parseMySQL(u)
	case "mssql", "sqlserver":
		return parseSQLServer(u)
	case "oracle":
		return parseOracle(u), nil
	case "":
		return nil, errors.New("connection_string has no scheme such as postgresql://, mysql://, mariadb://, mssql:// or oracle://")
	}
	return nil, fmt.Errorf("connection_string has the unknown scheme %q; known are postgresql, mysql, mariadb, mssql and oracle", u.Scheme)
}

// pgParameters go along with the connection; these four a connection pooler knows,
// which refuses any other. One spelling of times makes results comparable between
// runs.
var pgParameters = map[string]string{
	"application_name": "sql-to-arc",
	"client_encoding":  "UTF8",
	"datestyle":        "ISO",
	"timezone":         "UTC",
}

// pgSettings hold within our transactions: a pooler hands the session on to other
// programs afterwards, with all that is set in it. The order of rows must not depend on
// what other sessions are scanning, and a snapshot has to outlast an API that is away for
// a while. Our own statements, and what they find in definitions of views, must not be
// read in another way because other programs need that; how values are spelled is for the
// database to say.
const pgSettings = `;
SET LOCAL standard_conforming_strings TO on;
SET LOCAL quote_all_identifiers TO off;
SET LOCAL synchronize_seqscans TO off;
SET LOCAL max_parallel_workers_per_gather TO 0;
SET LOCAL idle_in_transaction_session_timeout TO 0`

func parsePostgreSQL(u *url.URL) (*address, error) {
	// What the earlier generation's driver calls it.
	if q := u.Query(); q.Has("ssl") && !q.Has("sslmode") {
		q.Set("sslmode", q.Get("ssl"))
		q.Del("ssl")
		u.RawQuery = q.Encode()
	}
	config, err := pgconn.ParseConfig(u.String())
	if err != nil {
		// The library's error repeats the string with the password masked, but
		// only where it recognises it.
		return nil, errors.New("connection_string is not one that PostgreSQL understands: check host, port and the parameters after the question mark")
	}
	config.ConnectTimeout = connectTimeout
	maps.Copy(config.RuntimeParams, pgParameters)
	return &address{dialect: PostgreSQL, open: func(ctx context.Context) (session, error) {
		conn, err := pgconn.ConnectConfig(ctx, config)
		if err != nil {
			return nil, err
		}
		s := &pgSession{conn: conn}
		if conn.ParameterStatus("server_encoding") == "SQL_ASCII" {
			// The database does not know what its texts are, and would give up at the
			// first that is not UTF-8, instead of ours leaving out its row. A pooler knows
			// this setting.
			if err := s.exec(ctx, "SET client_encoding TO SQL_ASCII"); err != nil {
				s.close(ctx)
				return nil, err
			}
		}
		return s, nil
	}}, nil
}

func parseMySQL(u *url.URL) (*address, error) {
	config := mysql.NewConfig()
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.DBName = strings.TrimPrefix(u.Path, "/")
	config.Net, config.Addr = "tcp", net.JoinHostPort(cmp.Or(u.Hostname(), "127.0.0.1"), cmp.Or(u.Port(), "3306"))
	config.Timeout = connectTimeout
	config.Logger = silent{}
	// With the parameters in the statement the answer comes as text.
	config.InterpolateParams = true
	q := u.Query()
	// A snapshot has to outlast an API that is away for a while. A limit that protects
	// people at a prompt would leave out datasets without a word.
	config.Params = map[string]string{"wait_timeout": "28800", "sql_select_limit": "18446744073709551615"}
	if mode, ok := q["sql_mode"]; ok {
		config.Params["sql_mode"] = "'" + strings.ReplaceAll(mode[0], "'", "''") + "'"
	}
	if socket := q.Get("unix_socket"); socket != "" {
		config.Net, config.Addr = "unix", socket
	}
	if err := mysqlTLS(config, q); err != nil {
		return nil, err
	}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("connection_string: %w", err)
	}
	return &address{dialect: MySQL, open: func(ctx context.Context) (session, error) {
		return openSQL(ctx, MySQL, sql.OpenDB(connector))
	}}, nil
}

// silent keeps the driver from writing to standard error; what it would say
// comes as an error as well.
type silent struct{}

func (silent) Print(...any) {}

// mysqlTLS reads tls=true|skip-verify|preferred, ssl_ca=FILE and
// ssl_cert=FILE with ssl_key=FILE.
func mysqlTLS(config *mysql.Config, q url.Values) error {
	switch mode := strings.ToLower(q.Get("tls")); mode {
	case "", "false", "true", "skip-verify", "preferred":
		config.TLSConfig = mode
	default:
		return fmt.Errorf("connection_string: tls=%s is none of true, false, skip-verify and preferred", mode)
	}
	ca, cert, key := q.Get("ssl_ca"), q.Get("ssl_cert"), q.Get("ssl_key")
	if ca == "" && cert == "" {
		return nil
	}
	host, _, _ := net.SplitHostPort(config.Addr)
	settings := &tls.Config{ServerName: host, MinVersion: tls.VersionTLS12}
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("connection_string: ssl_ca: %w", err)
		}
		settings.RootCAs = x509.NewCertPool()
		if !settings.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("connection_string: ssl_ca: no certificate in %s", ca)
		}
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, cmp.Or(key, cert))
		if err != nil {
			return fmt.Errorf("connection_string: ssl_cert: %w", err)
		}
		settings.Certificates = []tls.Certificate{pair}
	}
	config.TLSConfig, config.TLS = "", settings
	return nil
}

// parseSQLServer turns mssql://user@host/database into what the driver wants,
// where the path is an instance. Parameters of ODBC keep their meaning.
func parseSQLServer(u *url.URL) (*address, error) {
	u.Scheme = "sqlserver"
	q := url.Values{}
	for name, values := range u.Query() {
		switch strings.ToLower(name) {
		case "driver": // which ODBC driver
		case "trustservercertificate", "encrypt":
			q.Set(strings.ToLower(name), strings.NewReplacer("yes", "true", "no", "false").Replace(strings.ToLower(values[0])))
		default:
			q[name] = values
		}
	}
	if database := strings.TrimPrefix(u.Path, "/"); database != "" && q.Get("database") == "" {
		q.Set("database", database)
		u.Path = ""
	}
	q.Set("app name", "sql-to-arc")
	u.RawQuery = q.Encode()
	connector, err := mssql.NewConnector(u.String())
	if err != nil {
		return nil, errors.New("connection_string is not one that the SQL Server driver understands: mssql://USER:PASSWORD@HOST:1433/DATABASE")
	}
	return &address{dialect: SQLServer, open: func(ctx context.Context) (session, error) {
		return openSQL(ctx, SQLServer, sql.OpenDB(connector))
	}}, nil
}

// parseOracle takes the path as a service name and, if the listener does not
// know that, as a SID, which is what it meant for the earlier generation.
func parseOracle(u *url.URL) *address {
	q := u.Query()
	if service := q.Get("service_name"); service != "" {
		u.Path = "/" + service
		q.Del("service_name")
	}
	if u.Port() == "" {
		u.Host = net.JoinHostPort(u.Hostname(), "1521")
	}
	u.RawQuery = q.Encode()
	connect := func(text string) func(ctx context.Context) (session, error) {
		return func(ctx context.Context) (session, error) {
			return openSQL(ctx, Oracle, sql.OpenDB(goora.NewConnector(text)))
		}
	}
	a := &address{dialect: Oracle, open: connect(u.String())}
	if sid := strings.TrimPrefix(u.Path, "/"); sid != "" && q.Get("SID") == "" {
		other := *u
		other.Path = "/"
		q.Set("SID", sid)
		other.RawQuery = q.Encode()
		a.instead = connect(other.String())
	}
	return a
}

func openSQL(ctx context.Context, d *Dialect, db *sql.DB) (session, error) {
	db.SetMaxOpenConns(1)
	conn, err := db.Conn(ctx)
	if err != nil {
		_ = db.Close()
		return nil, err
	}
	if err := conn.PingContext(ctx); err != nil {
		_ = conn.Close()
		_ = db.Close()
		return nil, err
	}
	return &sqlSession{db: db, conn: conn, dialect: d}, nil
}

// problem is why a statement or a connection failed, as far as it matters here.
type problem int

const (
	otherProblem problem = iota
	noSuchRelation
	accessDenied
	unreachable
	unknownService
	otherCharacters // what is compared has characters that the other side does not have
)

// classify reads the error codes of the products.
func classify(err error) problem {
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "42P01", "3F000", "42704":
			return noSuchRelation
		case "42501", "28000", "28P01":
			return accessDenied
		case "3D000":
			return unknownService
		case "57P01", "57P02", "57P03", "57P05", "53300", "25P03",
			"40001": // a standby that had to go on without our snapshot
			return unreachable
		}
		return otherProblem
	}
	if e, ok := errors.AsType[*mysql.MySQLError](err); ok {
		switch e.Number {
		case 1146:
			return noSuchRelation
		case 1044, 1045, 1142, 1143, 1227, 1370:
			return accessDenied
		case 1049:
			return unknownService
		case 1267, 1270, 1271, 3854, 3988:
			return otherCharacters
		case 1040, 1053, 1152, 1184, 1927: // the last three: aborted or killed
			return unreachable
		}
		return otherProblem
	}
	if e, ok := errors.AsType[mssql.Error](err); ok {
		switch e.Number {
		case 208:
			return noSuchRelation
		case 229, 230, 916, 18456:
			return accessDenied
		}
		return otherProblem
	}
	if e, ok := errors.AsType[*network.OracleError](err); ok {
		switch e.ErrCode {
		case 942, 4043:
			return noSuchRelation
		case 1017, 1031, 1045, 28000:
			return accessDenied
		case 12514, 12505:
			return unknownService
		case 1033, 1034, 12541, 12528:
			return unreachable
		}
		return otherProblem
	}
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return unreachable
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return unreachable
	}
	// How the drivers tell of a connection that the other side has closed.
	for _, cut := range []error{io.ErrUnexpectedEOF, io.EOF, driver.ErrBadConn, mysql.ErrInvalidConn} {
		if errors.Is(err, cut) {
			return unreachable
		}
	}
	return otherProblem
}
