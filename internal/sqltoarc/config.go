package sqltoarc

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fairagro/middleware-api/internal/config/setting"
	"github.com/fairagro/middleware-api/internal/sqltoarc/mapping"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
	"github.com/fairagro/middleware-api/internal/sqltoarc/upload"
)

// Prefix is what the names of all variables begin with.
const Prefix = "SQL_TO_ARC"

// Config is the configuration of the converter.
type Config struct {
	ConnectionString setting.Secret
	Database         Database
	Schema           string
	RDI, RDIURL      string
	DebugLimit       int
	Builds, Tasks    int
	BatchSize        int
	MaxStudies       int
	MaxAssays        int
	MaxDatasetBytes  setting.Size
	StateDir         string
	LogLevel         setting.Level
	LogFormat        string
	API              API
	OTel             OTel
}

// Database is how the first generations named the database.
type Database struct {
	Name, User, Host string
	Password         setting.Secret
	Port             int
}

// API is how the API is reached.
type API struct {
	URL                       string
	CertPath, KeyPath, CAPath string
	Proxy                     string
	Timeout                   setting.Duration
	VerifySSL                 bool
	FollowRedirects           bool
	MaxConcurrency            int
	MaxRetries                int
	Backoff                   float64
}

// OTel is where spans go.
type OTel struct {
	Endpoint        string
	LogConsoleSpans bool
}

// Table describes all settings, bound to c.
func Table(c *Config) *setting.Table {
	var all []setting.Setting
	for _, part := range [][]setting.Setting{databaseSettings(c), runSettings(c), apiSettings(&c.API), observationSettings(c)} {
		all = append(all, part...)
	}
	return &setting.Table{
		Prefix: Prefix, Settings: all,
		Sections: []setting.Section{
			{Path: "api_client", Doc: "The API that takes the ARCs."},
			{Path: "otel", Doc: "Tracing with OpenTelemetry."},
		},
		Retired: []setting.Retired{
			{Path: "batch_size", Reason: "ARCs are sent in batches by size; see db_batch_size for reading"},
			{Path: "arc_generation_timeout_minutes", Reason: "an ARC is built in milliseconds; what bounds a dataset is max_dataset_bytes"},
			{Path: "otel_endpoint", Reason: "see otel.endpoint"},
			{Path: "otel_log_console_spans", Reason: "see otel.log_console_spans"},
			{Path: "api_client.polling_initial_delay", Reason: "uploads are answered at once"},
			{Path: "api_client.polling_max_delay", Reason: "uploads are answered at once"},
			{Path: "api_client.polling_backoff_factor", Reason: "uploads are answered at once"},
			{Path: "api_client.polling_timeout", Reason: "uploads are answered at once"},
			{Path: "api_client.log_level", Reason: "see log_level"},
			{Path: "api_client.otel", Reason: "see otel"},
			{Path: "otel.log_level", Reason: "messages do not become events of spans; see log_level"},
		},
	}
}

func databaseSettings(c *Config) []setting.Setting {
	return []setting.Setting{
		{
			Path: "connection_string", Target: &c.ConnectionString, Example: `"postgresql://reader@db.example.org/edaphobase"`,
			Credentials: []string{"connection-string"},
			Doc:         "The database: postgresql://, mysql://, mariadb://, mssql:// or oracle://USER:PASSWORD@HOST:PORT/DATABASE. Characters such as # or @ in a password are percent-encoded. A driver after a plus sign (mysql+aiomysql) is ignored.",
		},
		{
			Path: "db_password", Target: &c.Database.Password, Credentials: []string{"db-password"},
			Doc: "The password for the database, if connection_string has none.",
		},
		{
			Path: "schema", Target: &c.Schema, Default: "auto", Rule: setting.OneOf(&c.Schema, "auto", "views", "tables"),
			Doc: "What the database offers: the documented views, or the three tables ARC_Investigation, ARC_Study and ARC_Assay of the first generation (PostgreSQL only). auto means tables if the database is given by db_name, and views otherwise.",
		},
		{Path: "db_name", Target: &c.Database.Name, Example: "edaphobase", Doc: "The name of the PostgreSQL database, for configurations without connection_string."},
		{Path: "db_user", Target: &c.Database.User, Example: "reader", Doc: "The user, together with db_name."},
		{Path: "db_host", Target: &c.Database.Host, Example: "db.example.org", Doc: "The host or the folder of the socket, together with db_name."},
		{
			Path: "db_port", Target: &c.Database.Port, Default: "5432", Rule: setting.Between(&c.Database.Port, 1, 65535),
			Doc: "The port, together with db_name.",
		},
		{
			Path: "db_batch_size", Target: &c.BatchSize, Default: "500", Rule: setting.AtLeast(&c.BatchSize, 1),
			Doc: "How many investigations are read at a time at most; more than 1000 count as 1000. Large datasets are read in smaller batches by themselves.",
		},
	}
}

