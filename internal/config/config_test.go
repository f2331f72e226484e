package config_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/config/setting"
)

// options describes a machine on which nothing but the given file and
// variables exist.
func options(tb testing.TB, role config.Role, file string, environ ...string) config.Options {
	tb.Helper()
	dir := tb.TempDir()
	o := config.Options{
		Role: role, Path: filepath.Join(dir, "config.yaml"), Environ: append([]string{"HOME=/"}, environ...),
		Secrets: filepath.Join(dir, "secrets"), Credentials: filepath.Join(dir, "credentials"),
	}
	write(tb, o.Path, file)
	return o
}

func write(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

func mustLoad(tb testing.TB, o config.Options) *config.Loaded {
	tb.Helper()
	l, err := config.Load(o)
	if err != nil {
		tb.Fatalf("load: %v", err)
	}
	return l
}

// problems loads what must not load and gives all problems in one text.
func problems(tb testing.TB, o config.Options) string {
	tb.Helper()
	_, err := config.Load(o)
	if _, ok := errors.AsType[*setting.Invalid](err); !ok {
		tb.Fatalf("load: got %v, want *setting.Invalid", err)
	}
	return err.Error()
}

// Without a file the service runs with documented defaults, and ARCs go to
// local repositories.
func TestDefaults(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, config.Options{Environ: []string{"HOME=/"}, Places: []string{"/nonexistent"}, Secrets: "/nonexistent"})
	got := l.Config
	want := config.Config{
		LogLevel: slog.LevelInfo, LogFormat: "auto", Listen: []string{"127.0.0.1:8000"}, KnownRDIs: []string{},
		ClientAuthOID: "1.3.6.1.4.1.64609.1.1", RequireClientCert: true,
		TrustedProxies: []string{"127.0.0.0/8", "::1/128", "unix"},
		BodyLimit:      32 << 20, V1Status: "created", Validation: "report", MaxEventLogSize: 100, RequestTimeout: 25 * time.Second, MaxEventStreams: 256, MaxConcurrentRequests: 512, RetryAfter: 5 * time.Second,
		GitRepo: &config.GitRepo{
			URL: "file:///var/lib/middleware-api/arcs", Group: "arcs", Branch: "main", UserName: "Middleware API",
			UserEmail: "middleware@fairagro.net", MaxWorkers: 5, RDIGitLabTopics: map[string]string{}, ProjectsVisibility: "private",
		},
		Harvest: config.Harvest{GracePeriodDays: 14, ExpireAfter: 24 * time.Hour, MissingGuardPercent: 20},
		Tasks:   config.Tasks{Retention: 30 * 24 * time.Hour},
		Worker: config.Worker{
			MaxRequestsJitter: 100, MaxAge: 24 * time.Hour, MaxMemory: 1 << 30, Timeout: 2 * time.Minute,
			GracefulTimeout: 30 * time.Second, BodyGrace: 20 * time.Second, KeepAlive: 5 * time.Second, ReadTimeout: 30 * time.Second,
		},
		Sync: config.Sync{
			Lease: 3 * time.Second, PollInterval: 2 * time.Second, BackoffMin: 2 * time.Second, BackoffMax: time.Hour,
			LargeARC: 256 << 20, SizeLimit: 4 << 30, OnForeignCommit: "overwrite_on_top",
		},
		OTel:  config.OTel{SampleRatio: 1},
		Admin: config.Admin{Operators: []string{}},
	}
	if dsn := got.Database.URL.Reveal(); dsn != "postgresql:///middleware-api?host=/run/postgresql" {
		t.Errorf("database %q", dsn)
	}
	got.Database.URL = config.DSN{}
	secrets := cmp.Comparer(func(a, b setting.Secret) bool { return a.Reveal() == b.Reveal() })
	if diff := cmp.Diff(want, got, secrets); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if len(l.Warnings) > 0 || l.Path != "" {
		t.Errorf("path %q, warnings %v", l.Path, l.Warnings)
	}
}

// former is a configuration of the stack that is replaced.
const former = `log_level: WARNING
known_rdis: [edal, bonares]
require_client_cert: true
client_auth_oid: "1.3.6.1.4.1.64609.1.1"
git_repo:
  url: https://git.example.org
  group: arcs
  command_timeout: 12.5
  cache_dir: /tmp/cache
  rdi_gitlab_topics: {edal: " e!DAL ", bonares: bonares}
couchdb: {}
celery: {}
harvest:
max_concurrent_requests: 64
otel: {endpoint: "http://collector.example.org:4318"}
`

