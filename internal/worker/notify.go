package worker

import (
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier talks to the service manager by sd_notify(3); without one it is
// silent. A message that cannot be sent is logged once per kind of trouble by
// the service manager's own reaction, hence only at debug level here.
type notifier struct {
	log *slog.Logger
}

func (n notifier) send(lines ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		n.log.Debug("service manager not reached", "error", err)
	}
}

func (n notifier) ready(status string) { n.send(daemon.SdNotifyReady, "STATUS="+status) }

func (n notifier) stopping(status string) { n.send(daemon.SdNotifyStopping, "STATUS="+status) }

func (n notifier) status(text string) { n.send("STATUS=" + strings.ReplaceAll(text, "\n", "; ")) }

func (n notifier) alive() { n.send(daemon.SdNotifyWatchdog) }

// extend asks for more time before a start or stop counts as timed out.
func (n notifier) extend(by time.Duration) {
	n.send(fmt.Sprintf("EXTEND_TIMEOUT_USEC=%d", by.Microseconds()))
}