func runSettings(c *Config) []setting.Setting {
	return []setting.Setting{
		{
			Path: "rdi", Target: &c.RDI, Required: true, Example: "edaphobase",
			Doc: "The research data infrastructure that the datasets belong to, as the API knows it. Not needed with --dry-run and --out.",
		},
		{Path: "rdi_url", Target: &c.RDIURL, Example: "https://www.edaphobase.org", Doc: "The address of the research data infrastructure, for the report."},
		{
			Path: "debug_limit", Target: &c.DebugLimit, Rule: setting.AtLeast(&c.DebugLimit, 0), Example: "10",
			Doc: "Converts only so many datasets and uploads them without a harvest. 0 means all.",
		},
		{
			Path: "max_concurrent_arc_builds", Target: &c.Builds, Rule: setting.AtLeast(&c.Builds, 0), Example: "4",
			Doc: "How many processor cores the program uses. 0 means all of them.",
		},
		{
			Path: "max_concurrent_tasks", Target: &c.Tasks, Rule: setting.AtLeast(&c.Tasks, 0), Example: "8",
			Doc: "How many batches are being read, built or uploaded at the same time; memory grows with it. 0 means twice the number of cores, and one if that is set to 1: then reading, building and uploading take turns.",
		},
		{Path: "max_studies", Target: &c.MaxStudies, Default: "5000", Rule: setting.AtLeast(&c.MaxStudies, 1), Doc: "Datasets with more studies are not converted."},
		{Path: "max_assays", Target: &c.MaxAssays, Default: "10000", Rule: setting.AtLeast(&c.MaxAssays, 1), Doc: "Datasets with more assays are not converted."},
		{
			Path: "max_dataset_bytes", Target: &c.MaxDatasetBytes, Default: "64MiB", Rule: setting.Between(&c.MaxDatasetBytes, 1<<20, 1<<34),
			Doc: "Datasets whose rows take more memory are not converted.",
		},
		{
			Path: "state_dir", Target: &c.StateDir, Example: "/var/lib/sql-to-arc",
			Doc: "Where runs remember what they have uploaded, so that unchanged datasets need not be built again and interrupted runs can be resumed. Without it, the folder that systemd provides, else ~/.local/state/sql-to-arc.",
		},
	}
}

