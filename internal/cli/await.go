package cli

import (
	"context"
	"io"
)

// Await does what may wait for ever, such as reading from a terminal or a pipe
// that nobody writes to, and gives up when ctx ends: a program that heeds signals
// would otherwise not heed them there. What was begun is left to the end of the
// program.
func Await[T any](ctx context.Context, do func() (T, error)) (T, error) {
	type result struct {
		value T
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := do()
		done <- result{value, err}
	}()
	select {
	case r := <-done:
		return r.value, r.err
	case <-ctx.Done():
		var none T
		return none, context.Cause(ctx)
	}
}

// Reader gives a reader that ends with ctx, whatever the one behind it waits for.
func Reader(ctx context.Context, r io.Reader) io.Reader {
	return &awaiting{ctx: ctx, r: r, buffer: make([]byte, 64<<10)}
}

type awaiting struct {
	ctx    context.Context
	r      io.Reader
	buffer []byte // not the caller's, who may use his when we have given up
}

func (a *awaiting) Read(p []byte) (int, error) {
	b := a.buffer[:min(len(p), len(a.buffer))]
	n, err := Await(a.ctx, func() (int, error) { return a.r.Read(b) })
	return copy(p, b[:n]), err
}
