package worker

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"
)

// A handler that sets the deadline for reading has the last word, however patient the worker is.
func TestHandlersOwnReadDeadline(t *testing.T) {
	t.Parallel()
	traffic := newTraffic(time.Hour, func(uint64) {})
	failure := make(chan error, 1)
	server := httptest.NewServer(traffic.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
			t.Error(err)
		}
		_, err := r.Body.Read(make([]byte, 1))
		failure <- err
	})))
	t.Cleanup(server.Close)
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-failure:
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v, want the deadline to pass", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the read did not end at the handler's deadline")
	}
}

// The patience is with clients: a handler that has the whole body, and asks once more
// whether it has, or that ends its answer late, may take longer than that.
func TestHandlersMayTakeTheirTime(t *testing.T) {
	t.Parallel()
	const patience = 100 * time.Millisecond
	traffic := newTraffic(patience, func(uint64) {})
	server := httptest.NewServer(traffic.wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		pause(r.Context(), patience/4)
		if _, again := r.Body.Read(make([]byte, 1)); err != nil || !errors.Is(again, io.EOF) {
			t.Errorf("%s: %v, %v", r.Method, err, again)
		}
		if r.Method == http.MethodPut {
			_, _ = io.WriteString(w, "the first part")
			_ = http.NewResponseController(w).Flush()
		}
		if !pause(r.Context(), 5*patience) {
			t.Errorf("%s: the client counts as gone", r.Method)
		}
	})))
	t.Cleanup(server.Close)
	for _, method := range []string{http.MethodPost, http.MethodPut} {
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL, strings.NewReader("a body"))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := server.Client().Do(r)
		if err != nil {
			t.Errorf("%s: %v", method, err)
			continue
		}
		drainBody(t, answer)
	}
}

// A request's header that does not come to its end is waited for as long as is set, and one that is larger than is set is refused.
func TestHeadersAreBounded(t *testing.T) {
	t.Parallel()
	w := newWorker(t.Context(), Options{HeaderLimit: 200 * time.Millisecond, MaxHeaderBytes: 1 << 10, Logger: childLogger()}.withDefaults())
	server := httptest.NewUnstartedServer(nil)
	server.Config = w.server(t.Context(), http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	server.Start()
	t.Cleanup(server.Close)
	const begin = "GET / HTTP/1.1\r\nHost: x\r\n"
	for header, want := range map[string]string{
		begin: "", // the rest never comes
		begin + "X: " + strings.Repeat("x", 16<<10) + "\r\n\r\n": "HTTP/1.1 431 ",
		begin + "Connection: close\r\n\r\n":                      "HTTP/1.1 200 ",
	} {
		conn, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(conn, header); err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(conn)
		if errors.Is(err, os.ErrDeadlineExceeded) || !strings.HasPrefix(string(answer), want) || want == "" && len(answer) > 0 {
			t.Errorf("%.30q: %.30q, %v, want %q", header, answer, err, want)
		}
	}
}
