package store

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/fairagro/middleware-api/internal/fault"
)

// wrap makes a fault of what PostgreSQL or the way to it answered while doing
// something. What is a fault already stays as it is, and so does the end of
// the caller's context.
func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	if _, ok := fault.Of(err); ok {
		return err
	}
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%s: %w", doing, err)
	}
	return fault.New(codeOf(err), fmt.Errorf("%s: %w", doing, err))
}

// codeOf tells kinds of failure apart by SQLSTATE (PostgreSQL manual,
// appendix A); without one, the server could not be talked to.
func codeOf(err error) fault.Code {
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok {
		return codeOfState(pg.Code)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return fault.StoreTimeout
	}
	if isConnection(err) {
		return fault.StoreUnavailable
	}
	return fault.StoreInternal
}

// readOnlyState is read_only_sql_transaction.
const readOnlyState = "25006"

func codeOfState(state string) fault.Code {
	switch state {
	case "57014", "55P03": // query_canceled, lock_not_available
		return fault.StoreTimeout
	case "53100": // disk_full
		return fault.StoreFull
	case "42P01", "42703", "42883", "42P10": // undefined table, column, function, conflict target
		return fault.StoreSchema
	case "42501", "3D000", "28000", "28P01": // privileges, no such database, log-in
		return fault.StoreAccess
	case readOnlyState: // a standby, the primary is moving
		return fault.StoreUnavailable
	case "40001", "40P01": // serialization_failure, deadlock_detected: again will do
		return fault.StoreUnavailable
	case "58030", "53200": // io_error, out_of_memory
		return fault.StoreUnavailable
	case "42P05": // a prepared statement of somebody else: the session is lent
		return fault.StorePooler
	case "0A000", "26000": // a prepared statement that a migration or a pooler has outdated: again will do
		return fault.StoreUnavailable
	}
	switch state[:2] {
	case "08", "57", "53": // connection, operator intervention, resources
		return fault.StoreUnavailable
	case "22", "23": // data exception, constraint
		return fault.StoreRejected
	}
	return fault.StoreInternal
}

// isConnection says whether err tells of the connection and not of a query.
func isConnection(err error) bool {
	if _, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return true
	}
	if _, ok := errors.AsType[net.Error](err); ok {
		return true
	}
	if pgconn.SafeToRetry(err) {
		return true
	}
	// pgx gives plain errors for a connection that went away under a query.
	text := err.Error()
	return strings.Contains(text, "unexpected EOF") || strings.Contains(text, "conn closed") ||
		strings.Contains(text, "closed network connection") || strings.Contains(text, "broken pipe") ||
		strings.Contains(text, "connection reset") || strings.Contains(text, "closed pool")
}

// isPoison says whether the failure of a group may be due to one of its
// members, so that trying each alone makes sense.
func isPoison(err error) bool {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return false
	}
	switch pg.Code[:2] {
	case "21", "22", "23", "40", "54", "0A", "26": // cardinality, data, constraint, rollback, limit, outdated statement
		return true
	}
	return false
}

func badDSN(err error) error {
	return fault.New(fault.StoreConfig, err)
}

func isNoRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