// A configuration of the former stack is understood; what is retired warns.
func TestFormerConfigurationIsUnderstood(t *testing.T) {
	t.Parallel()
	o := options(t, config.RoleSync, former, "GIT_REPO_TOKEN=123456", "COUCHDB_URL=http://db", "CELERY_BROKER_URL=amqp://q")
	l := mustLoad(t, o)
	if l.LogLevel != slog.LevelWarn || l.MaxConcurrentRequests != 64 || l.OTel.Endpoint != "http://collector.example.org:4318" {
		t.Errorf("got %+v", l.Config)
	}
	if l.GitRepo.Token.Reveal() != "123456" || l.GitRepo.CommandTimeout != 12500*time.Millisecond || l.GitRepo.RDIGitLabTopics["edal"] != "e!DAL" {
		t.Errorf("git_repo %+v, token %q", l.GitRepo, l.GitRepo.Token.Reveal())
	}
	var got []string
	for _, w := range l.Warnings {
		got = append(got, fmt.Sprintf("%d %s", w.Line, w.Path))
	}
	if want := []string{"9 git_repo.cache_dir", "11 couchdb", "12 celery"}; !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}

// A setting of the first generation that has another name now counts, with a
// warning, unless its successor is given as well.
func TestRenamedSettingsCount(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, options(t, config.RoleServe, "otel_endpoint: http://a:4318\notel_log_console_spans: true\n"))
	if l.OTel.Endpoint != "http://a:4318" || !l.OTel.LogConsoleSpans {
		t.Errorf("got %+v", l.OTel)
	}
	if len(l.Warnings) != 2 || !strings.Contains(l.Warnings[0].String(), ":1: warning: otel_endpoint: is called otel.endpoint now") {
		t.Errorf("warnings %v", l.Warnings)
	}
	for _, text := range []string{"otel_endpoint: http://a:4318\notel: {endpoint: 'http://b:4318'}\n", "otel: {endpoint: 'http://b:4318'}\notel_endpoint: http://a:4318\n"} {
		if l := mustLoad(t, options(t, config.RoleServe, text)); l.OTel.Endpoint != "http://b:4318" {
			t.Errorf("%q gives %q", text, l.OTel.Endpoint)
		}
	}
	if l := mustLoad(t, options(t, config.RoleServe, "otel_endpoint: http://a:4318\n", "_OTEL_ENDPOINT=http://c:4318", "_OTEL_LOG_CONSOLE_SPANS=true")); l.OTel.Endpoint != "http://c:4318" || !l.OTel.LogConsoleSpans {
		t.Errorf("the variables of the first generation give %+v", l.OTel)
	}
	if l := mustLoad(t, options(t, config.RoleServe, "otel: {endpoint: ''}\n")); l.OTel.Endpoint != "" {
		t.Errorf("an empty endpoint gives %q", l.OTel.Endpoint)
	}
	if got := problems(t, options(t, config.RoleServe, "otel_endpoint: nonsense\n")); !strings.Contains(got, ":1: otel.endpoint: ") {
		t.Errorf("problems: %s", got)
	}
}

