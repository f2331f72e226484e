package config

import (
	"time"

	"github.com/fairagro/middleware-api/internal/config/setting"
)

// The rows of the table for what is at the top of the file and for what the
// HTTP side needs.

const (
	rdiPattern = `[a-zA-Z0-9_.-]+`
	rdiWords   = "made of letters, digits, dots, hyphens and underscores"
	oidPattern = `[0-2](\.(0|[1-9][0-9]*))+`
)

func general(c *Config) []setting.Setting {
	return []setting.Setting{
		{
			Path: "log_level", Target: (*setting.Level)(&c.LogLevel), Default: "INFO", Env: []string{"GUNICORN_LOG_LEVEL"},
			Doc: "The least important messages that are logged.",
		},
		{
			Path: "log_format", Target: &c.LogFormat, Default: "auto", Rule: setting.OneOf(&c.LogFormat, "auto", "text", "json", "journal"),
			Doc: "How messages are written. auto is coloured text on a terminal, the systemd journal's own form under systemd, and plain text elsewhere.",
		},
		{
			Path: "listen", Target: &c.Listen, Default: `["127.0.0.1:8000"]`,
			Doc: "Where to listen without systemd: HOST:PORT, [IPv6]:PORT, or unix:/PATH. Under systemd the sockets of middleware-api.socket are used instead. UVICORN_HOST and UVICORN_PORT stand in for it.",
		},
		{
			Path: "known_rdis", Target: &c.KnownRDIs, Default: "[]", Example: "[edal, bonares]", Rule: setting.Match(&c.KnownRDIs, rdiPattern, rdiWords), Member: "id",
			Doc: "The research data infrastructures whose ARCs are accepted. An entry may also be a mapping with the name as id.",
		},
		{
			Path: "require_client_cert", Target: &c.RequireClientCert, Default: "true",
			Doc: "Refuses requests without a client certificate. With false, a request without one may use every known RDI: for trials only.",
		},
		{
			Path: "client_auth_oid", Target: &c.ClientAuthOID, Default: `"1.3.6.1.4.1.64609.1.1"`,
			Rule: setting.Match(&c.ClientAuthOID, oidPattern, "an object identifier such as 1.3.6.1.4.1.64609.1.1"),
			Doc:  "The certificate extension that lists the RDIs a client may write to.",
		},
		{
			Path: "trusted_proxies", Target: &c.TrustedProxies, Default: `[127.0.0.0/8, "::1/128", unix]`,
			Doc: "Addresses and networks whose certificate headers are believed; unix stands for unix sockets. Headers from elsewhere are ignored.",
		},
		{
			Path: "body_limit", Target: (*setting.Size)(&c.BodyLimit), Default: "32MiB",
			Rule: setting.Between((*setting.Size)(&c.BodyLimit), 1<<10, 4<<30),
			Doc:  "The largest body of a request. A larger one is refused with 413.",
		},
		{
			Path: "max_concurrent_requests", Target: &c.MaxConcurrentRequests, Default: "512",
			Doc: "How many requests one process works on at the same time; more are refused with 503. One that waits for its client does not count. 0 means no limit.",
		},
		{
			Path: "body_memory_limit", Target: (*setting.Size)(&c.BodyMemoryLimit), Example: "256MiB",
			Doc: "How much memory the bodies of all requests of one process, and the contents that clients read, may take; one client alone gets half of it. More are refused with 503. 0 means eight times body_limit, or less where the control group (a container, MemoryMax=) has no room for that.",
		},
		{
			Path: "request_timeout", Target: (*setting.Duration)(&c.RequestTimeout), Default: "25s",
			Rule: setting.AtLeast((*setting.Duration)(&c.RequestTimeout), setting.Duration(time.Second)),
			Doc:  "When a request that was not answered ends with an error that clients try again. It has to be shorter than what clients wait, which is often 30 seconds. Streams are not limited by it.",
		},
		{
			Path: "max_event_streams", Target: &c.MaxEventStreams, Default: "256", Rule: setting.AtLeast(&c.MaxEventStreams, 1),
			Doc: "How many clients of one process may follow the progress of harvests at the same time.",
		},
		{
			Path: "retry_after_seconds", Target: (*setting.Duration)(&c.RetryAfter), Default: "5",
			Rule: setting.That("whole seconds, at least 1", func() bool {
				return c.RetryAfter >= time.Second && c.RetryAfter%time.Second == 0
			}),
			Doc: "When a refused client is asked to try again, before some chance is added.",
		},
		{
			Path: "v1_status", Target: &c.V1Status, Default: "created", Rule: setting.OneOf(&c.V1Status, "created", "accepted"),
			Doc: "The status of a successful upload over v1: created answers 201 or 200 as the first generation did, accepted answers 202 as the later ones.",
		},
		{
			Path: "validation", Target: &c.Validation, Default: "report", Rule: setting.OneOf(&c.Validation, "report", "strict"),
			Doc: "What happens to an ARC that cannot become an ARC folder: report stores it with its findings, strict refuses it with 422.",
		},
		{
			Path: "max_event_log_size", Target: &c.MaxEventLogSize, Default: "100", Rule: setting.Between(&c.MaxEventLogSize, 1, 10000),
			Doc: "How many events are kept for each ARC; the oldest go first.",
		},
	}
}

