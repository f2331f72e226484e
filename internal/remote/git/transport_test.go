package git_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/fairagro/middleware-api/internal/remote/git"
	"github.com/fairagro/middleware-api/internal/testenv"
)

// memorable keeps the connections that it accepts.
type memorable struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *memorable) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		l.conns = append(l.conns, conn)
		l.mu.Unlock()
	}
	return conn, err
}

// A server that is gone without a word, as one behind an address that has moved, is left for
// the next one: what waits for it ends, and what comes then does not wait on its connection.
func TestATransportLeavesWhatIsGone(t *testing.T) {
	t.Parallel()
	for name, http2 := range map[string]bool{"HTTP/1.1": false, "HTTP/2.0": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			asked, done := make(chan struct{}, 1), make(chan struct{})
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					select {
					case asked <- struct{}{}:
						<-done
					default: // the transport asks again by itself where that does no harm
					}
				}
				_, _ = io.WriteString(w, r.Proto)
			}))
			listener := &memorable{Listener: server.Listener}
			server.Listener, server.EnableHTTP2 = listener, http2
			server.StartTLS()
			t.Cleanup(server.Close)
			t.Cleanup(func() { close(done) })
			transport := git.NewTransport(5*time.Second, 2)
			transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
			if !http2 {
				transport.TLSClientConfig.NextProtos = []string{"http/1.1"}
			}
			t.Cleanup(transport.CloseIdleConnections)
			get := func(path string, patience time.Duration) (string, error) {
				ctx, cancel := context.WithTimeout(context.Background(), patience)
				defer cancel()
				r, err := http.NewRequestWithContext(ctx, http.MethodGet, server.URL+path, http.NoBody)
				if err != nil {
					return "", err
				}
				answer, err := transport.RoundTrip(r)
				if err != nil {
					return "", err
				}
				defer answer.Body.Close()
				body, err := io.ReadAll(answer.Body)
				return string(body), err
			}
			if proto, err := get("/", time.Minute); err != nil || proto != name {
				t.Fatalf("got %q, %v, want %q", proto, err, name)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := get("/slow", 30*time.Second)
				ended <- err
			}()
			testenv.Await(t, "the question", func() bool { return len(asked) > 0 })
			listener.mu.Lock()
			for _, conn := range listener.conns {
				testenv.Unplug(t, conn)
			}
			listener.mu.Unlock()
			if err := <-ended; errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("what waits for an answer: %v", err)
			}
			if _, err := get("/", 30*time.Second); err != nil {
				t.Errorf("what comes then: %v", err)
			}
		})
	}
}