// The last generation put the store into a section of its own, with a part that
// several stores share, and described its RDIs. Whatever the order, what is said of
// the store itself counts for more than what is shared.
func TestConfigurationOfTheLastGeneration(t *testing.T) {
	t.Parallel()
	const file = `known_rdis:
  - bonares
  - id: edal
    description: e!DAL research data repository
    url: https://edal.example.org
arc_store:
  git: {branch: shared, user_name: Shared, user_email: shared@example.org}
  git_repo:
    url: https://git.example.org
    group: arcs
    branch: own
    cache_dir: /tmp/cache
    rdi_gitlab_topics: {edal: "e!DAL", bonares: bonares}
consolidated_store:
  consolidated_git: {repo_url: "https://git.example.org/catalogue.git"}
rate_limiting: {enabled: true, arc_submit_per_minute: 60}
`
	l := mustLoad(t, options(t, config.RoleSync, file))
	if !slices.Equal(l.KnownRDIs, []string{"bonares", "edal"}) {
		t.Errorf("RDIs %q", l.KnownRDIs)
	}
	if g := l.GitRepo; g.URL != "https://git.example.org" || g.Branch != "own" || g.UserName != "Shared" || g.UserEmail != "shared@example.org" || g.RDIGitLabTopics["edal"] != "e!DAL" {
		t.Errorf("store %+v", g)
	}
	var got []string
	for _, w := range l.Warnings {
		got = append(got, fmt.Sprintf("%d %s", w.Line, w.Path))
	}
	if want := []string{"2 known_rdis", "7 arc_store.git", "8 arc_store.git_repo", "12 git_repo.cache_dir", "14 consolidated_store", "16 rate_limiting"}; !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
	for _, c := range []struct{ file, environ, secret, branch, token string }{
		{"arc_store:\n  git_repo: {url: https://g, group: a, branch: own}\n  git: {branch: shared, token: t1}\n", "", "", "own", "t1"},
		{"arc_store: {git_repo: {url: https://g, group: a, branch: own, token: t1}}\ngit_repo: {branch: top}\n", "", "", "top", "t1"},
		{"git_repo: {branch: top}\narc_store: {git_repo: {url: https://g, group: a, branch: own, token: t1}}\n", "", "", "top", "t1"},
		{"arc_store: {git_repo: {url: https://g, group: a, token: t1}}\n", "ARC_STORE_GIT_REPO_TOKEN=t2", "", "main", "t2"},
		{"arc_store: {git_repo: {url: https://g, group: a, token: t1}}\n", "", "arc_store_git_token", "main", "t3"},
		{"allowed_rdis: [edal]\narc_store: {type: git_repo, git_repo: {url: https://g, group: a, token: t1}}\n", "", "", "main", "t1"},
	} {
		for role, want := range map[config.Role]string{config.RoleServe: "", config.RoleSync: c.token} {
			o := options(t, role, c.file, c.environ)
			if c.secret != "" {
				write(t, filepath.Join(o.Secrets, c.secret), "t3\n")
			}
			if g := mustLoad(t, o).GitRepo; g.URL != "https://g" || g.Branch != c.branch || g.Token.Reveal() != want {
				t.Errorf("%q, %q, role %d: branch %s, token %q, want %s and %q", c.file, c.environ, role, g.Branch, g.Token.Reveal(), c.branch, want)
			}
		}
	}
	if l := mustLoad(t, options(t, config.RoleServe, "arc_store: {gitlab_api: {url: https://g, group: a}}")); l.GitLabAPI == nil || l.GitRepo != nil {
		t.Error("a store over GitLab's own interface is not taken")
	}
	for text, want := range map[string]string{
		"known_rdis:\n  - name: edal\n":                                  ":2: known_rdis: element 1 (line 2) has no id",
		"known_rdis: [{id: 7}]\n":                                        "known_rdis: element 1 (line 1) must be text",
		"arc_store:\n  git_repo:\n    url: https://g\n":                  ":3: git_repo.group: is required",
		"arc_store:\n  consolidated_git: {repo_url: x}\n":                ":2: arc_store.consolidated_git: unknown setting",
		"arc_store: git_repo\n":                                          ":1: arc_store: must be a mapping",
		"arc_store: {git_repo: {url: 'https://u:geheim@g', group: a}}\n": "git_repo.url: ",
	} {
		if got := problems(t, options(t, config.RoleServe, text)); !strings.Contains(got, want) || strings.Contains(got, "geheim") {
			t.Errorf("%q: got\n%s\nwant %q", text, got, want)
		}
	}
}

// A process that serves HTTP gets no git token, wherever it is, and needs
// none; the synchroniser gets it, and cannot do without where it must not.
func TestOnlyTheSynchroniserGetsTheToken(t *testing.T) {
	t.Parallel()
	const file = "gitlab_api: {url: https://g, group: ' ArCs '}\n"
	for _, role := range []config.Role{config.RoleServe, config.RoleTool} {
		if l := mustLoad(t, options(t, role, file)); !l.GitLabAPI.Token.IsZero() || l.GitLabAPI.Group != "arcs" {
			t.Errorf("role %d: %+v", role, l.GitLabAPI)
		}
	}
	if got := problems(t, options(t, config.RoleSync, file)); !strings.Contains(got, ":1: gitlab_api.token: is required; give it as credential gitlab-token") {
		t.Errorf("problems: %s", got)
	}
	for role, want := range map[config.Role]string{config.RoleServe: "", config.RoleSync: "s3cret", config.RoleTool: "s3cret"} {
		o := options(t, role, file, "GITLAB_API_TOKEN=")
		write(t, filepath.Join(o.Credentials, "gitlab-token"), "s3cret\n")
		write(t, filepath.Join(o.Secrets, "gitlab_api_token"), "other\n")
		if got := mustLoad(t, o).GitLabAPI.Token.Reveal(); got != want {
			t.Errorf("role %d got the token %q, want %q", role, got, want)
		}
	}
}

