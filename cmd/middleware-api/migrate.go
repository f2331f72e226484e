package main

import (
	"fmt"
	"strings"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

// newMigrate brings the schema of the database up to date. Any number of them
// may run at once: the first one does it, the others wait.
func newMigrate() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "bring the database schema up to date",
		Long: `migrate brings the schema of the database up to the version that this program
needs. Programs of the version before go on working on the new schema, so this
is done before they are replaced. It may be run at any time, and more than once
at the same time.`,
		Example: `  middleware-api migrate`,
		Args:    cli.NoArgs,
	}
	path := configFlag(cmd)
	asJSON := cli.JSONFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) (err error) {
		defer func() { status(err) }()
		c, err := loadByHand(*path, config.RoleTool)
		if err != nil {
			return err
		}
		if err := become(userService); err != nil {
			return err
		}
		logging := newLogging(c)
		defer logging.Close()
		before, err := store.Migrate(cmd.Context(), databaseDSN(c.Database))
		if err != nil {
			return err
		}
		st, err := store.Open(cmd.Context(), storeOptions(&c.Config, "middleware-api-migrate", logging.Logger))
		if err != nil {
			return err
		}
		defer st.Close()
		now, err := st.Examine(cmd.Context())
		if err != nil {
			return err
		}
		sayDatabase(logging, before, &now, allConnections(c.Database.MaxConnections, workers()))
		return tell(cmd.OutOrStdout(), done{
			fmt.Sprintf("database schema is at version %d", now.Schema),
			map[string]any{"schema": now.Schema, "before": before},
		}, *asJSON)
	}
	return cmd
}

// status shows in systemctl status why the schema is not up to date. While the unit
// waits to be started again the lines of the attempt before are not shown there.
func status(err error) {
	text := ""
	if err != nil {
		text = strings.TrimPrefix(strings.ReplaceAll(describe(err), "\n", ";"), "middleware-api: ")
	}
	_, _ = daemon.SdNotify(false, "STATUS="+text) // without a service manager nobody asks
}

// sayDatabase tells what became of the schema, and what the workers that come
// next will find.
func sayDatabase(logging *telemetry.Logging, before int64, now *store.Examination, needed int) {
	log := logging.Logger
	switch {
	case now.Schema > now.WantedSchema:
		log.Warn("database schema is newer than this program, which works on it all the same",
			"schema", now.Schema, "wanted", now.WantedSchema, "remedy", "none is needed; upgrade the program when that is possible again")
	case now.Schema != before && logging.Format == telemetry.FormatJournal:
		log.Info("database schema migrated", "from", before, "to", now.Schema)
	}
	if allowed := now.MaxConnections - now.Reserved; needed > allowed {
		log.Warn("the database allows fewer connections than the service may open",
			"needed", needed, "allowed", allowed, "remedy", fmt.Sprintf(
				"max_connections = %d in postgresql.conf and a restart of PostgreSQL, or a smaller database.max_connections, or fewer workers",
				needed+now.Reserved))
	}
}
