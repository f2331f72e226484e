package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/fairagro/middleware-api/internal/cli"
	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/gitsync"
	"github.com/fairagro/middleware-api/internal/httpapi"
	"github.com/fairagro/middleware-api/internal/httpapi/auth"
	"github.com/fairagro/middleware-api/internal/ingest"
	"github.com/fairagro/middleware-api/internal/store"
	"github.com/fairagro/middleware-api/internal/telemetry"
	"github.com/fairagro/middleware-api/internal/worker"
)

// This file is where settings become the options of packages, which know
// nothing of the configuration.

// configFlag adds --config, which every command that needs settings has.
func configFlag(cmd *cobra.Command) *string {
	return cmd.Flags().StringP("config", "c", "", "configuration file (default: $"+config.PathVariable+", else "+config.DefaultPath+")")
}

// load reads the configuration of a process; one that cannot be used ends the program with
// the status for that, after all its problems were listed.
func load(path string, role config.Role) (*config.Loaded, error) {
	c, err := config.Load(config.Options{Role: role, Path: path})
	if err != nil {
		sayUnusable(err)
		return c, cli.Exit(cli.ExitConfig, err)
	}
	return c, nil
}

// storeOptions says how the database is reached; name is shown there.
func storeOptions(c *config.Config, name string, log *slog.Logger) store.Options {
	return store.Options{
		Logger:          log,
		DSN:             databaseDSN(c.Database),
		ApplicationName: name,
		MaxConns:        connections(c.Database.MaxConnections, workers()),
		EventLimit:      c.MaxEventLogSize,
	}
}

// Connections of one process. Submissions share commits, so more than a few bring
// nothing; PostgreSQL allows 100 of everybody as Debian ships it.
const (
	usualConnections = 4
	fleetConnections = 80 // of all workers of a host
	spareConnections = 4  // for commands and the console
)

// connections is the size of a process's pool: as configured, or what is left
// for each of so many workers.
func connections(configured, workers int) int {
	if configured > 0 {
		return configured
	}
	return min(usualConnections, max(1, fleetConnections/max(1, workers)))
}

// allConnections is what the workers of a host, the synchroniser with its ear
// for news, and some commands may need together.
func allConnections(configured, workers int) int {
	each := connections(configured, workers)
	return workers*each + each + 1 + spareConnections
}

// workers is the number of workers of this host, which the generator of the units
// knows; 1 where nobody has said.
func workers() int {
	if n, err := strconv.Atoi(os.Getenv("MW_WORKERS")); err == nil && n > 0 {
		return n
	}
	return 1
}

// databaseDSN puts a password that was given apart into the connection string.
func databaseDSN(d config.Database) string {
	dsn := d.URL.Reveal()
	if d.Password.IsZero() {
		return dsn
	}
	if u, err := url.Parse(dsn); err == nil && strings.Contains(dsn, "://") {
		q := u.Query()
		q.Set("password", d.Password.Reveal())
		u.RawQuery = q.Encode()
		return u.String()
	}
	quoted := strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(d.Password.Reveal())
	return dsn + " password='" + quoted + "'"
}

func ingestOptions(c *config.Config, log *slog.Logger) ingest.Options {
	return ingest.Options{
		Logger:       log,
		GracePeriod:  asMeant(time.Duration(c.Harvest.GracePeriodDays) * 24 * time.Hour),
		MarkDeleted:  c.Harvest.AutoMarkDeleted,
		MissingLimit: asMeant(float64(c.Harvest.MissingGuardPercent) / 100),
		HarvestIdle:  asMeant(c.Harvest.ExpireAfter),
		TaskAge:      c.Tasks.Retention,
	}
}

// asMeant spells a 0 of the configuration, which is meant as it stands, as options do in
// which 0 stands for the default.
func asMeant[T time.Duration | float64](v T) T {
	if v == 0 {
		return -1
	}
	return v
}