// The token of either kind of git store stays away from workers, whether it is in
// the file, the environment or a credential; the synchroniser finds it everywhere.
func TestNoTokenReachesAWorker(t *testing.T) {
	t.Parallel()
	stores := map[string]func(*config.Loaded) config.Secret{
		"git_repo":   func(l *config.Loaded) config.Secret { return l.GitRepo.Token },
		"gitlab_api": func(l *config.Loaded) config.Secret { return l.GitLabAPI.Token },
	}
	for section, token := range stores {
		for _, place := range []string{"file", "environment", "credential"} {
			for role, want := range map[config.Role]string{config.RoleServe: "", config.RoleSync: "s3cret"} {
				file, environ := section+": {url: https://g, group: a}\n", []string{}
				if place == "file" {
					file = section + ": {url: https://g, group: a, token: s3cret}\n"
				}
				if place == "environment" {
					environ = append(environ, strings.ToUpper(section)+"_TOKEN=s3cret")
				}
				o := options(t, role, file, environ...)
				if place == "credential" {
					write(t, filepath.Join(o.Credentials, "gitlab-token"), "s3cret\n")
				}
				if got := token(mustLoad(t, o)).Reveal(); got != want {
					t.Errorf("%s, token in the %s, role %d: got %q, want %q", section, place, role, got, want)
				}
			}
		}
	}
}

// Every mistake is named with its line, its source and what to do.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, environ, want string }{
		{"two stores", "git_repo: {url: https://g, group: a}\ngitlab_api: {url: https://g, group: a}", "", "config.yaml:1: git_repo.url: there are two git stores, git_repo and gitlab_api; remove one of the sections"},
		{"topics and RDIs differ", "known_rdis: [a]\ngit_repo:\n  url: https://g\n  group: x\n  rdi_gitlab_topics: {b: c}", "", `:5: git_repo.rdi_gitlab_topics: has no topic for "a"`},
		{"blank topic", "git_repo:\n  url: https://g\n  group: x\n  rdi_gitlab_topics: {b: ' '}", "", "neither an RDI nor its topic may be blank"},
		{"scheme", "git_repo: {url: ssh://g, group: a}", "", "must be a URL that begins with https:// or http:// or file://"},
		{"token in the URL", "git_repo: {url: 'https://oauth2:geheim@g', group: a}", "", "without user or password in it"},
		{"token that is a tag", "gitlab_api:\n  url: https://g\n  group: a\n  token: !geheim\n", "", "gitlab_api.token: must be text, but YAML reads it as a tag; put it in quotes"},
		{"token that is an anchor", "gitlab_api:\n  url: https://g\n  group: a\n  token: &geheim\n", "", ":4: gitlab_api.token: is empty: YAML reads what begins with &"},
		{"token without a blank", "gitlab_api: {url: https://g, group: a, token:geheim}", "", ":1: gitlab_api.token: there is no blank after the colon"},
		{"blank group", "git_repo: {url: https://g, group: ' '}", "", "git_repo.group: must be not blank"},
		{"missing group", "git_repo:\n  url: https://g", "", ":2: git_repo.group: is required"},
		{"branch", "git_repo: {url: https://g, group: a, branch: --force}", "", `git_repo.branch: "--force" must be a name that git allows`},
		{"RDI", "known_rdis: [a, 'b c']", "", `known_rdis: "b c" must be made of letters`},
		{"OID as number", "client_auth_oid: 1.3", "", `:1: client_auth_oid: must be text, but YAML reads it as a number; quote it: "1.3"`},
		{"OID", "client_auth_oid: 1.x.3", "", "must be an object identifier"},
		{"OID of operators", "admin: {operator_oid: 1.x.3}", "", "admin.operator_oid: \"1.x.3\" must be an object identifier"},
		{"OID of operators and RDIs", "client_auth_oid: '1.2.3'\nadmin: {operator_oid: '1.2.3'}", "", ":2: admin.operator_oid: must not be client_auth_oid: every client would be an operator"},
		{"retry", "retry_after_seconds: 0", "", "retry_after_seconds: must be whole seconds, at least 1"},
		{"proxy", "trusted_proxies: [proxy.example.org]", "", `trusted_proxies: "proxy.example.org" is neither an address nor a network; give an address`},
		{"listen", "listen: ['8000']", "", `listen: "8000" is not HOST:PORT`},
		{"listen path", "listen: ['unix:run/x']", "", "is not an absolute path"},
		{"listen port", "listen: ['h:99999']", "", "has no port between 0 and 65535"},
		{"typo", "known_rdi: [a]", "", "known_rdi: unknown setting; did you mean known_rdis?"},
		{"misplaced", "auto_mark_deleted: true", "", "did you mean harvest.auto_mark_deleted?"},
		{"backoff", "sync: {backoff_min: 2h}", "", "sync.backoff_max: must not be less than sync.backoff_min"},
		{"foreign", "sync: {on_foreign_commit: force}", "", "must be one of overwrite_on_top, keep, park"},
		{"body limit", "body_limit: 5", "", "body_limit: must be between 1KiB and 4GiB"},
		{"variable", "", "SYNC_BACKOFF_MAX=0.5", "variable SYNC_BACKOFF_MAX: sync.backoff_max: must be at least 1s"},
		{"level", "", "GUNICORN_LOG_LEVEL=verbose", `variable GUNICORN_LOG_LEVEL: log_level: "verbose" is not one of`},
		{"tls", "tls: {certificate: /c}", "", "tls.client_ca: is required"},
		{"database", "database: {url: 'postgres://u:geheim#x@h/d%zz'}", "", "database.url: is not a valid URL"},
	} {
		o := options(t, config.RoleServe, c.file, c.environ)
		if got := problems(t, o); !strings.Contains(got, c.want) {
			t.Errorf("%s: got\n%s\nwant %q", c.name, got, c.want)
		} else if strings.Contains(got, "geheim") {
			t.Errorf("%s: the password is in the message: %s", c.name, got)
		}
	}
}

