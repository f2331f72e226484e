package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fairagro/middleware-api/internal/failpoint"
	"github.com/fairagro/middleware-api/internal/fault"
)

// Task is the record behind the asynchronous routes of v1 and v2.
type Task struct {
	ID        uuid.UUID
	ClientID  *string
	RDI       string
	Status    string // PENDING, RUNNING, SUCCESS or FAILURE
	Message   string
	Error     *string
	ARCs      []TaskARC
	UpdatedAt time.Time
}

// TaskARC is the result of one ARC of a task.
type TaskARC struct {
	ID     ID        `json:"id"`
	Status Outcome   `json:"status"`
	At     time.Time `json:"at"`
}

// PutTask keeps a task.
func (s *Store) PutTask(ctx context.Context, t Task) error {
	if t.ARCs == nil {
		t.ARCs = []TaskARC{}
	}
	arcs, err := json.Marshal(t.ARCs)
	if err != nil {
		return fmt.Errorf("keep task: %w", err)
	}
	_, err = again(ctx, s, func() (pgconn.CommandTag, error) {
		return s.pool.Exec(ctx, sqlPutTask, t.ID, t.ClientID, t.RDI, t.Status, t.Message, t.Error, arcs)
	})
	return wrap("keep task", err)
}

const sqlPutTask = `
INSERT INTO task AS task (id, client_id, rdi, status, message, error, arcs) VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, message = excluded.message, error = excluded.error,
    arcs = excluded.arcs, updated_at = now()`

// Task gives a task, or the fault TaskNotFound.
func (s *Store) Task(ctx context.Context, id uuid.UUID) (Task, error) {
	t := Task{ID: id}
	var arcs []byte
	err := s.readOne(ctx, []any{&t.ClientID, &t.RDI, &t.Status, &t.Message, &t.Error, &arcs, &t.UpdatedAt}, sqlTask, id)
	if isNoRows(err) {
		return Task{}, fault.New(fault.TaskNotFound, nil)
	}
	if err != nil {
		return Task{}, wrap("read task", err)
	}
	if err := json.Unmarshal(arcs, &t.ARCs); err != nil {
		return Task{}, fault.New(fault.StoreInternal, fmt.Errorf("read task: %w", err))
	}
	return t, nil
}

const sqlTask = `SELECT client_id, rdi, status, message, error, arcs, updated_at FROM task WHERE id = $1`

// PruneTasks forgets tasks that are older, and says how many.
func (s *Store) PruneTasks(ctx context.Context, age time.Duration) (int64, error) {
	if err := failpoint.Hit(failpoint.PruneBegin); err != nil {
		return 0, wrap("forget old tasks", err)
	}
	return s.exec(ctx, "forget old tasks", sqlPruneTasks, age)
}

const sqlPruneTasks = `DELETE FROM task WHERE updated_at < now() - $1::interval`
