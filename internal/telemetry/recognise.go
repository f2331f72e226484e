package telemetry

import (
	"log/slog"
	"strings"
)

// sign tells by which record an event shows. Messages are constants of the
// packages that log them, which so need not know this one; a test looks for each
// of them in the source.
type sign struct {
	message string
	key     string // of an attribute that has to be there; "" for none
	value   string // what its value begins with; "" for anything but nothing
	event   Event
}

// signs lists them; the first that fits counts.
var signs = []sign{
	{message: "worker ready", event: WorkerReady},
	{message: "worker stopping", key: "reason", value: "recycling", event: WorkerRecycled},
	{message: "worker stopping", event: WorkerDraining},
	{message: "health check failed, the watchdog gets no beat", event: WorkerStuck},
	{message: "database does not answer; the worker goes on asking and is not ready", event: DatabaseUnavailable},
	{message: "database answers", event: DatabaseRecovered},
	{message: "database schema migrated", event: SchemaMigrated},
	{message: "configuration cannot be used", event: ConfigurationInvalid},
	{message: "arc not synchronised", key: "parked", value: "true", event: PushParked},
	{message: "arc not synchronised", event: PushFailing},
	{message: "arc synchronised", key: "foreign", event: ForeignCommit},
	{message: "remote paused", event: RemotePaused},
	{message: "remote resumed", event: RemoteResumed},
	{message: "harvest marked no arc as missing", event: HarvestGuarded},
	{message: "harvest abandoned by its client", event: HarvestExpired},
	{message: "certificate headers of an untrusted peer ignored; list proxies in trusted_proxies", event: UntrustedProxy},
	{message: "certificate ends soon", event: CertificateExpiring},
	{message: "request handler panicked", event: InternalError},
	{message: "panic during a push", event: InternalError},
}

// recognise adds the event that a record shows, unless it names one itself.
func (h *lineHandler) recognise(f *facts, r *slog.Record) {
	if f.event {
		return
	}
	for i := range signs {
		if s := &signs[i]; s.message == r.Message && s.fits(r) {
			f.fields = appendField(f.fields, "MESSAGE_ID", s.event.MessageID())
			f.fields = appendField(f.fields, "EVENT", string(s.event))
			f.native = true
			return
		}
	}
}

func (s *sign) fits(r *slog.Record) bool {
	found := s.key == ""
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == s.key && s.key != "" {
			text := string(appendValue(nil, a.Value.Resolve()))
			found = text != "" && strings.HasPrefix(text, s.value)
		}
		return !found
	})
	return found
}
