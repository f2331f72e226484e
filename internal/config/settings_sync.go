package config

import (
	"strings"
	"time"

	"github.com/fairagro/middleware-api/internal/config/setting"
)

// The rows of the table for harvests, git stores, the synchroniser and
// observation.

const tokenCredential = "gitlab-token"

// trimmedLower takes a text as the former configuration took GitLab groups.
type trimmedLower string

// Set trims the text and makes it small.
func (t *trimmedLower) Set(text string) error {
	*t = trimmedLower(strings.ToLower(strings.TrimSpace(text)))
	return nil
}

// String gives the text.
func (t *trimmedLower) String() string { return string(*t) }

// Type names the type in the documentation.
func (t *trimmedLower) Type() string { return "text" }

func gitRepo(g *GitRepo, role Role) []setting.Setting {
	return []setting.Setting{
		{
			Path: "git_repo.url", Target: &g.URL, Required: true, Example: "https://git.example.org",
			Rule: location(&g.URL, "https://", "http://", "file://"),
			Doc:  "The git server, or the folder of the bare repositories.",
		},
		{
			Path: "git_repo.group", Target: &g.Group, Required: true, Example: "arcs", Rule: notBlank(&g.Group),
			Doc: "The group, or the folder below the URL, that holds the repositories.",
		},
		{
			Path: "git_repo.branch", Target: &g.Branch, Default: "main", Rule: branch(&g.Branch),
			Doc: "The branch that is pushed to.",
		},
		{
			Path: "git_repo.token", Target: &g.Token, Withheld: role == RoleServe, Credentials: []string{tokenCredential},
			Doc: "The access token for pushing, and for GitLab's REST interface. It belongs to the synchroniser alone: give it as a credential, not in this file.",
		},
		{
			Path: "git_repo.user_name", Target: &g.UserName, Default: "Middleware API", Rule: notBlank(&g.UserName),
			Doc: "The author of the commits.",
		},
		{
			Path: "git_repo.user_email", Target: &g.UserEmail, Default: "middleware@fairagro.net", Rule: notBlank(&g.UserEmail),
			Doc: "The mail address of the author.",
		},
		{
			Path: "git_repo.max_workers", Target: &g.MaxWorkers, Default: "5", Rule: setting.AtLeast(&g.MaxWorkers, 1),
			Doc: "How many repositories are pushed to at the same time.",
		},
		{
			Path: "git_repo.command_timeout", Target: (*setting.Duration)(&g.CommandTimeout), Example: "120",
			Doc: "The longest time one exchange with the git server may take.",
		},
		{
			Path: "git_repo.http_low_speed_limit", Target: &g.HTTPLowSpeedLimit, Example: "1000", Rule: setting.AtLeast(&g.HTTPLowSpeedLimit, 0),
			Doc: "A transfer that is slower than so many bytes per second for http_low_speed_time is given up.",
		},
		{
			Path: "git_repo.http_low_speed_time", Target: (*setting.Duration)(&g.HTTPLowSpeedTime), Example: "30",
			Doc: "How long a transfer may be slower than http_low_speed_limit.",
		},
		{
			Path: "git_repo.rdi_gitlab_topics", Target: &g.RDIGitLabTopics, Default: "{}", Example: `{edal: "e!DAL", bonares: bonares}`,
			Doc: "The GitLab topic for the projects of each RDI. When known_rdis is set, its RDIs and those here must be the same.",
		},
		{
			Path: "git_repo.projects_per_hour", Target: &g.ProjectsPerHour, Default: "0", Rule: setting.AtLeast(&g.ProjectsPerHour, 0),
			Doc: "How many GitLab projects may be created in an hour; 0 leaves it to GitLab's own limits.",
		},
		{
			Path: "git_repo.projects_visibility", Target: &g.ProjectsVisibility, Default: "private",
			Rule: setting.OneOf(&g.ProjectsVisibility, "private", "internal", "public"),
			Doc:  "The visibility of GitLab projects that are created.",
		},
	}
}

