package upload

import (
	"context"
	"io"
	"testing"
	"testing/synctest"
	"time"
)

// An API that is away is asked again as often as is configured, after waits that
// double up to half a minute, each shortened by up to a half, however many there are.
func TestWaitsDoubleUpToABound(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		retries           int
		shortest, longest time.Duration // of all waits together
	}{
		{-1, 0, 0},
		{0, 75 * time.Second, 150 * time.Second}, // the default, eight
		{1, time.Second, 2 * time.Second},
		{5, 30 * time.Second, 60 * time.Second},
		{100, (15 + 96*15) * time.Second, (30 + 96*30) * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			c, err := New(Options{URL: "http://api.invalid", MaxRetries: tt.retries})
			if err != nil {
				t.Fatal(err)
			}
			began, attempts, want := time.Now(), 0, max(c.options.MaxRetries, 0)+1
			err = c.attempts(t.Context(), true, func(context.Context) (time.Duration, error) {
				attempts++
				return 0, io.ErrUnexpectedEOF
			})
			if took := time.Since(began); err == nil || attempts != want || took < tt.shortest || took > tt.longest {
				t.Errorf("%d retries: %d attempts in %s, want %d in %s to %s; %v", tt.retries, attempts, took, want, tt.shortest, tt.longest, err)
			}
		})
	}
}
