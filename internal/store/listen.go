package store

import (
	"context"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is the name of the notification that something is due. It carries
// nothing: what is due is read from the table.
const channel = "middleware_due"

// bellPause is the least time between two notifications of a process.
// PostgreSQL lets transactions with a notification commit one after another,
// so they are sent apart from submissions, and seldom.
const bellPause = 20 * time.Millisecond

// A bell tells synchronisers that something is due: at once if it was quiet,
// and not more often than every bellPause.
type bell struct {
	work *sync.WaitGroup
	send func()

	mu    sync.Mutex
	busy  bool
	again bool
}

func newBell(work *sync.WaitGroup, send func()) *bell { return &bell{work: work, send: send} }

func (b *bell) ring() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.busy {
		b.again = true
		return
	}
	b.busy = true
	b.work.Go(b.run)
}

// run sends until nobody has rung during the pause.
func (b *bell) run() {
	for {
		b.send()
		pause := time.NewTimer(bellPause)
		<-pause.C
		b.mu.Lock()
		if !b.again {
			b.busy = false
			b.mu.Unlock()
			return
		}
		b.again = false
		b.mu.Unlock()
	}
}

// notify may fail: polling finds what is due all the same.
func (s *Store) notify() {
	ctx, cancel := context.WithTimeout(context.Background(), connectTimeout)
	defer cancel()
	if _, err := s.pool.Exec(ctx, sqlNotify); err != nil {
		s.log.Debug("wake-up of the synchroniser not sent", "error", err)
	}
}

const sqlNotify = `SELECT pg_notify('` + channel + `', '')`

// listenRetry is the pause before a lost connection is made anew.
const listenRetry = 2 * time.Second

// Listen calls wake whenever something may have become due, and whenever it
// could not know: after connecting and after losing the connection. It returns
// when the context ends. wake must not block. It is a faster way to learn of
// work, not the only one: callers poll as well.
func (s *Store) Listen(ctx context.Context, wake func()) {
	for ctx.Err() == nil {
		err := s.listenOnce(ctx, wake)
		if ctx.Err() != nil {
			return
		}
		s.log.Debug("listening for due arcs interrupted", "error", err)
		wake()
		select {
		case <-ctx.Done():
		case <-time.After(listenRetry):
		}
	}
}

// listenOnce uses a connection of its own, so that the pool stays whole.
func (s *Store) listenOnce(ctx context.Context, wake func()) error {
	config := s.pool.Config()
	conn, err := pgx.ConnectConfig(ctx, config.ConnConfig)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if err := config.AfterConnect(ctx, conn); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "LISTEN "+channel); err != nil {
		return err
	}
	for {
		wake()
		if _, err := conn.WaitForNotification(ctx); err != nil {
			return err
		}
	}
}

// NextDue gives the time at which the next ARC becomes due, which may have
// passed, or the zero time if none will by itself, and the time now. Both are of
// the database's clock, which may differ from that of this machine.
func (s *Store) NextDue(ctx context.Context) (at, now time.Time, err error) {
	var due *time.Time
	err = s.pool.QueryRow(ctx, sqlNextDue).Scan(&due, &now)
	if err != nil || due == nil {
		return time.Time{}, now, wrap("look for due ARCs", err)
	}
	return *due, now, nil
}

const sqlNextDue = `SELECT min(due_at), clock_timestamp() FROM arc WHERE due_at IS NOT NULL`