func apiSettings(a *API) []setting.Setting {
	return []setting.Setting{
		{Path: "api_client.api_url", Target: &a.URL, Required: true, Example: "https://api.example.org/", Doc: "The address of the API, with a prefix if it has one. Not needed with --dry-run and --out."},
		{Path: "api_client.client_cert_path", Target: &a.CertPath, Example: "/etc/sql-to-arc/client.pem", Doc: "PEM file with the client certificate."},
		{Path: "api_client.client_key_path", Target: &a.KeyPath, Example: "/etc/sql-to-arc/client.key", Doc: "PEM file with its key."},
		{Path: "api_client.ca_cert_path", Target: &a.CAPath, Example: "/etc/sql-to-arc/ca.pem", Doc: "PEM file with the authorities that the API's certificate may come from, in place of the system's."},
		{Path: "api_client.proxy", Target: &a.Proxy, Example: "http://proxy.example.org:3128", Doc: "The proxy. Without it, HTTPS_PROXY and NO_PROXY are honoured."},
		{
			Path: "api_client.timeout", Target: &a.Timeout, Default: "30", Rule: setting.AtLeast(&a.Timeout, setting.Duration(time.Millisecond)),
			Doc: "How long to wait for an answer.",
		},
		{Path: "api_client.verify_ssl", Target: &a.VerifySSL, Default: "true", Doc: "With false neither the API's certificate is verified nor the client's shown: for trials only."},
		{Path: "api_client.follow_redirects", Target: &a.FollowRedirects, Default: "true", Doc: "Follows redirects, but for those after which a POST is a GET (301, 302, 303)."},
		{Path: "api_client.max_concurrency", Target: &a.MaxConcurrency, Default: "10", Rule: setting.AtLeast(&a.MaxConcurrency, 1), Doc: "How many requests are in flight at most."},
		{Path: "api_client.max_retries", Target: &a.MaxRetries, Default: "8", Rule: setting.AtLeast(&a.MaxRetries, 0), Doc: "How often a request that is safe to repeat is tried again."},
		{
			Path: "api_client.retry_backoff_factor", Target: &a.Backoff, Default: "2.0",
			Rule: setting.That("more than 0", func() bool { return a.Backoff > 0 }),
			Doc:  "Seconds before the first repetition, doubled with each further one up to half a minute. What the API asks for in Retry-After takes precedence.",
		},
	}
}

func observationSettings(c *Config) []setting.Setting {
	return []setting.Setting{
		{Path: "log_level", Target: &c.LogLevel, Default: "INFO", Doc: "The least important messages that are logged."},
		{
			Path: "log_format", Target: &c.LogFormat, Default: "auto", Rule: setting.OneOf(&c.LogFormat, "auto", "text", "json", "journal"),
			Doc: "How messages are written, to standard error.",
		},
		{Path: "otel.endpoint", Target: &c.OTel.Endpoint, Example: "http://collector.example.org:4318", Doc: "The collector that spans are sent to, over OTLP/HTTP."},
		{Path: "otel.log_console_spans", Target: &c.OTel.LogConsoleSpans, Default: "false", Doc: "Logs every span when it ends."},
	}
}

// Loaded is a configuration and what is to be said about it.
type Loaded struct {
	Config
	Warnings []setting.Problem
	Table    *setting.Table
	Result   *setting.Result
}

// noFile is what to do where there is no configuration.
const noFile = "write one (sql-to-arc config sample), or name another with --config"

