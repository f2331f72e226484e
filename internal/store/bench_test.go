package store_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/store"
)

// frame gives as many bytes as a 29 KB crate has when compressed, and as
// incompressible.
func frame(seed uint64) []byte {
	b := make([]byte, 4800)
	src := rand.NewChaCha8(sha256.Sum256(fmt.Append(nil, seed)))
	_, _ = src.Read(b)
	return b
}

// BenchmarkSubmit compares, in a durable cluster: one client alone, many that
// share commits, and resubmissions of what is stored. The figures to look at
// are the ratios of rates.
func BenchmarkSubmit(b *testing.B) {
	s := open(b, pgtest.Start(b, pgtest.Options{}).DSN())
	var serial atomic.Int64
	fresh := func(context.Context) error {
		n := serial.Add(1)
		sub := submission(fmt.Sprint("A", n), "")
		content := frame(uint64(n))
		sub.Hash, sub.Size, sub.Content = sha256.Sum256(content), 29_000, func() []byte { return content }
		_, err := s.Submit(context.Background(), sub)
		return err
	}
	var same []*store.Submission
	for i := range 1000 {
		same = append(same, submission(fmt.Sprint("same", i), "x"))
		submit(b, s, same[i])
	}
	unchanged := func(context.Context) error {
		_, err := s.Submit(context.Background(), same[int(serial.Add(1))%len(same)])
		return err
	}
	b.Run("new/1 client", func(b *testing.B) {
		for b.Loop() {
			if err := fresh(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("new/64 clients", func(b *testing.B) { parallel(b, fresh) })
	b.Run("unchanged/1 client", func(b *testing.B) {
		for b.Loop() {
			if err := unchanged(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("unchanged/64 clients", func(b *testing.B) { parallel(b, unchanged) })
}

func parallel(b *testing.B, f func(context.Context) error) {
	b.Helper()
	b.SetParallelism(32) // times GOMAXPROCS
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := f(b.Context()); err != nil {
				b.Error(err)
				return
			}
		}
	})
}
