package testenv

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long Await waits: longer than a machine with other work needs,
// since a test that passes never waits for it.
const patience = time.Minute

// Await waits until a condition holds, or fails the test.
func Await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			tb.Fatalf("waited in vain: %s", what)
		}
	}
}

// Log keeps what is written to it, while others read. Its zero value is empty.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String gives everything so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Count tells how often a text occurs.
func (l *Log) Count(text string) int { return strings.Count(l.String(), text) }