func httpOptions(c *config.Config, logging *telemetry.Logging) (httpapi.Options, error) {
	o := httpapi.Options{
		Log:                logging.Logger,
		Version:            version,
		KnownRDIs:          c.KnownRDIs,
		OID:                c.ClientAuthOID,
		OperatorOID:        c.Admin.OperatorOID,
		RequireCertificate: c.RequireClientCert,
		TrustedProxies:     c.TrustedProxies,
		MaxConcurrent:      c.MaxConcurrentRequests,
		RetryAfter:         c.RetryAfter,
		MaxBody:            c.BodyLimit,
		MaxBodiesMemory:    c.BodyMemoryLimit,
		MaxStreams:         c.MaxEventStreams,
		BodyGrace:          c.Worker.BodyGrace,
		BodyPause:          c.Worker.ReadTimeout,
		Timeout:            c.RequestTimeout,
		V1Status:           httpapi.V1Status(c.V1Status),
		Strict:             c.Validation == "strict",
	}
	if c.TLS != nil {
		tls, err := loadTLS(c.TLS, logging.Logger)
		if err != nil {
			sayUnusable(err)
			return o, cli.Exit(cli.ExitConfig, err)
		}
		o.TLS = tls
	}
	return o, nil
}

// loadTLS reads the files of the section tls.
func loadTLS(c *config.TLS, log *slog.Logger) (*auth.TLS, error) {
	tls, err := auth.LoadTLS(auth.TLSFiles{Certificate: c.Certificate, Key: c.Key, ClientCA: c.ClientCA}, log)
	if err == nil {
		return tls, nil
	}
	remedy := "name PEM files with a certificate and its key: man middleware-api.yaml"
	if denied, ok := errors.AsType[*fs.PathError](err); ok {
		remedy = "create it, or correct the section tls"
		if errors.Is(err, fs.ErrPermission) {
			remedy = fmt.Sprintf("let the user of the service read it: chgrp middleware-api %[1]s && chmod 0640 %[1]s", denied.Path)
		}
	}
	return nil, &fault.Error{Code: "tls", Owner: fault.OwnerOperator, Text: err.Error(), Remedy: remedy}
}

func workerOptions(c *config.Config) worker.Options {
	return worker.Options{
		DrainLimit:  c.Worker.GracefulTimeout,
		KeepAlive:   c.Worker.KeepAlive,
		HeaderLimit: c.Worker.ReadTimeout,
		ClientLimit: c.Worker.ReadTimeout,
		StuckLimit:  c.Worker.Timeout,
		Recycling: worker.Recycling{
			MaxAge:        c.Worker.MaxAge,
			AgeJitter:     0.1,
			MaxMemory:     uint64(c.Worker.MaxMemory),
			MaxRequests:   uint64(c.Worker.MaxRequests),
			RequestJitter: uint64(c.Worker.MaxRequestsJitter),
			MinUptime:     time.Minute,
		},
	}
}

// listenAddresses gives the addresses as package worker spells them.
func listenAddresses(c *config.Config) []string {
	if os.Getenv("MW_INHERIT") != "" { // one that the service manager gave no socket must not find another
		return nil
	}
	addresses := make([]string, len(c.Listen))
	for i, a := range c.Listen {
		addresses[i] = strings.TrimPrefix(a, "unix:")
	}
	return addresses
}

func syncOptions(c *config.Config, log *slog.Logger) gitsync.Options {
	push := gitsync.DefaultPushLimit
	if c.GitRepo != nil { // building, verifying and recording come on top of the push
		push = max(push, 2*c.GitRepo.CommandTimeout)
	}
	return gitsync.Options{
		PushLimit:       push,
		Remote:          remoteName,
		Concurrency:     pushers(c),
		ProjectsPerHour: projectsPerHour(c),
		Lease:           c.Sync.Lease,
		Poll:            c.Sync.PollInterval,
		Drain:           c.Worker.GracefulTimeout * 2 / 3, // the rest is for handing leases back
		Backoff:         c.Sync.BackoffMin,
		BackoffMax:      c.Sync.BackoffMax,
		Log:             log,
	}
}
