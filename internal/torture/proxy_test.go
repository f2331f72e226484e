package torture

import (
	"net"
	"sync"
	"testing"
	"time"
)

// wire is what a proxy does to what passes through it.
type wire int

const (
	sound  wire = iota
	deaf        // takes connections and bytes, and passes nothing on
	closed      // takes no connections
	slow        // passes everything late
)

// proxy stands between two pieces and spoils their connections.
type proxy struct {
	listener net.Listener
	network  string
	target   string

	mu     sync.Mutex
	change *sync.Cond
	state  wire
	conns  map[net.Conn]bool
	ended  bool
}

// startProxy passes connections on to the target until the test ends.
func startProxy(tb testing.TB, network, target string) *proxy {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	p := &proxy{listener: l, network: network, target: target, conns: map[net.Conn]bool{}}
	p.change = sync.NewCond(&p.mu)
	go p.accept()
	tb.Cleanup(func() {
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		_ = l.Close()
		p.set(sound)
		p.cut()
	})
	return p
}

func (p *proxy) address() string { return p.listener.Addr().String() }

func (p *proxy) port() int { return p.listener.Addr().(*net.TCPAddr).Port }

func (p *proxy) accept() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.serve(conn)
	}
}

func (p *proxy) serve(client net.Conn) {
	if p.now() == closed {
		_ = client.Close()
		return
	}
	server, err := net.DialTimeout(p.network, p.target, 5*time.Second)
	if err != nil {
		_ = client.Close()
		return
	}
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.pass(server, client) })
	both.Go(func() { p.pass(client, server) })
	both.Wait()
	p.mu.Lock()
	delete(p.conns, client)
	delete(p.conns, server)
	p.mu.Unlock()
}

// pass copies one direction. The end of it ends the connection, as a firewall's
// time-out does; half-open ones are nobody's habit here.
func (p *proxy) pass(to, from net.Conn) {
	defer func() { _ = to.Close(); _ = from.Close() }()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			switch p.hearing() {
			case slow:
				<-time.After(30 * time.Millisecond)
			case closed:
				return
			case sound, deaf:
			}
			if _, werr := to.Write(b[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func (p *proxy) now() wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state
}

// hearing waits until something passes again.
func (p *proxy) hearing() wire {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.state == deaf && !p.ended {
		p.change.Wait()
	}
	return p.state
}

func (p *proxy) set(w wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = w
	p.change.Broadcast()
}

// cut breaks every connection with a reset, in the middle of whatever it says.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		_ = c.Close()
	}
}
