package telemetry

import (
	"log/slog"
	"strings"
)

// Event names something that is worth an alert. Its id is the same for ever:
// journalctl MESSAGE_ID=… finds it, journalctl -x explains it. A record is
// marked by the attribute event: log.Error("push parked", "event", PushParked).
type Event string

// The events of the catalogue.
const (
	WorkerReady          Event = "worker-ready"
	WorkerDraining       Event = "worker-draining"
	WorkerRecycled       Event = "worker-recycled"
	WorkerStuck          Event = "worker-stuck"
	DatabaseUnavailable  Event = "database-unavailable"
	DatabaseRecovered    Event = "database-recovered"
	SchemaMigrated       Event = "schema-migrated"
	ConfigurationInvalid Event = "configuration-invalid"
	PushParked           Event = "push-parked"
	PushFailing          Event = "push-failing"
	RemotePaused         Event = "remote-paused"
	RemoteResumed        Event = "remote-resumed"
	ForeignCommit        Event = "foreign-commit"
	HarvestGuarded       Event = "harvest-guarded"
	HarvestExpired       Event = "harvest-expired"
	UntrustedProxy       Event = "untrusted-proxy"
	CertificateExpiring  Event = "certificate-expiring"
	InternalError        Event = "internal-error"
)

// entry is what the catalogue says about an event. Names between @ are
// replaced by the journal with the field of the record.
type entry struct {
	event   Event
	id      string // 128 bits, never changed once published
	subject string
	text    string
}

