package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/store"
)

//go:embed pgbench.sql
var pgbenchScript []byte

// Sides of limit-postgres. The first has as many connections as all our workers use at
// once; the second as many as the worker in which all clients gather, with as many rows
// under way as we have clients.
const (
	sidePgbenchOne  = "pgbench, one ARC a commit"
	sidePgbenchMany = "pgbench, grouped as ours"
)

const (
	ingestClients = 64
	// statementsAtOnce is what one worker has under way in the store.
	statementsAtOnce = store.GroupsAtOnce
)

// limitPostgres compares with PostgreSQL alone, which gets the same rows from
// pgbench: nobody speaks HTTP, parses, hashes or compresses.
func (b *bench) limitPostgres() error {
	const scenario = "limit-postgres"
	s, err := b.server(sideOurs)
	if err != nil {
		return err
	}
	if err := b.prepareFrame(); err != nil {
		return err
	}
	body := upload(29 << 10)
	connections := map[string]int{sidePgbenchOne: workers() * statementsAtOnce, sidePgbenchMany: statementsAtOnce}
	rows := map[string]int{sidePgbenchOne: 1, sidePgbenchMany: ingestClients / statementsAtOnce}
	return b.turns([]string{sideOurs, sidePgbenchOne, sidePgbenchMany}, func(side string) error {
		if n := connections[side]; n > 0 {
			idle := &server{name: side, log: s.log}
			return b.gauge(scenario, side, idle, func() (outcome, error) { return b.pgbench(n, rows[side]) })
		}
		l := load{address: s.address, clients: ingestClients, body: body, path: "/v3/arcs", serials: &b.serials}
		return b.gauge(scenario, side, s, func() (outcome, error) { return l.run(b.ctx, b.round, 0) })
	})
}

// prepareFrame keeps one content as it is stored, for all rows of pgbench.
func (b *bench) prepareFrame() error {
	conn, err := pgx.Connect(b.ctx, b.ours.dsn)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(b.ctx)) }()
	for _, statement := range []string{
		"CREATE TABLE bench_frame (content bytea)",
		"ALTER TABLE bench_frame ALTER COLUMN content SET STORAGE EXTERNAL",
	} {
		if _, err := conn.Exec(b.ctx, statement); err != nil {
			return err
		}
	}
	_, err = conn.Exec(b.ctx, "INSERT INTO bench_frame VALUES ($1)", store.Compress(crate(29<<10)))
	return err
}

var (
	pgbenchDone       = regexp.MustCompile(`number of transactions actually processed: (\d+)`)
	pgbenchConnecting = regexp.MustCompile(`initial connection time = ([0-9.]+) ms`)
)

// pgbench runs the script for a round.
func (b *bench) pgbench(connections, rows int) (outcome, error) {
	script := filepath.Join(b.dir, "pgbench.sql")
	if err := os.WriteFile(script, pgbenchScript, 0o600); err != nil {
		return outcome{}, err
	}
	at, err := pgx.ParseConfig(b.ours.dsn)
	if err != nil {
		return outcome{}, err
	}
	// Making connections counts as time to pgbench, and takes a while on a busy machine.
	seconds := 1 + max(1, int(b.round.Round(time.Second)/time.Second))
	cmd := exec.CommandContext(b.ctx, "pgbench", "-n", "-M", "prepared", "-c", strconv.Itoa(connections), "-j", "1", "-T", strconv.Itoa(seconds),
		"-D", "rows="+strconv.Itoa(rows), "-f", script, "-h", at.Host, "-U", at.User, at.Database)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return outcome{}, fmt.Errorf("pgbench: %w\n%s", err, out)
	}
	done, connecting := pgbenchDone.FindSubmatch(out), pgbenchConnecting.FindSubmatch(out)
	if done == nil || connecting == nil {
		return outcome{}, fmt.Errorf("pgbench says something unknown:\n%s", out)
	}
	n, err := strconv.Atoi(string(done[1]))
	if err != nil {
		return outcome{}, err
	}
	milliseconds, err := strconv.ParseFloat(string(connecting[1]), 64)
	return outcome{done: n * rows, elapsed: time.Duration(seconds)*time.Second - time.Duration(milliseconds*1e6)}, err
}
