package telemetry

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// journalWriter sends records to the journal in its own protocol
// (https://systemd.io/JOURNAL_NATIVE_PROTOCOL/). The socket stays unconnected,
// so that a journal that was started again is found. Its send buffer is left alone: a large one makes the sender
// several times as expensive at full speed.
type journalWriter struct {
	conn  *net.UnixConn
	addr  *unix.SockaddrUnix
	used  atomic.Bool // something was sent
	hangs atomic.Bool // nothing was taken for longer than anybody waits
}

func newJournalWriter(socket string) (*journalWriter, error) {
	if _, err := os.Stat(socket); err != nil {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	return &journalWriter{conn: conn, addr: &unix.SockaddrUnix{Name: socket}}, nil
}

// The journal finds out which unit a record is from by looking at the process
// that sent it. If that has ended by then, its records are filed under no unit, and
// with them the lines that come after them through standard output.
const (
	lastPatience = 2 * time.Second       // for a journal that is busy or gone
	lastPoll     = time.Millisecond      // how often it is looked at
	lastGlance   = 20 * time.Millisecond // from reading a record to looking at its sender
)

// close waits until the journal has read what was sent, within bounds.
func (w *journalWriter) close() {
	if w.used.Load() {
		for deadline := time.Now().Add(lastPatience); w.unread() > 0 && time.Now().Before(deadline); {
			time.Sleep(lastPoll)
		}
		time.Sleep(lastGlance)
	}
	_ = w.conn.Close()
}

// unread gives how much memory is taken by records that the journal has not read
// yet, in bytes (SIOCOUTQ in unix(7)); 0 when that cannot be told.
func (w *journalWriter) unread() (n int) {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) { n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) })
	return n
}

// send gives one record to the journal, through a sealed file in memory when
// it is too large for a datagram.
func (w *journalWriter) send(record []byte) error {
	w.used.Store(true)
	err := w.deliver(record, nil)
	if !errors.Is(err, unix.EMSGSIZE) && !errors.Is(err, unix.ENOBUFS) {
		return err
	}
	fd, err := unix.MemfdCreate("journal-record", unix.MFD_ALLOW_SEALING|unix.MFD_CLOEXEC)
	if err != nil {
		return err
	}
	file := os.NewFile(uintptr(fd), "journal-record")
	defer func() { _ = file.Close() }()
	if _, err := file.Write(record); err != nil {
		return err
	}
	const seals = unix.F_SEAL_SHRINK | unix.F_SEAL_GROW | unix.F_SEAL_WRITE | unix.F_SEAL_SEAL
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_ADD_SEALS, seals); err != nil {
		return err
	}
	return w.deliver(nil, unix.UnixRights(fd))
}

// deliver sends a datagram. A journal that is behind is waited for, one that hangs
// is not: the error is EAGAIN then.
func (w *journalWriter) deliver(data, control []byte) error {
	err := w.try(data, control)
	for end := time.Now().Add(logPatience); errors.Is(err, unix.EAGAIN) && !w.hangs.Load(); err = w.try(data, control) {
		time.Sleep(lastPoll)
		if time.Now().After(end) {
			w.hangs.Store(true)
		}
	}
	if err == nil {
		w.hangs.Store(false)
	}
	return err
}

// try sends a datagram if the journal has room for it.
func (w *journalWriter) try(data, control []byte) error {
	raw, err := w.conn.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Control(func(fd uintptr) {
		_, sent = unix.SendmsgN(int(fd), data, control, w.addr, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
	})
	if err != nil {
		return err
	}
	return sent
}

// appendField encodes a field whose name is known to be valid.
func appendField[T string | []byte](b []byte, name string, value T) []byte {
	b = append(b, name...)
	return appendFieldValue(b, value)
}

// appendFieldValue encodes what follows the name: "=value" on the line, or
// length and bytes when the value has lines itself.
func appendFieldValue[T string | []byte](b []byte, value T) []byte {
	for i := range len(value) {
		if value[i] == '\n' {
			b = append(b, '\n')
			b = binary.LittleEndian.AppendUint64(b, uint64(len(value)))
			b = append(b, value...)
			return append(b, '\n')
		}
	}
	b = append(b, '=')
	b = append(b, value...)
	return append(b, '\n')
}

// maxFieldName is what the journal takes.
const maxFieldName = 64

// appendFieldNamed encodes an attribute under the name that the journal
// allows for it: capitals, digits and underscores, a letter first. Names that
// only the journal may give or that have a meaning get an X_ in front.
func appendFieldNamed(b []byte, prefix, key string, value []byte) []byte {
	start := len(b)
	for _, part := range [2]string{prefix, key} {
		for i := range len(part) {
			c := part[i]
			switch {
			case c >= 'a' && c <= 'z':
				c -= 'a' - 'A'
			case c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
			default:
				c = '_'
			}
			if len(b) == start && (c == '_' || c >= '0' && c <= '9') {
				b = append(b, "X_"...)
			}
			if len(b)-start < maxFieldName {
				b = append(b, c)
			}
		}
	}
	switch string(b[start:]) {
	case "MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "MESSAGE_ID":
		name := string(b[start:])
		b = append(append(b[:start], "X_"...), name...)
	}
	return appendFieldValue(b, value)
}