func database(c *Config) []setting.Setting {
	d := &c.Database
	return []setting.Setting{
		{
			Path: "database.url", Target: &d.URL, Default: `"postgresql:///middleware-api?host=/run/postgresql"`,
			Doc: "How to reach PostgreSQL (15 or newer): a URL or a list of key=value pairs as libpq reads it. The default is this machine's own server, which knows the service by its user name.",
		},
		{
			Path: "database.password", Target: &d.Password, Credentials: []string{"database-password"},
			Doc: "The password for the database. It takes precedence over one in the URL.",
		},
		{
			Path: "database.max_connections", Target: &d.MaxConnections, Default: "0", Rule: setting.Between(&d.MaxConnections, 0, 1000),
			Doc: "The largest number of connections of one process. 0 chooses: 4, and fewer where the workers would need more than 80 together. All processes together must stay below max_connections of the server.",
		},
	}
}

func tls(t *TLS) []setting.Setting {
	return []setting.Setting{
		{
			Path: "tls.certificate", Target: &t.Certificate, Required: true, Example: "/etc/middleware-api/tls/server.pem",
			Doc: "PEM file with the certificate of the service and its intermediate certificates.",
		},
		{
			Path: "tls.key", Target: &t.Key, Required: true, Example: "/etc/middleware-api/tls/server.key",
			Doc: "PEM file with the key of the certificate.",
		},
		{
			Path: "tls.client_ca", Target: &t.ClientCA, Required: true, Example: "/etc/middleware-api/tls/clients.pem",
			Doc: "PEM file with the authorities that sign the certificates of clients.",
		},
	}
}

func worker(w *Worker) []setting.Setting {
	return []setting.Setting{
		{
			Path: "worker.max_requests", Target: &w.MaxRequests, Default: "0", Rule: setting.AtLeast(&w.MaxRequests, 0),
			Doc: "Replaces a process after so many requests; 0 never does.",
		},
		{
			Path: "worker.max_requests_jitter", Target: &w.MaxRequestsJitter, Default: "100", Rule: setting.AtLeast(&w.MaxRequestsJitter, 0),
			Doc: "Adds up to so many requests by chance, so that processes are not replaced all at once.",
		},
		{
			Path: "worker.max_age", Target: (*setting.Duration)(&w.MaxAge), Default: "24h",
			Doc: "Replaces a process that has lived so long, 10 % more or less by chance; 0 never does.",
		},
		{
			Path: "worker.max_memory", Target: (*setting.Size)(&w.MaxMemory), Default: "1GiB",
			Doc: "Replaces a process that uses more memory than this; 0 never does.",
		},
		{
			Path: "worker.timeout", Target: (*setting.Duration)(&w.Timeout), Default: "120s",
			Rule: setting.AtLeast((*setting.Duration)(&w.Timeout), setting.Duration(time.Second)),
			Doc:  "The longest time one request may take. Streams are not limited by it.",
		},
		{
			Path: "worker.graceful_timeout", Target: (*setting.Duration)(&w.GracefulTimeout), Default: "30s",
			Rule: setting.AtLeast((*setting.Duration)(&w.GracefulTimeout), setting.Duration(time.Second)),
			Doc:  "How long a process that ends goes on with the requests it has. TimeoutStopSec= of the unit must be longer.",
		},
		{
			Path: "worker.keepalive", Target: (*setting.Duration)(&w.KeepAlive), Default: "5s",
			Rule: setting.AtLeast((*setting.Duration)(&w.KeepAlive), setting.Duration(time.Second)),
			Doc:  "How long a connection may wait for its next request.",
		},
		{
			Path: "worker.read_timeout", Target: (*setting.Duration)(&w.ReadTimeout), Default: "30s",
			Rule: setting.AtLeast((*setting.Duration)(&w.ReadTimeout), setting.Duration(time.Second)),
			Doc:  "How long to wait for the headers of a request, and for the next part of a body.",
		},
		{
			Path: "worker.body_grace", Target: (*setting.Duration)(&w.BodyGrace), Default: "20s",
			Rule: setting.AtLeast((*setting.Duration)(&w.BodyGrace), setting.Duration(time.Second)),
			Doc:  "How long a body may arrive at any pace; after that a client that sends less than 1 KiB per second on average is cut off.",
		},
	}
}