// Load reads a configuration file; a file that was not asked for may be
// missing. A run that is local brings nothing to the API, and need not know it.
// The error is a *[setting.Invalid] with all problems at once.
func Load(path string, mustExist, local bool) (*Loaded, error) {
	l := &Loaded{}
	l.Table = Table(&l.Config)
	for i := range l.Table.Settings {
		if s := &l.Table.Settings[i]; local && (s.Path == "rdi" || s.Path == "api_client.api_url") {
			s.Required = false
		}
	}
	data, err := os.ReadFile(path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && (mustExist || !missing) {
		remedy := noFile
		if errors.Is(err, fs.ErrPermission) {
			remedy = "let the user who runs this read it"
		}
		return nil, setting.NewInvalid([]setting.Problem{{Source: path, Text: fmt.Sprintf("cannot be read: %v", errors.Unwrap(err)), Remedy: remedy}})
	}
	l.Result, err = l.Table.Read(setting.Input{
		Name: path, Data: data, Environ: os.Environ(), Secrets: "/run/secrets", Credentials: os.Getenv("CREDENTIALS_DIRECTORY"),
	})
	var problems []setting.Problem
	if invalid, ok := errors.AsType[*setting.Invalid](err); ok {
		problems = invalid.Problems
	}
	if l.Result != nil {
		l.API.credentials(os.Getenv("CREDENTIALS_DIRECTORY"))
		l.Warnings = l.Result.Warnings
		problems = append(problems, l.check()...)
	}
	if missing && len(problems) > 0 {
		problems = slices.Insert(problems, 0, setting.Problem{
			Source: path, Text: "there is no such file", Remedy: noFile,
		})
	}
	if len(problems) > 0 {
		return l, setting.NewInvalid(problems)
	}
	return l, nil
}

// credentials takes the client certificate from the folder that systemd fills,
// if none is configured. A blank file counts as none.
func (a *API) credentials(dir string) {
	if dir == "" || a.CertPath != "" || a.KeyPath != "" {
		return
	}
	cert, key := filepath.Join(dir, "client-cert"), filepath.Join(dir, "client-key")
	for _, path := range []string{cert, key} {
		if data, err := os.ReadFile(path); err != nil || strings.TrimSpace(string(data)) == "" {
			return
		}
	}
	a.CertPath, a.KeyPath = cert, key
}

// check looks at what no single setting can know.
func (l *Loaded) check() []setting.Problem {
	var problems []setting.Problem
	switch {
	case l.ConnectionString.IsZero() && l.Database.Name == "":
		problems = append(problems, l.Result.At("connection_string", "is required", "set it in the file, as credential connection-string, or as "+Prefix+"_CONNECTION_STRING"))
	case !l.ConnectionString.IsZero():
		if _, err := source.ParseConnectionString(l.ConnectionString.Reveal()); err != nil {
			problems = append(problems, l.Result.At("connection_string", err.Error(), ""))
		}
	}
	for path, file := range map[string]string{
		"api_client.client_cert_path": l.API.CertPath, "api_client.client_key_path": l.API.KeyPath, "api_client.ca_cert_path": l.API.CAPath,
	} {
		if file == "" {
			continue
		}
		if _, err := os.Stat(file); err != nil {
			problems = append(problems, l.Result.At(path, err.Error(), ""))
		}
	}
	return problems
}

// connection gives the connection string, made of its parts if need be.
func (c *Config) connection() string {
	text := c.ConnectionString.Reveal()
	if text == "" {
		u := url.URL{Scheme: "postgresql", User: url.User(c.Database.User), Path: "/" + c.Database.Name}
		q := url.Values{"host": {c.Database.Host}, "port": {strconv.Itoa(c.Database.Port)}}
		u.RawQuery = q.Encode()
		text = u.String()
	}
	return source.WithPassword(text, c.Database.Password.Reveal())
}

// schema decides what auto means.
func (c *Config) schema() source.Schema {
	switch {
	case c.Schema != "auto":
		return source.Schema(c.Schema)
	case c.ConnectionString.IsZero():
		return source.SchemaTables
	}
	return source.SchemaViews
}

// Options gives what a run wants to know.
func (c *Config) Options(userAgent string) Options {
	retries := c.API.MaxRetries
	if retries == 0 {
		retries = -1
	}
	return Options{
		ConnectionString: c.connection(), Schema: c.schema(), RDI: c.RDI, RDIURL: c.RDIURL,
		Builds: c.Builds, Tasks: c.Tasks, BatchSize: c.BatchSize, MaxBytes: int(c.MaxDatasetBytes), Limit: c.DebugLimit,
		Limits:   mapping.Limits{Studies: c.MaxStudies, Assays: c.MaxAssays},
		StateDir: c.StateDir,
		Upload: upload.Options{
			URL: c.API.URL, CertFile: c.API.CertPath, KeyFile: c.API.KeyPath, CAFile: c.API.CAPath, Proxy: c.API.Proxy,
			Insecure: !c.API.VerifySSL, KeepRedirects: !c.API.FollowRedirects, Timeout: time.Duration(c.API.Timeout),
			MaxConcurrency: c.API.MaxConcurrency, MaxRetries: retries,
			Backoff:   time.Duration(c.API.Backoff * float64(time.Second)),
			UserAgent: userAgent,
		},
	}
}
