package store

import "context"

// places are connections that a kind of work may take at a time. What takes long
// must leave some to everybody else, however many ask for it.
type places chan struct{}

func newPlaces(n int32) places { return make(places, max(1, n)) }

// enter waits for a place.
func (p places) enter(ctx context.Context, doing string) (leave func(), err error) {
	select {
	case p <- struct{}{}:
		return func() { <-p }, nil
	case <-ctx.Done():
		return nil, wrap(doing, ctx.Err())
	}
}
