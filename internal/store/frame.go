package store

import (
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/fairagro/middleware-api/internal/fault"
)

// maxDocument bounds a document after decompression, far above the limit for
// what is accepted: stored content was checked, but it may be damaged.
const maxDocument = 1 << 30

// encoder and decoder are safe for concurrent use and keep as many inner ones
// as goroutines use them at once.
var (
	encoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithLowerEncoderMem(true))
	})
	decoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxDocument), zstd.WithDecoderLowmem(true))
	})
)

// Compress gives a document as the zstd frame (RFC 8878) that is stored.
func Compress(document []byte) []byte {
	e, err := encoder()
	if err != nil {
		panic(err) // options are constants
	}
	// Crates shrink to about a sixth.
	return e.EncodeAll(document, make([]byte, 0, len(document)/4+64))
}

// Document gives the RO-Crate document of a content, or the fault
// ContentDamaged.
func (c *Content) Document() ([]byte, error) {
	if c.Size < 0 || c.Size > maxDocument {
		return nil, fault.New(fault.ContentDamaged, fmt.Errorf("recorded size %d", c.Size))
	}
	d, err := decoder()
	if err != nil {
		panic(err) // options are constants
	}
	document, err := d.DecodeAll(c.Frame, make([]byte, 0, c.Size))
	if err != nil {
		return nil, fault.New(fault.ContentDamaged, err)
	}
	if int64(len(document)) != c.Size {
		return nil, fault.New(fault.ContentDamaged, errors.New("size differs from the recorded one"))
	}
	return document, nil
}