// Values up to the limits of their settings are good, and those beyond are not.
func TestLimitsOfSettings(t *testing.T) {
	t.Parallel()
	const store = "git_repo: {url: https://g, group: a}\n"
	long := "unix:/" + strings.Repeat("x", 106)
	for _, good := range []string{
		"git_repo: {url: HTTPS://g, group: a}", "git_repo: {url: File:///x, group: a}", "gitlab_api: {url: HTTP://g, group: a, commit_chunk_size: 1}",
		"listen: [h:0, 'h:65535', " + long + "]", "body_limit: 1KiB", "body_limit: 4GiB", "max_event_streams: 1",
		"max_event_log_size: 1", "max_event_log_size: 10000", "retry_after_seconds: 1", "harvest: {missing_guard_percent: 0, grace_period_days: 0, expire_after: 0}",
		"harvest: {missing_guard_percent: 100}", "otel: {sample_ratio: 0}", "otel: {sample_ratio: 1}", "admin: {directory: ''}", "admin: {directory: /x}",
		"tasks: {retention: 1h}", "sync: {backoff_min: 10s, backoff_max: 10s}", "database: {max_connections: 1000}", "known_rdis: [a-Z_9.x]",
		store[:len(store)-2] + ", rdi_gitlab_topics: {a: b}}",
	} {
		mustLoad(t, options(t, config.RoleServe, good))
	}
	for _, c := range []struct{ file, want string }{
		{"git_repo: {url: 'https://', group: a}", "git_repo.url: must be a URL"}, {"git_repo: {url: 'https://a b:c', group: a}", "git_repo.url: must be a URL"},
		{"listen: [" + long + "x]", "is not an absolute path of at most 107 bytes"}, {"listen: ['h:65536']", "no port between"}, {"listen: ['h:-1']", "no port between"},
		{"body_memory_limit: -1", "out of range for a size"}, {"body_memory_limit: 0.5", "out of range for a size"},
		{"body_limit: 1023", "body_limit: must be"}, {"body_limit: 5GiB", "body_limit: must be"}, {"max_event_streams: 0", "max_event_streams: must be at least 1"},
		{"max_event_log_size: 0", "max_event_log_size: must be"}, {"max_event_log_size: 10001", "max_event_log_size: must be"},
		{"retry_after_seconds: 1.5", "retry_after_seconds: must be whole seconds"}, {"harvest: {missing_guard_percent: 101}", "harvest.missing_guard_percent: must be"},
		{"harvest: {missing_guard_percent: -1}", "harvest.missing_guard_percent: must be"}, {"harvest: {grace_period_days: -1}", "harvest.grace_period_days: must be"},
		{"harvest: {expire_after: -1}", "out of range for a duration"}, {"otel: {sample_ratio: 1.1}", "otel.sample_ratio: must be"}, {"otel: {sample_ratio: -0.1}", "otel.sample_ratio: must be"},
		{"admin: {directory: run}", "must be an absolute path"}, {"tasks: {retention: 59m}", "tasks.retention: must be at least 1h"}, {"known_rdis: ['']", "known_rdis: \"\" must be"},
		{"gitlab_api: {url: https://g, group: a, commit_chunk_size: 0}", "commit_chunk_size: must be at least 1"}, {"database: {max_connections: 1001}", "database.max_connections: must be"},
		{"known_rdis: [a]\n" + store[:len(store)-2] + ", rdi_gitlab_topics: {a: b, c: d}}", `"c" is not among known_rdis`},
		{strings.Repeat("# 63 bytes of a comment, which nobody wants to read in a file.\n", 70_000), "is larger than 4194304 bytes"},
	} {
		if got := problems(t, options(t, config.RoleServe, c.file)); !strings.Contains(got, c.want) {
			t.Errorf("%.100s: got %.300s, want %q", c.file, got, c.want)
		}
	}
	if l := mustLoad(t, options(t, config.RoleServe, "max_concurrent_requests: -1")); l.MaxConcurrentRequests != 0 {
		t.Errorf("got %d requests at a time, want no limit", l.MaxConcurrentRequests)
	}
	o := options(t, config.RoleServe, "")
	write(t, filepath.Join(o.Credentials, "database-password"), "pa55\n")
	if l := mustLoad(t, o); l.Database.Password.Reveal() != "pa55" {
		t.Errorf("got the password %q", l.Database.Password.Reveal())
	}
	// What can be read of a bad one is there to be shown.
	if l, err := config.Load(options(t, config.RoleServe, "body_limit: 1\nv1_status: accepted\n")); err == nil || l == nil || l.V1Status != "accepted" {
		t.Errorf("got %v, %v", l, err)
	}
}

