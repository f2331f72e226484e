package httpapi

import (
	"sync"
	"time"
)

// networkPatience is how long a request keeps its place while it waits for its
// client. Places are for work: a crowd that sends its bodies byte by byte must
// not keep anybody else from working.
const networkPatience = 10 * time.Millisecond

// place is a request's place at the gate. A nil place, without a limit, is
// always held.
type place struct {
	gate   *gate
	client string

	mu      sync.Mutex
	leave   func() // nil while the place is given to others
	waiting bool   // for the client
	slow    bool   // the client has been waited for before, and gets no patience
	ended   bool
}

func newPlace(g *gate, client string, leave func()) *place {
	if g.limit <= 0 {
		return nil
	}
	return &place{gate: g, client: client, leave: leave}
}

// end gives the place back for good.
func (p *place) end() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	p.yield()
}

func (p *place) yield() {
	if p.leave != nil {
		p.leave()
		p.leave = nil
	}
}

// wait does something that the client may take long for, and does not hold the
// place all the while.
func (p *place) wait(patiently func()) {
	if p == nil {
		patiently()
		return
	}
	if p.begin() {
		patiently()
		p.back()
		return
	}
	t := time.AfterFunc(networkPatience, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.waiting {
			p.slow = true
			p.yield()
		}
	})
	patiently()
	t.Stop()
	p.back()
}

// begin is called before waiting, and says whether the place is given away at once.
func (p *place) begin() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = true
	if p.slow {
		p.yield()
	}
	return p.slow
}

// back is called after waiting.
func (p *place) back() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waiting = false
	if p.leave == nil && !p.ended {
		p.leave = p.gate.comeBack(p.client)
	}
}

// crowded says whether too many are inside for work that has not begun.
func (p *place) crowded() bool { return p != nil && p.gate.crowded() }