// entries is the catalogue. A function keeps it from being changed.
func entries() []entry {
	return []entry{
		{
			event: WorkerReady, id: "e14adefc05934dd8ae09de6bed743f34",
			subject: "A worker is ready",
			text:    "The worker has opened its sockets and reached the database; it answers requests from\nnow on. Nothing needs to be done.",
		},
		{
			event: WorkerDraining, id: "4fe214e83ac24d669749d0e47d9a93d4",
			subject: "A worker finishes its requests and ends",
			text:    "The worker takes no new connections and ends when the requests it has are answered,\nat the latest after worker.graceful_timeout. The other workers go on.",
		},
		{
			event: WorkerRecycled, id: "b09ab55c8f104a329bdea64f4ec923ea",
			subject: "A worker is replaced",
			text:    "The worker has reached the age, memory or number of requests at which it is replaced\n(worker.max_age, worker.max_memory, worker.max_requests). systemd starts a fresh one.\nNothing needs to be done.",
		},
		{
			event: WorkerStuck, id: "7e5ce6ae2efb46ad9b7460e6db75b4fe",
			subject: "A worker does not pass its own health check",
			text:    "The request path of the worker did not answer in time, so the watchdog is no longer fed.\nsystemd will end the worker, with the stacks of all goroutines in the journal, and start\na fresh one. If it happens again, report it with those stacks.",
		},
		{
			event: DatabaseUnavailable, id: "1ff412810b6e45428c945c468bb41379",
			subject: "The database cannot be reached",
			text:    "Requests are answered with 503 and Retry-After; nothing that was acknowledged is lost.\nThe connection is tried again all the time.\n\nLook at: systemctl status postgresql; middleware-api doctor",
		},
		{
			event: DatabaseRecovered, id: "9720f411824c489a82bf52bbf1907f85",
			subject: "The database can be reached again",
			text:    "Requests are answered again. Nothing needs to be done.",
		},
		{
			event: SchemaMigrated, id: "1e6f12efd9d0489f92f60266dbe70cda",
			subject: "The database schema was brought up to date",
			text:    "Workers of the previous version go on with the new schema. Nothing needs to be done.",
		},
		{
			event: ConfigurationInvalid, id: "aee9a77edb68406694dca66f101364da",
			subject: "The configuration cannot be used",
			text:    "Every problem is listed with its line. Workers that run keep the old configuration.\n\nMend /etc/middleware-api/config.yaml, verify with \"middleware-api check\", then:\nsystemctl reload middleware-api",
		},
		{
			event: PushParked, id: "5f309d145be84edb9f86e1cd9af41650",
			subject: "An ARC waits for somebody before it can be pushed",
			text:    "The git server refused ARC @ARC_ID@ of @RDI@, or its content cannot become an ARC\nfolder. Trying again would not help; the record names who can mend it and how.\n\nLook at: middleware-api explain @ARC_ID@\nThen: middleware-api resync @ARC_ID@",
		},
		{
			event: PushFailing, id: "6121bb04508c4f6491cb66d68fbff7aa",
			subject: "An ARC could not be pushed and will be tried again",
			text:    "The push of ARC @ARC_ID@ failed for a reason that passes (attempt @ATTEMPT@). It is\ntried again with growing pauses, without a limit.\n\nLook at: middleware-api causes",
		},
		{
			event: RemotePaused, id: "3d9f1895f6f6459683ef5d12bd452daf",
			subject: "The git store is paused",
			text:    "What happened concerns every ARC, such as an expired token or a server that is down.\nNo further pushes are tried; one probe after the other is, and work resumes by itself.\nUploads are accepted meanwhile.\n\nLook at: middleware-api causes; middleware-api doctor",
		},
		{
			event: RemoteResumed, id: "3f501bdc243d4533aaf9b640dc22dd13",
			subject: "The git store works again",
			text:    "A probe succeeded; everything that is due is pushed now. Nothing needs to be done.",
		},
		{
			event: ForeignCommit, id: "e52c54a0fe104264a0e146b7bfa169d3",
			subject: "Somebody else committed to the repository of an ARC",
			text:    "The repository of ARC @ARC_ID@ holds a commit that is not from this service. What\nhappens is set by sync.on_foreign_commit; nothing is removed from the history.",
		},
		{
			event: HarvestGuarded, id: "b47c0760d2b245cc93f9f67e96d6bc83",
			subject: "A harvest would have marked suspiciously many ARCs as missing",
			text:    "Harvest @HARVEST_ID@ of @RDI@ did not contain more of the known ARCs than\nharvest.missing_guard_percent allows, so none was marked. Ask the RDI whether the\nharvest was complete.",
		},
		{
			event: HarvestExpired, id: "83e9652798bd4d2a81459f3a6319b200",
			subject: "An abandoned harvest was closed",
			text:    "Nothing was uploaded to harvest @HARVEST_ID@ of @RDI@ for harvest.expire_after.\nWhat was uploaded is kept. Ask the RDI why its client stopped.",
		},
		{
			event: UntrustedProxy, id: "53dca82789994a30afecbd3bace94baf",
			subject: "Certificate headers from an untrusted peer were ignored",
			text:    "A peer that is not among trusted_proxies sent headers with a certificate. If it is\nyour proxy, add its address to trusted_proxies; if not, somebody tries to pass for\na client.",
		},
		{
			event: CertificateExpiring, id: "0c3b7b0e5d8a4c1f9a6e2f4b8d7c1e35",
			subject: "A certificate ends soon",
			text:    "A certificate that the service shows to clients, or one by which it believes them, ends\nsoon or cannot be read; the record names file and days. Afterwards no client that checks\nit can upload.\n\nReplace the file; the service notices the new one by itself.\nLook at: middleware-api doctor",
		},
		{
			event: InternalError, id: "63393adabfd9478e97f5314aa4b97c9a",
			subject: "A defect in middleware-api",
			text:    "A request or a push ended because of a defect. The record holds the cause and the id\nof the request. Please report it together with the version.",
		},
	}
}

// Attr gives the attribute that marks a record as this event, for LogAttrs.
func (e Event) Attr() slog.Attr { return slog.Any("event", e) }

// MessageID gives the id under which the journal knows the event, as 32
// hexadecimal digits, or "" for an event that is not in the catalogue.
func (e Event) MessageID() string {
	for _, entry := range entries() {
		if entry.event == e {
			return entry.id
		}
	}
	return ""
}

// Events lists all events of the catalogue.
func Events() []Event {
	var all []Event
	for _, entry := range entries() {
		all = append(all, entry.event)
	}
	return all
}

// Catalog gives the file for /usr/lib/systemd/catalog
// (https://systemd.io/CATALOG/).
func Catalog() []byte {
	var b strings.Builder
	b.WriteString("# Explanations of the events of middleware-api for journalctl --catalog.\n")
	for _, entry := range entries() {
		b.WriteString("\n-- " + entry.id + "\n")
		b.WriteString("Subject: " + entry.subject + "\n")
		b.WriteString("Defined-By: middleware-api\n")
		b.WriteString("Support: https://github.com/fairagro/middleware-api/issues\n")
		b.WriteString("Documentation: man:middleware-api(8)\n\n")
		b.WriteString(entry.text + "\n")
	}
	return []byte(b.String())
}