// The file is found where it is documented, in that order; one that was named
// must be there.
func TestPlaces(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, second := filepath.Join(dir, "first"), filepath.Join(dir, "second")
	write(t, second, "v1_status: accepted")
	o := config.Options{Environ: []string{"X=y"}, Places: []string{first, second}, Secrets: dir}
	if l := mustLoad(t, o); l.Path != second || l.V1Status != "accepted" {
		t.Errorf("read %q", l.Path)
	}
	if err := os.Mkdir(first, 0o755); err != nil {
		t.Fatal(err)
	}
	if got := problems(t, o); !strings.Contains(got, "is a directory") {
		t.Errorf("what is at the first place cannot be read: %q", got)
	}
	if err := os.Remove(first); err != nil {
		t.Fatal(err)
	}
	write(t, first, "")
	if l := mustLoad(t, o); l.Path != first {
		t.Errorf("read %q, want the first place", l.Path)
	}
	o.Environ = []string{config.PathVariable + "=" + second}
	if l := mustLoad(t, o); l.Path != second {
		t.Errorf("read %q, want what the variable names", l.Path)
	}
	o.Path = first
	if l := mustLoad(t, o); l.Path != first {
		t.Errorf("read %q, want what the option names", l.Path)
	}
	o.Path = filepath.Join(dir, "missing")
	if got := problems(t, o); got != o.Path+": the configuration cannot be read: no such file or directory; create it, or name another file with --config or MIDDLEWARE_API_CONFIG" {
		t.Errorf("problem %q", got)
	}
	o.Path = dir
	if got := problems(t, o); !strings.Contains(got, "is a directory") {
		t.Errorf("problem %q", got)
	}
}

// Problems stand in the order of the file, also those that no single setting can know.
func TestProblemsStandInTheOrderOfTheFile(t *testing.T) {
	t.Parallel()
	o := options(t, config.RoleServe, "listn: x\nlisten: [nowhere]\nharvest:\n  expire_after: soon\n")
	var lines []string
	for _, line := range strings.Split(problems(t, o), "\n") {
		lines = append(lines, strings.TrimPrefix(line, o.Path)[:3])
	}
	if diff := cmp.Diff([]string{":1:", ":2:", ":4:"}, lines); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
}

// The variables of the former server move the socket, unless listen says so.
func TestUvicornVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		file, want string
		environ    []string
	}{
		{"", "0.0.0.0:8000", []string{"UVICORN_HOST=0.0.0.0"}},
		{"", "127.0.0.1:9000", []string{"UVICORN_PORT=9000"}},
		{"", "[::1]:9000", []string{"UVICORN_HOST=::1", "UVICORN_PORT=9000"}},
		{"", "[::1]:8000", []string{"UVICORN_HOST=[::1]"}},
		{"listen: ['h:1']", "h:1", []string{"UVICORN_PORT=9000"}},
		{"", "unix:/run/x.sock", []string{"LISTEN=unix:/run/x.sock", "UVICORN_PORT=9000"}},
	} {
		if l := mustLoad(t, options(t, config.RoleServe, c.file, c.environ...)); !slices.Equal(l.Listen, []string{c.want}) {
			t.Errorf("%q with %q listens on %q, want %q", c.file, c.environ, l.Listen, c.want)
		}
	}
	if got := problems(t, options(t, config.RoleServe, "", "UVICORN_PORT=http")); !strings.Contains(got, "has no port") {
		t.Errorf("problem %q", got)
	}
}