func gitLabAPI(g *GitLabAPI, role Role) []setting.Setting {
	return []setting.Setting{
		{
			Path: "gitlab_api.url", Target: &g.URL, Required: true, Example: "https://git.example.org",
			Rule: location(&g.URL, "https://", "http://"),
			Doc:  "The address of the GitLab server.",
		},
		{
			Path: "gitlab_api.group", Target: (*trimmedLower)(&g.Group), Required: true, Example: "arcs", Rule: notBlank(&g.Group),
			Doc: "The group that holds the projects.",
		},
		{
			Path: "gitlab_api.branch", Target: &g.Branch, Default: "main", Rule: branch(&g.Branch),
			Doc: "The branch that is committed to.",
		},
		{
			Path: "gitlab_api.token", Target: &g.Token, Required: role == RoleSync, Withheld: role == RoleServe, Credentials: []string{tokenCredential},
			Doc: "The access token, with the scope api. It belongs to the synchroniser alone: give it as a credential, not in this file.",
		},
		{
			Path: "gitlab_api.max_workers", Target: &g.MaxWorkers, Default: "5", Rule: setting.AtLeast(&g.MaxWorkers, 1),
			Doc: "How many projects are committed to at the same time.",
		},
		{
			Path: "gitlab_api.commit_chunk_size", Target: &g.CommitChunkSize, Default: "100", Rule: setting.AtLeast(&g.CommitChunkSize, 1),
			Doc: "How many files one commit request carries at most.",
		},
	}
}

func notBlank(v *string) setting.Rule {
	return setting.That("not blank", func() bool { return strings.TrimSpace(*v) != "" })
}

func branch(v *string) setting.Rule {
	return setting.Match(v, `[^\s~^:?*\[\\-][^\s~^:?*\[\\]*`, "a name that git allows for a branch")
}

func harvest(c *Config) []setting.Setting {
	h := &c.Harvest
	return []setting.Setting{
		{
			Path: "harvest.grace_period_days", Target: &h.GracePeriodDays, Default: "14", Rule: setting.AtLeast(&h.GracePeriodDays, 0),
			Doc: "How many days an ARC that complete harvests no longer contain stays missing before it counts as deleted.",
		},
		{
			Path: "harvest.auto_mark_deleted", Target: &h.AutoMarkDeleted, Default: "false",
			Doc: "Lets missing ARCs become deleted after the grace period. Repositories are never deleted.",
		},
		{
			Path: "harvest.expire_after", Target: (*setting.Duration)(&h.ExpireAfter), Default: "24h",
			Doc: "A harvest without any upload for so long is closed as failed; 0 keeps it open.",
		},
		{
			Path: "harvest.missing_guard_percent", Target: &h.MissingGuardPercent, Default: "20", Rule: setting.Between(&h.MissingGuardPercent, 0, 100),
			Doc: "A harvest that would mark more than this part of the ARCs of its RDI as missing marks none and says so. 100 switches the guard off.",
		},
		{
			Path: "tasks.retention", Target: (*setting.Duration)(&c.Tasks.Retention), Default: "30d",
			Rule: setting.AtLeast((*setting.Duration)(&c.Tasks.Retention), setting.Duration(time.Hour)),
			Doc:  "How long the state of a task can be asked for.",
		},
	}
}

func synchroniser(s *Sync) []setting.Setting {
	return []setting.Setting{
		{
			Path: "sync.lease", Target: (*setting.Duration)(&s.Lease), Default: "3s",
			Rule: setting.AtLeast((*setting.Duration)(&s.Lease), setting.Duration(time.Second)),
			Doc:  "How long a synchroniser that died keeps the ARCs it was pushing from the others.",
		},
		{
			Path: "sync.poll_interval", Target: (*setting.Duration)(&s.PollInterval), Default: "2s",
			Rule: setting.AtLeast((*setting.Duration)(&s.PollInterval), setting.Duration(100*time.Millisecond)),
			Doc:  "How often to look for ARCs that are due when the database did not say so.",
		},
		{
			Path: "sync.backoff_min", Target: (*setting.Duration)(&s.BackoffMin), Default: "2s",
			Rule: setting.AtLeast((*setting.Duration)(&s.BackoffMin), setting.Duration(100*time.Millisecond)),
			Doc:  "The first pause after a push that failed for a passing reason. Each further one doubles it.",
		},
		{
			Path: "sync.backoff_max", Target: (*setting.Duration)(&s.BackoffMax), Default: "1h",
			Rule: setting.AtLeast((*setting.Duration)(&s.BackoffMax), setting.Duration(time.Second)),
			Doc:  "The longest pause between two attempts. The number of attempts is not limited.",
		},
		{
			Path: "sync.large_arc", Target: (*setting.Size)(&s.LargeARC), Default: "256MiB",
			Rule: setting.AtLeast((*setting.Size)(&s.LargeARC), 1<<20),
			Doc:  "ARCs above this size are pushed by the git program from a private folder instead of from memory.",
		},
		{
			Path: "sync.size_limit", Target: (*setting.Size)(&s.SizeLimit), Default: "4GiB",
			Rule: setting.AtLeast((*setting.Size)(&s.SizeLimit), 1<<20),
			Doc:  "ARCs above this size are not pushed but parked.",
		},
		{
			Path: "sync.on_foreign_commit", Target: &s.OnForeignCommit, Default: ForeignOverwrite,
			Rule: setting.OneOf(&s.OnForeignCommit, ForeignOverwrite, ForeignKeep, ForeignPark),
			Doc:  "What to do when somebody else has committed to a repository: overwrite_on_top adds a commit with our content and keeps theirs in the history, keep leaves theirs, park waits for a decision.",
		},
	}
}

