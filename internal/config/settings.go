package config

import (
	"github.com/fairagro/middleware-api/internal/config/setting"
)

// defaultRepositories is where ARCs go when no git store is configured.
const defaultRepositories = "file:///var/lib/middleware-api/arcs"

// Table gives the description of all settings, bound to c, as seen by a
// process with the given role. The sections that c may do without are
// allocated.
func Table(c *Config, role Role) *setting.Table {
	c.TLS, c.GitRepo, c.GitLabAPI = new(TLS), new(GitRepo), new(GitLabAPI)
	return &setting.Table{Sections: sections(), Settings: settings(c, role), Retired: retired()}
}

func sections() []setting.Section {
	return []setting.Section{
		{Path: "database", Doc: "The PostgreSQL database that keeps the ARCs and all that is known about them."},
		{Path: "git_repo", Alternative: true, Doc: "The git store, reached with the git protocol: any git server, or bare repositories on this machine. With a token, GitLab projects are created and described over GitLab's REST interface. Give either this section or gitlab_api; without both, ARCs go to bare repositories under /var/lib/middleware-api/arcs."},
		{Path: "gitlab_api", Alternative: true, Doc: "The git store, written to over GitLab's REST interface only. Give either this section or git_repo."},
		{Path: "tls", Alternative: true, Doc: "Lets the service end TLS itself instead of a proxy in front of it. The files are read again when they change."},
		{Path: "harvest", Doc: "Harvests: runs in which an RDI uploads everything it has."},
		{Path: "tasks", Doc: "Tasks: what the routes of v1 and v2 call a submitted ARC."},
		{Path: "worker", Doc: "The life of the processes that serve HTTP. Their number is set in /etc/default/middleware-api."},
		{Path: "sync", Doc: "The synchroniser, which pushes ARCs to the git store."},
		{Path: "otel", Doc: "Tracing with OpenTelemetry."},
		{Path: "admin", Doc: "The sockets for the operators of this machine."},
	}
}

func retired() []setting.Retired {
	const database = "ARCs are kept in PostgreSQL, see the section database"
	return []setting.Retired{
		{Path: "couchdb", Reason: database + "; its max_event_log_size stands by itself now, outside of any section"},
		{Path: "celery", Reason: "there is no message broker any more; what is to be pushed is known to the database, see the section sync"},
		{Path: "git_repo.cache_dir", Reason: "repositories are no longer cloned"},
		{Path: "otel_log_console_spans", Reason: "see otel.log_console_spans", Became: "otel.log_console_spans"},
		{Path: "otel_endpoint", Reason: "see otel.endpoint", Became: "otel.endpoint"},
		{Path: "health_checks", Reason: "the health routes always look at everything they can reach, and readiness at what a request needs"},
		{Path: "rate_limiting", Reason: "requests are not counted by the minute; see max_concurrent_requests"},
		{Path: "allowed_rdis", Became: "known_rdis"},
		{Path: "arc_store.git_repo", Became: "git_repo"},
		{Path: "arc_store.git", Became: "git_repo"},
		{Path: "arc_store.gitlab_api", Became: "gitlab_api"},
		{Path: "arc_store.type", Reason: "the section that is there says it"},
		{Path: "consolidated_store", Reason: "no catalogue of all ARCs is written, only a repository for each ARC"},
		{Path: "otel.log_level", Reason: "there is no export of logs; the journal has them"},
	}
}

func settings(c *Config, role Role) []setting.Setting {
	var all []setting.Setting
	for _, part := range [][]setting.Setting{
		general(c), database(c), gitRepo(c.GitRepo, role), gitLabAPI(c.GitLabAPI, role),
		tls(c.TLS), harvest(c), worker(&c.Worker), synchroniser(&c.Sync), observation(c),
	} {
		all = append(all, part...)
	}
	return all
}
