package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// ingest compares uploads of crates that are all new, each answered after its commit.
func ingesting(size, clients int) func(*bench) error {
	return func(b *bench) error {
		name := "ingest-" + spell(size)
		body := upload(size)
		return b.turns(b.requestSides(), func(side string) error {
			s, err := b.server(side)
			if err != nil {
				return err
			}
			l := load{address: s.address, clients: clients, body: body, path: "/v3/arcs", serials: &b.serials}
			err = b.gauge(name, side, s, func() (outcome, error) { return l.run(b.ctx, b.round, 0) })
			if err != nil {
				return err
			}
			pss, _, err := memory(s.pids()...)
			b.results.add(name, side, metricPSS, float64(pss)/(1<<20))
			return err
		})
	}
}

// spell names a size as the scenarios do.
func spell(size int) string {
	switch {
	case size >= 1<<20:
		return fmt.Sprintf("%dm", size>>20)
	case size >= 10<<10:
		return fmt.Sprintf("%dk", size>>10)
	}
	return fmt.Sprintf("%.2gk", float64(size)/1000)
}

// known is how many ARCs unchanged-29k uploads again and again. Their serials are nobody else's.
const known = 1000

// unchanged compares what most uploads of a harvest are: what is stored already.
func (b *bench) unchanged() error {
	body := upload(29 << 10)
	begun := map[string]bool{}
	return b.turns(b.requestSides(), func(side string) error {
		s, err := b.server(side)
		if err != nil {
			return err
		}
		var serials atomic.Int64
		l := load{address: s.address, clients: 64, body: body, path: "/v3/arcs", serials: &serials, repeat: known}
		if !begun[side] {
			begun[side] = true
			if _, err := l.run(b.ctx, time.Hour, known); err != nil {
				return err
			}
		}
		return b.gauge("unchanged-29k", side, s, func() (outcome, error) { return l.run(b.ctx, b.round, 0) })
	})
}

// Sides of bulk-29k.
const (
	sideBulk   = "bulk, 1 client"
	sideSingle = "single, 1 client"
	sideMany   = "single, 64 clients"
)

// bulk compares one sender who uploads in bulk with one, and with 64, who
// upload ARC by ARC.
func (b *bench) bulk() error {
	const scenario = "bulk-29k"
	s, err := b.server(sideOurs)
	if err != nil {
		return err
	}
	body := upload(29 << 10)
	line := newTemplate(append(crate(29<<10), '\n'))
	clients := map[string]int{sideSingle: 1, sideMany: 64}
	return b.turns([]string{sideBulk, sideSingle, sideMany}, func(side string) error {
		return b.gauge(scenario, side, s, func() (outcome, error) {
			if n := clients[side]; n > 0 {
				l := load{address: s.address, clients: n, body: body, path: "/v3/arcs", serials: &b.serials}
				return l.run(b.ctx, b.round, 0)
			}
			return b.sendLines(s, line)
		})
	})
}

// sendLines uploads in bulk within one harvest for the length of a round.
func (b *bench) sendLines(s *server, line template) (outcome, error) {
	id, err := beginHarvest(b.ctx, s)
	if err != nil {
		return outcome{}, err
	}
	start := time.Now()
	r, w := io.Pipe()
	go func() {
		text := bytes.Clone(line.text)
		for time.Since(start) < b.round {
			line.number(text, int(b.serials.Add(1)))
			if _, err := w.Write(text); err != nil {
				return
			}
		}
		_ = w.Close()
	}()
	body, err := post(b.ctx, "http://"+s.address+"/v3/harvests/"+id+"/arcs", "application/x-ndjson", r)
	if err != nil {
		return outcome{}, err
	}
	lines := bytes.Count(body, []byte{'\n'})
	if good := bytes.Count(body, []byte(`"outcome":"created"`)); good != lines || lines == 0 {
		return outcome{}, fmt.Errorf("%d of %d lines were stored: %.300s", good, lines, body)
	}
	return outcome{done: lines, elapsed: time.Since(start)}, nil
}

func beginHarvest(ctx context.Context, s *server) (string, error) {
	body, err := post(ctx, "http://"+s.address+"/v3/harvests", "application/json", bytes.NewReader([]byte(`{"rdi":"`+rdi+`"}`)))
	if err != nil {
		return "", err
	}
	var harvest struct {
		ID string `json:"harvest_id"`
	}
	if err := json.Unmarshal(body, &harvest); err != nil {
		return "", err
	}
	if harvest.ID == "" {
		return "", errors.New("a harvest without id: " + string(body))
	}
	return harvest.ID, nil
}

func post(ctx context.Context, url, mediaType string, body io.Reader) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, body)
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", mediaType)
	r.Header.Set("Accept", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode/100 != 2 {
		err = fmt.Errorf("answered %s: %.300s", answer.Status, text)
	}
	return text, err
}