// The default git store can be pointed elsewhere by variables; it stays away
// when another store is configured.
func TestDefaultStoreFollowsVariables(t *testing.T) {
	t.Parallel()
	l := mustLoad(t, options(t, config.RoleSync, "", "GIT_REPO_URL=https://g.example.org", "GIT_REPO_TOKEN=t"))
	if l.GitRepo.URL != "https://g.example.org" || l.GitRepo.Group != "arcs" || l.GitRepo.Token.Reveal() != "t" || l.GitLabAPI != nil {
		t.Errorf("got %+v", l.GitRepo)
	}
	l = mustLoad(t, options(t, config.RoleTool, "gitlab_api: {url: https://g, group: a}", "GIT_REPO_URL=https://g"))
	if l.GitRepo != nil || l.GitLabAPI == nil {
		t.Errorf("two stores: %+v", l.GitRepo)
	}
}

func TestProxies(t *testing.T) {
	t.Parallel()
	c := config.Config{TrustedProxies: []string{"10.0.0.0/8", "::1", "unix"}}
	networks, unix, err := c.Proxies()
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")}
	if err != nil || !unix || !slices.Equal(networks, want) {
		t.Errorf("got %v, %v, %v, want %v and unix", networks, unix, err, want)
	}
}

// No field of the configuration is without a row in the table, and no two
// rows share a field or a variable.
func TestTableCoversTheConfiguration(t *testing.T) {
	t.Parallel()
	var c config.Config
	table := config.Table(&c, config.RoleTool)
	rows, names := map[any]string{}, map[string]string{}
	for _, s := range table.Settings {
		address := reflect.ValueOf(s.Target).Pointer()
		if other, twice := rows[address]; twice {
			t.Errorf("%s and %s share a field", s.Path, other)
		}
		rows[address] = s.Path
		name := table.EnvName(s.Path)
		if other, twice := names[name]; twice {
			t.Errorf("%s and %s share the variable %s", s.Path, other, name)
		}
		names[name] = s.Path
		if !strings.HasSuffix(s.Doc, ".") || len(s.Doc) < 20 {
			t.Errorf("%s is not documented in sentences: %q", s.Path, s.Doc)
		}
	}
	var walk func(path string, v reflect.Value)
	walk = func(path string, v reflect.Value) {
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct || v.Type() == reflect.TypeFor[config.Secret]() || v.Type() == reflect.TypeFor[config.DSN]() {
			if _, ok := rows[v.Addr().Pointer()]; !ok {
				t.Errorf("no setting fills %s", path)
			}
			return
		}
		for i := range v.NumField() {
			walk(path+"."+v.Type().Field(i).Name, v.Field(i))
		}
	}
	walk("Config", reflect.ValueOf(&c))
}

// commented is a setting in the sample.
var commented = regexp.MustCompile(`(?m)^( *)#([a-z0-9_]+:)`)

// The sample as it is shipped changes nothing, and taking the signs away gives
// every setting its documented default or example.
func TestSampleAgreesWithTheTable(t *testing.T) {
	t.Parallel()
	sample := string(config.Sample())
	nothing := mustLoad(t, options(t, config.RoleServe, ""))
	shipped := mustLoad(t, options(t, config.RoleServe, sample))
	compare := cmp.Comparer(func(a, b setting.Secret) bool { return a.Reveal() == b.Reveal() })
	if diff := cmp.Diff(nothing.Config, shipped.Config, compare); diff != "" || len(shipped.Warnings) > 0 {
		t.Errorf("the shipped sample changes the defaults: %s, %v", diff, shipped.Warnings)
	}
	table := config.Table(new(config.Config), config.RoleTool)
	if got := len(commented.FindAllString(sample, -1)); got != len(table.Settings) {
		t.Errorf("the sample shows %d settings, there are %d", got, len(table.Settings))
	}

	// One store can be configured at a time, so the sample is tried twice.
	active := commented.ReplaceAllString(sample, "$1$2")
	withGit := regexp.MustCompile(`(?m)^gitlab_api:\n(  .*\n|\n)*`).ReplaceAllString(active, "")
	full := mustLoad(t, options(t, config.RoleServe, withGit))
	if full.GitRepo == nil || full.GitRepo.URL != "https://git.example.org" || full.TLS == nil || full.BodyMemoryLimit != 256<<20 {
		t.Errorf("the examples were not taken: %+v", full.Config)
	}
	withAPI := regexp.MustCompile(`(?m)^git_repo:\n(  .*\n|\n)*`).ReplaceAllString(active, "")
	if full = mustLoad(t, options(t, config.RoleServe, withAPI)); full.GitLabAPI == nil || full.GitLabAPI.CommitChunkSize != 100 {
		t.Errorf("the examples were not taken: %+v", full.GitLabAPI)
	}
	for line := range strings.Lines(sample) {
		if len([]rune(line)) > 80 && !commented.MatchString(line) {
			t.Errorf("a line of %d columns: %s", len(line), line)
		}
	}
}

