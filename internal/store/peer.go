package store

import (
	"os/user"
	"strings"

	"github.com/jackc/pgx/v5"
)

// ByPeer tells whether a connection string leaves it to PostgreSQL to find out
// who we are: over a unix socket, without a password, under the name of the
// user that this process runs as.
func ByPeer(dsn string) bool {
	c, err := pgx.ParseConfig(dsn)
	if err != nil || !strings.HasPrefix(c.Host, "/") || c.Password != "" {
		return false
	}
	me, err := user.Current()
	return err == nil && c.User == me.Username
}
