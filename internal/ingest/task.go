package ingest

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/store"
)

// Statuses of tasks.
const (
	TaskSuccess = "SUCCESS"
	TaskFailure = "FAILURE"
)

// KeepTask keeps the result of a submission for clients that ask for it by
// task id, and gives the id. The ARCs are durable before, so a client never
// holds the id of a task that could be forgotten. Failed is the text of the
// first error, empty if there was none.
func (s *Service) KeepTask(ctx context.Context, by Caller, rdi, message string, arcs []*Accepted, failed string) (uuid.UUID, error) {
	t := store.Task{ID: uuid.New(), ClientID: by.ClientID, RDI: rdi, Status: TaskSuccess, Message: message}
	if failed != "" {
		t.Status, t.Error = TaskFailure, &failed
	}
	for _, a := range arcs {
		status := store.Updated
		if a.Outcome == store.Created {
			status = store.Created
		}
		t.ARCs = append(t.ARCs, store.TaskARC{ID: a.ID, Status: status, At: a.LastSeen})
	}
	if err := failpoint.Hit(failpoint.TaskBegin); err != nil {
		return t.ID, err
	}
	if err := s.store.PutTask(ctx, t); err != nil {
		return t.ID, err
	}
	return t.ID, failpoint.Hit(failpoint.TaskKept)
}

// Task gives a task, or the fault TaskNotFound, also for what is no task id.
func (s *Service) Task(ctx context.Context, id string) (store.Task, error) {
	u, err := uuid.Parse(id)
	if err != nil {
		return store.Task{}, fault.New(fault.TaskNotFound, err)
	}
	return s.store.Task(ctx, u)
}

// keepingInterval is how often Keep looks.
const keepingInterval = 10 * time.Minute

// Keep does the house-keeping until the context ends: it ends abandoned
// harvests and forgets old tasks. Any number of processes may do it.
func (s *Service) Keep(ctx context.Context) {
	tick := time.NewTicker(keepingInterval)
	defer tick.Stop()
	for {
		if err := s.KeepOnce(ctx); err != nil && ctx.Err() == nil {
			s.o.Logger.Warn("house-keeping failed, it is tried again later", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// KeepOnce does the house-keeping once.
func (s *Service) KeepOnce(ctx context.Context) error {
	if err := s.endAbandoned(ctx); err != nil {
		return err
	}
	_, err := s.store.PruneTasks(ctx, s.o.TaskAge)
	return err
}

func (s *Service) endAbandoned(ctx context.Context) error {
	if s.o.HarvestIdle < 0 {
		return nil
	}
	ended, err := s.store.ExpireHarvests(ctx, s.o.HarvestIdle)
	for _, h := range ended {
		s.o.Logger.Warn("harvest abandoned by its client", "harvest_id", HarvestID(h), "rdi", h.RDI)
	}
	return err
}
