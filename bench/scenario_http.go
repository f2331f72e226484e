package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// livenessClients are enough to keep every worker busy.
const livenessClients = 64

// liveness compares the cheapest request there is, also with what it costs a server that can do nothing else.
func (b *bench) liveness() error {
	sides := b.requestSides()
	if findNginx() != "" {
		sides = append(sides, sideNginx)
	} else {
		fmt.Fprintln(os.Stderr, "    without nginx; missing: apt-get install nginx-light")
	}
	return b.turns(sides, func(side string) error {
		s, err := b.server(side)
		if err != nil {
			return err
		}
		return b.gauge("liveness", side, s, func() (outcome, error) {
			return wrk(b.ctx, "http://"+s.address+livenessPath, livenessClients, b.round)
		})
	})
}

// waiting compares a handler that does nothing but wait, as one that asks
// another service would, with more clients than can be in time.
func waiting(wait time.Duration, clients int) func(*bench) error {
	return func(b *bench) error {
		name := "wait-" + wait.String()
		ours, err := b.own(name, workers(), "serve-waiting", "-wait", wait.String())
		if err != nil {
			return err
		}
		return b.turns(b.requestSides(), func(side string) error {
			s, path := ours, livenessPath
			if side != sideOurs {
				var err error
				if s, err = b.server(side); err != nil {
					return err
				}
				path = fmt.Sprintf("/wait/%d", wait.Milliseconds())
			}
			return b.gauge(name, side, s, func() (outcome, error) {
				return wrk(b.ctx, "http://"+s.address+path, clients, 3*b.round) // thousands of connections take a while
			})
		})
	}
}

// own starts processes of this program, with one of its server commands.
func (b *bench) own(name string, processes int, args ...string) (*server, error) {
	s, err := newServer(b.ctx, b.dir, name)
	if err != nil {
		return nil, err
	}
	b.servers[name] = s
	run := filepath.Join(b.run, name)
	if err := os.Mkdir(run, 0o755); err != nil {
		return nil, err
	}
	for i := range processes {
		env := []string{"MW_ID=" + strconv.Itoa(i+1), "RUNTIME_DIRECTORY=" + run}
		if err := s.spawn(env, b.self, args...); err != nil {
			return nil, err
		}
	}
	return s, s.awaitAnswer(b.ctx)
}

// sidePlain is net/http alone.
const sidePlain = "plain"

// limitHTTP compares with net/http alone, which has neither routes, request ids,
// admission, deadlines nor an access log, in the one process that costs least.
func (b *bench) limitHTTP() error {
	const scenario = "limit-http"
	plain, err := b.own(sidePlain, 1, "serve-plain")
	if err != nil {
		return err
	}
	ours, err := b.server(sideOurs)
	if err != nil {
		return err
	}
	servers := map[string]*server{sidePlain: plain, sideOurs: ours}
	return b.turns([]string{sideOurs, sidePlain}, func(side string) error {
		return b.gauge(scenario, side, servers[side], func() (outcome, error) {
			return wrk(b.ctx, "http://"+servers[side].address+livenessPath, livenessClients, b.round)
		})
	})
}
