package store

import (
	"encoding/hex"
	"fmt"
)

// ID is the identity of an ARC: SHA-256 over identifier and RDI.
type ID [32]byte

// Hash is the SHA-256 content hash of an ARC.
type Hash [32]byte

// String gives the 64 lower-case hex digits that the world sees.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// MarshalText gives the form of String.
func (id ID) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, id[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

// ParseID reads 64 lower-case hex digits.
func ParseID(s string) (ID, error) {
	b, err := parse32(s)
	return ID(b), err
}

// String gives 64 lower-case hex digits.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText gives the form of String.
func (h Hash) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, h[:]), nil }

// UnmarshalText reads what MarshalText wrote.
func (h *Hash) UnmarshalText(text []byte) error {
	parsed, err := ParseHash(string(text))
	if err == nil {
		*h = parsed
	}
	return err
}

// ParseHash reads 64 lower-case hex digits.
func ParseHash(s string) (Hash, error) {
	b, err := parse32(s)
	return Hash(b), err
}

func parse32(s string) (b [32]byte, err error) {
	if len(s) != 64 {
		return b, fmt.Errorf("%q: want 64 hex digits, got %d characters", clip(s), len(s))
	}
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return b, fmt.Errorf("%q: not lower-case hex", clip(s))
		}
	}
	_, err = hex.Decode(b[:], []byte(s))
	return b, err
}

func clip(s string) string {
	if len(s) > 80 {
		return s[:80] + "…"
	}
	return s
}
