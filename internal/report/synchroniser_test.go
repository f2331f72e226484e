package report_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/pgtest"
	"github.com/fairagro/middleware-api/internal/report"
	"github.com/fairagro/middleware-api/internal/store"
)

// The status shows the synchronisers of every host with their last sign of life, and is red when none is alive and something waits, or one fell silent.
func TestStatusShowsSynchronisers(t *testing.T) {
	t.Parallel()
	dsn := pgtest.DSN(t)
	s, err := store.Open(t.Context(), store.Options{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	look := func() *report.Status { return report.CollectStatus(t.Context(), s, report.StatusOptions{}) }
	if status := look(); status.Light != report.Green {
		t.Errorf("an unused service is %s because of %v", status.Light, status.Reasons)
	}
	submit(t, s, "edal", "A")
	status := look()
	if status.Light != report.Red {
		t.Errorf("nobody pushes, but the light is %s", status.Light)
	}
	has(t, text(t, status), "No synchroniser is alive, so nothing goes into git.", "-> systemctl start middleware-api-sync", "no synchroniser is alive")

	beat(t, s, "host-a")
	beat(t, s, "host-b")
	status = look()
	if status.Light != report.Green || len(status.Synchronisers) != 2 {
		t.Errorf("light %s because of %v, synchronisers %+v", status.Light, status.Reasons, status.Synchronisers)
	}
	has(t, text(t, status), "host-a/1 host-a alive just now just now 2", "host-b/1 host-b alive")

	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(t.Context()) }()
	if _, err := conn.Exec(t.Context(), `UPDATE synchroniser SET started_at = now() - interval '1 hour', beat_at = now() - interval '65 s'`); err != nil {
		t.Fatal(err)
	}
	status = look()
	if status.Light != report.Red {
		t.Errorf("all are silent, but the light is %s", status.Light)
	}
	has(t, text(t, status), "No synchroniser is alive; the last sign of life was given 1 min 5 s ago.", "host-a/1 host-a silent 1 min 5 s ago")
	var out bytes.Buffer
	if err := report.WriteJSON(&out, status); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Synchronisers []struct {
			Host   string
			Alive  bool
			Silent float64 `json:"silent_seconds"`
		}
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || len(got.Synchronisers) != 2 || got.Synchronisers[0].Alive || got.Synchronisers[0].Silent < 65 {
		t.Errorf("JSON %+v, %v", got, err)
	}
}

// The status foretells when everything that waits for a project will have one, and does not call the waiting a failure.
func TestStatusForetellsCreations(t *testing.T) {
	t.Parallel()
	s := open(t)
	beat(t, s, "host-a")
	for _, identifier := range []string{"A", "B", "C", "D"} {
		submit(t, s, "edal", identifier)
	}
	if err := s.SetBudget(t.Context(), store.Budget{Remote: "git", PerHour: 60, Burst: 1}); err != nil {
		t.Fatal(err)
	}
	waits := store.Failure{Class: store.Transient, Code: fault.CreationBudgetSpent, Text: "wait", Owner: fault.OwnerNobody, Delay: time.Hour}
	push(t, s, func(c *store.Claim) *store.Failure {
		if c.Identifier == "A" {
			return nil
		}
		return &waits
	})
	status := report.CollectStatus(t.Context(), s, report.StatusOptions{})
	if status.Light != report.Green {
		t.Errorf("light %s because of %v", status.Light, status.Reasons)
	}
	if len(status.Creations) != 1 {
		t.Fatalf("creations %+v", status.Creations)
	}
	c := status.Creations[0]
	if d := c.DoneAt.Sub(status.At); c.ToDo != 3 || c.PerHour != 60 || d < 110*time.Second || d > 125*time.Second {
		t.Errorf("forecast %+v, done in %s, want 3 in 2 minutes", c, d)
	}
	has(t, text(t, status), "3 projects to create, the budget allows 1 per minute, done at about "+c.DoneAt.In(status.At.Location()).Format("15:04"))

	now := time.Date(2026, 3, 1, 23, 59, 0, 0, time.UTC)
	for _, l := range []struct {
		c    report.Creation
		want string
	}{
		{report.Creation{PerHour: 50}, "no project to create; the budget allows 50 per hour"},
		{report.Creation{ToDo: 1, PerHour: 120, DoneAt: now.Add(10 * time.Second)}, "1 project to create, the budget allows 2 per minute, done at about 23:59"},
		{report.Creation{ToDo: 900, PerHour: 90, DoneAt: now.Add(10 * time.Hour)}, "900 projects to create, the budget allows 90 per hour, done at about 2026-03-02 09:59"},
	} {
		if got := l.c.Text(now); got != l.want {
			t.Errorf("got %q, want %q", got, l.want)
		}
	}
}