// The manual page and "config docs" know every setting, with type, default and
// variable, and every retired one.
func TestManualsAgreeWithTheTable(t *testing.T) {
	t.Parallel()
	page := strings.NewReplacer(`\-`, "-", `\(aq`, "'", `\(ti`, "~", `\e`, `\`).Replace(string(config.ManPage()))
	var docs bytes.Buffer
	if !config.Docs(&docs, "") {
		t.Fatal("there is nothing to say")
	}
	table := config.Table(new(config.Config), config.RoleTool)
	for _, s := range table.Settings {
		for name, text := range map[string]string{"page": page, "docs": strings.Join(strings.Fields(docs.String()), " ")} {
			for _, want := range []string{s.Path, s.Doc, table.EnvName(s.Path), s.Rule.Words, s.Default} {
				if !strings.Contains(text, want) {
					t.Errorf("the %s lacks %q of %s", name, want, s.Path)
				}
			}
		}
	}
	for _, r := range table.Retired {
		if r.Became != "" && !strings.Contains(page, "\n.B "+r.Path+"\nis called "+r.Became+" now") {
			t.Errorf("the manual page does not say what became of %s", r.Path)
		}
		if r.Became == "" && !strings.Contains(page, "\n.B "+r.Path+"\n"+r.Reason) {
			t.Errorf("the manual page does not say why there is no %s", r.Path)
		}
	}
	for line := range strings.Lines(string(config.ManPage())) {
		if strings.HasPrefix(line, ".") && !regexp.MustCompile(`^\.(TH|SH|SS|TP|PP|IP|B|BR|I|IR|br)\b`).MatchString(line) {
			t.Errorf("roff would take this line for a request: %s", line)
		}
	}
	docs.Reset()
	if !config.Docs(&docs, "sync.lease") || strings.Contains(docs.String(), "sync.poll") {
		t.Errorf("docs of one setting: %s", docs.String())
	}
	if config.Docs(&docs, "nonsense") {
		t.Error("there is something to say about nonsense")
	}
}

// What is shown gives every value and its origin, never a secret, and reads
// back as the same configuration.
func TestShow(t *testing.T) {
	t.Parallel()
	o := options(t, config.RoleSync, former, "GIT_REPO_TOKEN=pa55word", "HARVEST_GRACE_PERIOD_DAYS=3", "DATABASE_URL=postgres://u:pa55word@h/d")
	l := mustLoad(t, o)
	var out bytes.Buffer
	l.Show(&out)
	fmt.Fprintf(&out, "# %v %+v %#v\n", l.Config, l.Config, l.GitRepo)
	if data, err := json.Marshal(l.Config); err != nil {
		t.Fatal(err)
	} else {
		out.WriteString("# " + string(data) + "\n")
	}
	for _, want := range []string{
		"log_level: WARNING # " + o.Path + ":1\n", "body_limit: 32MiB # default\n", "  token: '***' # variable GIT_REPO_TOKEN\n",
		"  grace_period_days: 3 # variable HARVEST_GRACE_PERIOD_DAYS\n", `  rdi_gitlab_topics: {bonares: bonares, edal: e!DAL} # `,
		`  url: "postgres://u:***@h/d" # variable DATABASE_URL`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("shown lacks %q:\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "pa55word") {
		t.Errorf("the secret is shown:\n%s", out.String())
	}
	again := mustLoad(t, options(t, config.RoleSync, out.String()))
	hidden := cmp.Comparer(func(a, b setting.Secret) bool { return true })
	if diff := cmp.Diff(l.Config, again.Config, hidden); diff != "" {
		t.Errorf("read back (-want +got):\n%s", diff)
	}
}

// No file makes Load panic or print a secret.
func FuzzLoad(f *testing.F) {
	f.Add(former)
	f.Add(string(config.Sample()))
	f.Add("git_repo: {url: 'https://a:geheim@b', group: x, token: geheim}")
	f.Fuzz(func(t *testing.T, file string) {
		l, err := config.Load(options(t, config.RoleServe, file))
		if err != nil {
			if err.Error() == "" {
				t.Fatal("an error without words")
			}
			return
		}
		if (l.GitRepo == nil) == (l.GitLabAPI == nil) {
			t.Fatal("not exactly one git store")
		}
		if l.GitRepo != nil && !l.GitRepo.Token.IsZero() || l.GitLabAPI != nil && !l.GitLabAPI.Token.IsZero() {
			t.Fatal("a process that serves HTTP holds a token")
		}
	})
}
