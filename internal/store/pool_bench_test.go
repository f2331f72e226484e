package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// BenchmarkPoolSize lets 64 clients upload, resubmit and read at once over pools
// of different sizes, in a durable cluster. Submissions share commits, so the
// rate hardly grows with the connections.
func BenchmarkPoolSize(b *testing.B) {
	for _, size := range []int{1, 2, 3, 4, 8, 16} {
		b.Run(fmt.Sprint(size, " connections"), func(b *testing.B) {
			s, err := store.Open(b.Context(), store.Options{
				DSN: migrated(b, pgtest.Start(b, pgtest.Options{}).DSN()), MaxConns: size, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(s.Close)
			known := make([]*store.Submission, 1000)
			for i := range known {
				known[i] = submission(fmt.Sprint("known", i), "x")
				submit(b, s, known[i])
			}
			var serial atomic.Int64
			parallel(b, func(ctx context.Context) error {
				n := serial.Add(1)
				switch n % 4 {
				case 0: // a new ARC
					sub := submission(fmt.Sprint("A", n), "")
					content := frame(uint64(n))
					sub.Hash, sub.Size, sub.Content = sha256.Sum256(content), 29_000, func() []byte { return content }
					_, err := s.Submit(ctx, sub)
					return err
				case 1, 2: // one that has not changed
					_, err := s.Submit(ctx, known[int(n)%len(known)])
					return err
				default:
					return s.Ready(ctx)
				}
			})
		})
	}
}

func migrated(tb testing.TB, dsn string) string {
	tb.Helper()
	if _, err := store.Migrate(tb.Context(), dsn); err != nil {
		tb.Fatal(err)
	}
	return dsn
}