func observation(c *Config) []setting.Setting {
	return []setting.Setting{
		{
			Path: "otel.endpoint", Target: &c.OTel.Endpoint, Example: "http://collector.example.org:4318",
			Rule: optional(&c.OTel.Endpoint, location(&c.OTel.Endpoint, "https://", "http://")),
			Doc:  "Where traces are sent with OTLP over HTTP; /v1/traces is added. Without it nothing is traced.",
		},
		{
			Path: "otel.log_console_spans", Target: &c.OTel.LogConsoleSpans, Default: "false",
			Doc: "Logs every span when it ends.",
		},
		{
			Path: "otel.sample_ratio", Target: &c.OTel.SampleRatio, Default: "1", Rule: setting.Between(&c.OTel.SampleRatio, 0, 1),
			Doc: "The part of the requests that is traced, when the client has not decided.",
		},
		{
			Path: "admin.directory", Target: &c.Admin.Directory, Example: "/run/middleware-api",
			Rule: setting.Match(&c.Admin.Directory, `(/.*)?`, "an absolute path"),
			Doc:  "Where each process opens a unix socket with the console and its own metrics: admin-1.sock for the first worker, admin-sync.sock for the synchroniser. Without it, the runtime directory of the unit; without systemd, none. Under systemd operators use /run/middleware-api/admin.sock, which has the metrics of all of them.",
		},
		{
			Path: "admin.group", Target: &c.Admin.Group, Example: "adm",
			Rule: setting.Match(&c.Admin.Group, `([A-Za-z_][A-Za-z0-9_.-]*)?`, "the name of a group"),
			Doc:  "A group of this machine whose members are operators, besides root: they may use the console and read the metrics on the unix sockets. What they do is written to the audit trail under their names.",
		},
		{
			Path: "admin.operators", Target: &c.Admin.Operators, Default: "[]", Example: `["jane@example.org"]`,
			Rule: setting.Match(&c.Admin.Operators, `(sha256:[0-9a-f]{64}|[^\s:][^:]*)`, "the common name of a client certificate, or sha256: and its fingerprint in hexadecimal digits"),
			Doc:  "The client certificates, by common name or as sha256:FINGERPRINT, whose holders are operators: they may use /console over HTTP and see and change everything there. With any other certificate /console shows the data of its own RDIs, and changes nothing. A name counts whoever of the authorities in tls.client_ca, or of the proxy, signed it; a fingerprint names one certificate.",
		},
		{
			Path: "admin.operator_oid", Target: &c.Admin.OperatorOID, Example: `"1.3.6.1.4.1.64609.1.2"`,
			Rule: setting.Match(&c.Admin.OperatorOID, "("+oidPattern+")?", "an object identifier such as 1.3.6.1.4.1.64609.1.2"),
			Doc:  "A certificate extension that makes its holder an operator as well, whatever is in it. It counts in certificates that were verified like all others, whoever of the accepted authorities signed them: set it only if none of these puts extensions into certificates that it was merely asked for. Without it, admin.operators alone decides.",
		},
	}
}
