// Package config holds the configuration of middleware-api: which settings
// there are (one table, in settings.go), how they are found and what has to
// hold between them. The file is the one of the earlier generations of the
// service plus what is new; their retired sections are accepted with a warning.
//
// The processes that serve HTTP never read a git token: Load is told the role
// of the process and leaves the secrets of the other role alone.
//
// A Config is a plain value. Nothing changes it after Load, so it may be shared.
package config

import (
	"log/slog"
	"time"

	"github.com/fairagro/middleware-api/internal/config/setting"
)

// Secret is a text that no way of printing shows.
type Secret = setting.Secret

// DSN says how the database is reached; printing it hides a password.
type DSN = setting.DSN

// Role says what a process is for, and with that which secrets it may read.
type Role int

// The roles of processes.
const (
	// RoleServe answers HTTP requests and holds no git token.
	RoleServe Role = iota
	// RoleSync pushes to git and needs the git token.
	RoleSync
	// RoleTool is a command that a person started: it uses the secrets that it
	// can read, and does without those that it cannot.
	RoleTool
)

// What to do about a commit in a repository that is not ours.
const (
	ForeignOverwrite = "overwrite_on_top" // a commit of ours on top of theirs
	ForeignKeep      = "keep"             // leave their commit, push nothing
	ForeignPark      = "park"             // stop and ask a person
)

// Config is the whole configuration, complete and checked.
type Config struct {
	LogLevel          slog.Level
	LogFormat         string // auto, text, json, journal
	Listen            []string
	KnownRDIs         []string
	ClientAuthOID     string
	RequireClientCert bool
	TrustedProxies    []string // addresses, networks, "unix"
	BodyLimit         int64    // bytes
	V1Status          string   // created, accepted
	Validation        string   // report, strict
	MaxEventLogSize   int
	// MaxConcurrentRequests is the number of requests a process works on at
	// the same time; 0 means no limit.
	MaxConcurrentRequests int
	RetryAfter            time.Duration // whole seconds
	BodyMemoryLimit       int64         // bytes, 0 is the default of the program
	RequestTimeout        time.Duration
	MaxEventStreams       int

	TLS       *TLS // nil when a proxy ends TLS
	Database  Database
	GitRepo   *GitRepo   // exactly one of GitRepo and GitLabAPI is set
	GitLabAPI *GitLabAPI //
	Harvest   Harvest
	Tasks     Tasks
	Worker    Worker
	Sync      Sync
	OTel      OTel
	Admin     Admin
}

// TLS makes the service end TLS itself.
type TLS struct {
	Certificate string // path of the PEM file with the chain
	Key         string // path of the PEM file with the key
	ClientCA    string // path of the PEM file with the authorities of clients
}

// Database says where the ARCs are kept.
type Database struct {
	URL            DSN
	Password       Secret
	MaxConnections int // of one process; 0 leaves it to the program
}

// GitRepo is a git store that is pushed to with the git protocol.
type GitRepo struct {
	URL                string
	Group              string
	Branch             string
	Token              Secret
	UserName           string
	UserEmail          string
	MaxWorkers         int
	CommandTimeout     time.Duration // 0 is the default of the program
	HTTPLowSpeedLimit  int           // bytes per second, 0 is off
	HTTPLowSpeedTime   time.Duration
	RDIGitLabTopics    map[string]string
	ProjectsPerHour    int // budget for creating projects, 0 is no limit
	ProjectsVisibility string
}

// GitLabAPI is a git store that is written to over GitLab's REST interface only.
type GitLabAPI struct {
	URL             string
	Group           string
	Branch          string
	Token           Secret
	MaxWorkers      int
	CommitChunkSize int
}

// Harvest says how harvests end and what they mean for ARCs not seen.
type Harvest struct {
	GracePeriodDays     int
	AutoMarkDeleted     bool
	ExpireAfter         time.Duration
	MissingGuardPercent int
}

// Tasks says how long the answers of task routes are kept.
type Tasks struct {
	Retention time.Duration
}

// Worker is the life of a process that serves HTTP.
type Worker struct {
	MaxRequests       int
	MaxRequestsJitter int
	MaxAge            time.Duration // 0 is no limit
	MaxMemory         int64         // bytes, 0 is no limit
	Timeout           time.Duration // of one request
	GracefulTimeout   time.Duration
	KeepAlive         time.Duration
	ReadTimeout       time.Duration // of headers, and of a body without progress
	BodyGrace         time.Duration // for which a body may arrive at any pace
}

// Sync is the work of the synchroniser.
type Sync struct {
	Lease           time.Duration
	PollInterval    time.Duration
	BackoffMin      time.Duration
	BackoffMax      time.Duration
	LargeARC        int64 // bytes
	SizeLimit       int64 // bytes
	OnForeignCommit string
}

// OTel is tracing with OpenTelemetry.
type OTel struct {
	Endpoint        string // "" is off
	LogConsoleSpans bool
	SampleRatio     float64
}

// Admin says where the processes open their sockets for operators.
type Admin struct {
	Directory string // "" is the runtime directory of the unit
	Group     string // whose members are operators; "" is none
	// Operators are names or fingerprints of client certificates.
	Operators []string
	// OperatorOID is the certificate extension that makes its holder an operator; "" is none.
	OperatorOID string
}
