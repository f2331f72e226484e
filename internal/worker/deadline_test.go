package worker

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
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
