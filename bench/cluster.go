package main

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
)

// Settings of a server that is meant to work on a machine of some size;
// checkpoints are kept out of rounds that last seconds. Ten million ARCs need
// memory for the indexes of arc, as docs/scaling.md asks.
var (
	clusterSettings = []string{"shared_buffers=2GB", "max_wal_size=16GB", "checkpoint_timeout=50min", "maintenance_work_mem=1GB"}
	largeSettings   = append([]string{"shared_buffers=6GB"}, clusterSettings[1:]...)
)

// cluster is the PostgreSQL that all sides share, each with a database of its own.
type cluster struct {
	dsn        string // of the database postgres, as superuser
	version    string
	postmaster int
	remove     func()
}

// startCluster starts a PostgreSQL.
func startCluster(ctx context.Context, o pgtest.Options) (*cluster, error) {
	dsn, remove, err := pgtest.Serve(o)
	if err != nil {
		return nil, err
	}
	c := &cluster{dsn: dsn, remove: remove}
	if err := c.look(ctx); err != nil {
		remove()
		return nil, err
	}
	return c, nil
}

func (c *cluster) look(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, c.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(ctx) }()
	var backend int
	err = conn.QueryRow(ctx, "SELECT pg_backend_pid(), split_part(version(), ' (', 1)").Scan(&backend, &c.version)
	if err != nil {
		return err
	}
	c.postmaster, _, err = stat(backend)
	return err
}

// database makes an empty database, runs statements in it and gives its connection string.
func (c *cluster) database(ctx context.Context, name string, statements ...string) (string, error) {
	if err := execute(ctx, c.dsn, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return "", err
	}
	dsn := c.dsn + " dbname=" + name
	return dsn, execute(ctx, dsn, statements...)
}

// cpu is the processor time of the server and all its processes.
func (c *cluster) cpu() time.Duration { return cpu(c.postmaster) }

func execute(ctx context.Context, dsn string, statements ...string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	for _, s := range statements {
		if _, err := conn.Exec(ctx, s); err != nil {
			return err
		}
	}
	return nil
}
