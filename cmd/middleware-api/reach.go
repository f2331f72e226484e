package main

import (
	"net/url"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// The units of the package whose way to the network matters.
const (
	workerUnit = "middleware-api@1.service"
	syncUnit   = "middleware-api-sync.service"
)

// needs lists what the units have to connect to over the network.
func needs(c *config.Config) []report.Need {
	var list []report.Need
	for _, host := range store.Hosts(databaseDSN(c.Database)) {
		list = append(list, report.Need{Unit: workerUnit, Setting: "database.url", Host: host},
			report.Need{Unit: syncUnit, Setting: "database.url", Host: host})
	}
	if host := hostOf(c.OTel.Endpoint); host != "" {
		list = append(list, report.Need{Unit: workerUnit, Setting: "otel.endpoint", Host: host},
			report.Need{Unit: syncUnit, Setting: "otel.endpoint", Host: host})
	}
	switch {
	case c.GitLabAPI != nil:
		list = append(list, report.Need{Unit: syncUnit, Setting: "gitlab_api.url", Host: hostOf(c.GitLabAPI.URL)})
	case c.GitRepo != nil && hostOf(c.GitRepo.URL) != "":
		list = append(list, report.Need{Unit: syncUnit, Setting: "git_repo.url", Host: hostOf(c.GitRepo.URL)})
	}
	return list
}

// hostOf gives the host of a URL, "" for a path.
func hostOf(text string) string {
	u, err := url.Parse(text)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
