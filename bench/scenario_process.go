package main

import (
	"fmt"
	"time"
)

// start compares the time from the start of the processes to the first answer.
func (b *bench) start() error {
	serial := 0
	return b.turns(b.sides(), func(side string) error {
		serial++
		begun := time.Now()
		s, err := b.launch(side, fmt.Sprintf("%s-start-%d", side, serial))
		if err != nil {
			return err
		}
		defer s.stop()
		if err := s.awaitAnswer(b.ctx); err != nil {
			return err
		}
		b.results.add("start", side, metricStart, float64(time.Since(begun))/1e6)
		return nil
	})
}

// sideFleet is all of ours: workers and synchroniser.
const sideFleet = "ours, with synchroniser"

// settleTime is for a process to do what it does after its start: ours give back
// then, after five seconds, what only the start has needed.
const settleTime = 8 * time.Second

// memory compares processes that have answered a few requests and then rest.
func (b *bench) memory() error {
	for r := range b.rounds {
		if err := b.weigh(r); err != nil {
			return err
		}
	}
	return nil
}

// weigh starts all sides, lets them rest side by side, and looks at each.
func (b *bench) weigh(round int) error {
	sides := append(b.sides(), sideFleet)
	servers := map[string]*server{}
	for _, side := range sides {
		what := side
		if side == sideFleet {
			what = sideOurs
		}
		s, err := b.launch(what, fmt.Sprintf("%s-memory-%d", side, round))
		if err != nil {
			return err
		}
		defer s.stop()
		servers[side] = s
	}
	if err := b.ours.synchronise(servers[sideFleet]); err != nil {
		return err
	}
	for _, s := range servers {
		if err := s.awaitAnswer(b.ctx); err != nil {
			return err
		}
	}
	if err := rest(b.ctx, settleTime); err != nil {
		return err
	}
	for _, side := range sides {
		for range 20 {
			if err := servers[side].ask(b.ctx, livenessPath); err != nil {
				return err
			}
		}
		pss, uss, err := memory(servers[side].pids()...)
		if err != nil {
			return err
		}
		b.results.add("memory", side, metricPSS, float64(pss)/(1<<20))
		b.results.add("memory", side, metricUSS, float64(uss)/(1<<20))
	}
	return nil
}
