package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

func parseSizes(text string) ([]int, error) {
	var sizes []int
	for s := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(s)
		if err != nil || n < ownARCs {
			return nil, fmt.Errorf("size %q is not a number of at least %d ARCs", s, ownARCs)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// ownARCs belong to the RDI that is worked on; all others fill the tables.
const ownARCs = 10_000

// population is a database of some size, and its store.
type population struct {
	store  *store.Store
	serial int
}

// scale measures what single operations cost in databases of growing size, in
// one cluster, without fsync: what counts is whether cost grows.
func (b *bench) scale() error {
	c, err := startCluster(b.ctx, pgtest.Options{Fast: true, Settings: largeSettings})
	if err != nil {
		return err
	}
	defer c.remove()
	if b.results.Machine.PostgreSQL == "" {
		b.results.Machine = lookAround(b.ctx, c.version)
	}
	populations := map[string]*population{}
	var sides []string
	for _, n := range b.sizes {
		begun := time.Now()
		p, err := populate(b.ctx, c, n)
		if err != nil {
			return fmt.Errorf("%d ARCs: %w", n, err)
		}
		defer p.store.Close()
		fmt.Fprintf(os.Stderr, "    %d ARCs were generated in %s\n", n, time.Since(begun).Round(time.Second))
		sides = append(sides, strconv.Itoa(n))
		populations[strconv.Itoa(n)] = p
	}
	return b.turns(sides, func(side string) error { return b.operate(c, populations[side], side) })
}

// populate makes a database with n ARCs, their events and audit trail. Indexes
// are built at the end, which takes a tenth of the time.
func populate(ctx context.Context, c *cluster, n int) (*population, error) {
	dsn, err := c.database(ctx, "arcs"+strconv.Itoa(n))
	if err != nil {
		return nil, err
	}
	if _, err := store.Migrate(ctx, dsn); err != nil {
		return nil, err
	}
	later, err := dropIndexes(ctx, dsn)
	if err != nil {
		return nil, err
	}
	statements := append([]string{
		fmt.Sprintf(`INSERT INTO arc (id, rdi, identifier, content, content_hash, content_size, last_changed, event_count)
		SELECT sha256(convert_to('A' || i || ':bench', 'UTF8')), CASE WHEN i < %d THEN 'bench' ELSE 'other' || i %% 7 END, 'A' || i,
			'x', sha256('x'), 1, now() - i * interval '1 second', 1
		FROM generate_series(0, %d) AS i`, ownARCs, n-1),
		`INSERT INTO event (arc_id, type, message) SELECT id, 'ARC_CREATED', 'ARC first seen' FROM arc`,
		`INSERT INTO audit (actor, action, arc_id, rdi, version) SELECT 'bench', 'arc.created', id, rdi, 1 FROM arc`,
		`UPDATE arc SET due_at = now() WHERE rdi = 'bench'`,
		// An earlier harvest, without which PostgreSQL would be told that there are none.
		`INSERT INTO harvest (id, rdi, status, completed_at) VALUES ('11111111-1111-1111-1111-111111111111', 'bench', 'COMPLETED', now())`,
		`INSERT INTO harvest_arc (harvest_id, arc_id, outcome, content_hash)
		SELECT '11111111-1111-1111-1111-111111111111', id, 'new', content_hash FROM arc WHERE rdi = 'bench'`,
	}, later...)
	// A server that has run for a while holds the indexes and what is worked on in memory.
	statements = append(statements, "VACUUM ANALYZE", "CREATE EXTENSION pg_prewarm",
		"SELECT pg_prewarm(indexrelid) FROM pg_index WHERE indrelid = 'arc'::regclass", "SELECT pg_prewarm('arc')", "CHECKPOINT")
	if err := execute(ctx, dsn, statements...); err != nil {
		return nil, err
	}
	s, err := store.Open(ctx, store.Options{DSN: dsn})
	return &population{store: s}, err
}

// dropIndexes drops the indexes of the large tables and gives the statements that make them again.
func dropIndexes(ctx context.Context, dsn string) (later []string, err error) {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	rows, err := conn.Query(ctx, `SELECT 'DROP INDEX ' || indexname, indexdef FROM pg_indexes
		WHERE schemaname = 'public' AND tablename IN ('arc', 'event', 'audit') AND indexname NOT LIKE '%\_pkey'`)
	if err != nil {
		return nil, err
	}
	drops, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (drop string, err error) {
		var again string
		err = row.Scan(&drop, &again)
		later = append(later, again)
		return drop, err
	})
	drops = append(drops, "ALTER TABLE arc DROP CONSTRAINT arc_pkey")
	later = append(later, "ALTER TABLE arc ADD CONSTRAINT arc_pkey PRIMARY KEY (id)")
	for _, d := range drops {
		if _, err := conn.Exec(ctx, d); err != nil {
			return nil, err
		}
	}
	return later, err
}

// operation is one kind of work on a database, done several times in a row.
type operation struct {
	name  string
	times int
	do    func(context.Context, *population) error
}

var operations = []operation{
	{"store a new ARC", 1000, func(ctx context.Context, p *population) error {
		p.serial++
		return p.submit(ctx, fmt.Sprint("new", p.serial))
	}},
	{"resubmit an ARC", 1000, func(ctx context.Context, p *population) error {
		p.serial++
		return p.submit(ctx, fmt.Sprint("A", p.serial%ownARCs))
	}},
	{"claim an ARC, record its push", 500, func(ctx context.Context, p *population) error { return p.push(ctx) }},
	{"list 50 ARCs", 500, func(ctx context.Context, p *population) error {
		_, _, err := p.store.ARCs(ctx, store.ARCFilter{RDIs: []string{rdi}, Limit: 50})
		return err
	}},
}

// operate does every operation in one database.
func (b *bench) operate(c *cluster, p *population, side string) error {
	for _, o := range operations {
		err := b.clock(c, "scale: "+o.name, side, o.times, func() error {
			for range o.times {
				if err := o.do(b.ctx, p); err != nil {
					return fmt.Errorf("%s: %w", o.name, err)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	h, err := p.store.BeginHarvest(b.ctx, rdi, nil, nil, "", store.Actor{})
	if err != nil {
		return err
	}
	err = b.clock(c, "scale: diff of 10,000 ARCs", side, 1, func() error {
		_, err := p.store.Diff(b.ctx, h.ID, rdi, ownPairs())
		return err
	})
	if err != nil {
		return err
	}
	return b.clock(c, "scale: end of a harvest of 10,000 ARCs", side, 1, func() error {
		_, err := p.store.EndHarvest(b.ctx, h.ID, store.Completed, store.EndOptions{})
		return err
	})
}

// clock records what something took, for the caller and in PostgreSQL.
func (b *bench) clock(c *cluster, scenario, side string, times int, f func() error) error {
	pg, begun := c.cpu(), time.Now()
	if err := f(); err != nil {
		return err
	}
	elapsed, pg := time.Since(begun), c.cpu()-pg
	b.results.add(scenario, side, metricCost, float64(elapsed)/1e3/float64(times))
	b.results.add(scenario, side, metricPG, float64(pg)/1e3/float64(times))
	return nil
}

func arcID(identifier string) store.ID { return sha256.Sum256([]byte(identifier + ":" + rdi)) }

func (p *population) submit(ctx context.Context, identifier string) error {
	_, err := p.store.Submit(ctx, &store.Submission{
		ID: arcID(identifier), RDI: rdi, Identifier: identifier,
		Hash: sha256.Sum256([]byte("x")), Size: 1, Content: func() []byte { return []byte("x") },
	})
	return err
}

// push does the synchroniser's part of a push; when nothing is due any more,
// everything is made due again.
func (p *population) push(ctx context.Context) error {
	for range 2 {
		claims, err := p.store.ClaimDue(ctx, store.ClaimRequest{Holder: "bench", Limit: 1, Lease: time.Hour, Remote: "git"})
		if err != nil {
			return err
		}
		if len(claims) == 1 {
			if _, err := p.store.Load(ctx, claims[0]); err != nil {
				return err
			}
			return p.store.RecordPush(ctx, claims[0], store.Pushed{Commit: "c"})
		}
		if _, err := p.store.RequestPushes(ctx, rdi, store.Actor{}); err != nil {
			return err
		}
	}
	return errors.New("nothing is due")
}

func ownPairs() []store.Pair {
	pairs := make([]store.Pair, ownARCs)
	for i := range pairs {
		pairs[i] = store.Pair{ID: arcID(fmt.Sprint("A", i)), Hash: sha256.Sum256([]byte("x"))}
	}
	return pairs
}
