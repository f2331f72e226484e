package sqltoarc

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/fairagro/middleware-api/internal/fault"
	"github.com/fairagro/middleware-api/internal/rocrate"
	"github.com/fairagro/middleware-api/internal/scaffold"
	"github.com/fairagro/middleware-api/internal/sqltoarc/source"
)

// nowhere is for runs that only try.
type nowhere struct{ r *runner }

func (n *nowhere) begin(context.Context, int64) error { return nil }

func (n *nowhere) known() func(string) (source.Earlier, bool, error) { return nil }

func (n *nowhere) recall(*piece) (bool, error) { return false, nil }

func (n *nowhere) deliver(_ context.Context, pieces []*piece) error {
	n.r.uploaded.Add(int64(len(pieces)))
	return nil
}

func (n *nowhere) end(context.Context, error) (open bool, err error) { return false, nil }

// folderSink writes crates or ARC folders into a folder, one per dataset.
type folderSink struct {
	nowhere
	root  *os.Root
	parts atomic.Int64 // files begun, because two datasets may have one name
}

func newFolderSink(r *runner) (*folderSink, error) {
	err := os.MkdirAll(r.o.Out, 0o777) //nolint:gosec // the umask decides
	if err == nil {
		var root *os.Root
		if root, err = os.OpenRoot(r.o.Out); err == nil {
			return &folderSink{nowhere: nowhere{r}, root: root}, nil
		}
	}
	return nil, outputFault(err)
}

func outputFault(err error) error {
	return &fault.Error{Code: CodeOutput, Owner: fault.OwnerRDI, Cause: err, Text: "cannot write: " + err.Error(),
		Remedy: "make room, or choose another folder with --out"}
}

func (f *folderSink) deliver(ctx context.Context, pieces []*piece) error {
	for _, p := range pieces {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f.write(p)
		switch {
		case errors.Is(err, errNoFolder), errors.Is(err, fs.ErrExist):
			f.r.refuse(p.key, err.Error(), "")
		case err != nil:
			return outputFault(err)
		default:
			f.r.uploaded.Add(1)
		}
		p.document = nil
	}
	return nil
}

func (f *folderSink) end(context.Context, error) (open bool, err error) { return false, f.root.Close() }

// errNoFolder is about an ARC that cannot be laid out as a folder.
var errNoFolder = errors.New("the ARC cannot become a folder")

func (f *folderSink) write(p *piece) error {
	if !f.r.o.Folders {
		return f.file(fileName(p.key)+".json", func(w *bufio.Writer) error {
			_, err := w.Write(p.document)
			return err
		})
	}
	// Read back, as the service does, so that the folder is the one that it makes.
	inv, findings := rocrate.Read(p.document)
	if inv == nil {
		for _, found := range findings {
			if found.Severity == rocrate.SeverityError {
				return fmt.Errorf("%w: %s", errNoFolder, found.Text)
			}
		}
		return errNoFolder
	}
	files, err := scaffold.Files(inv)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoFolder, err)
	}
	written := map[string]bool{} // the folders of the parts
	for _, file := range files {
		written[partOf(file.Path)] = true
		name := filepath.Join(fileName(p.key), filepath.FromSlash(file.Path))
		if err := f.root.MkdirAll(filepath.Dir(name), 0o777); err != nil {
			return err
		}
		err := f.file(name, func(w *bufio.Writer) error {
			_, err := file.WriteTo(w)
			return err
		})
		if err != nil {
			return err
		}
	}
	f.tellLeft(p, written)
	return nil
}

// partOf gives the folder of the part of an ARC to which a file belongs, as in studies/s.
func partOf(file string) string {
	pieces := strings.SplitN(file, "/", 3)
	if len(pieces) < 3 {
		return ""
	}
	return pieces[0] + "/" + pieces[1]
}

// tellLeft tells of parts from an earlier run that the dataset has no more. They are not removed: somebody may have put
// files there.
func (f *folderSink) tellLeft(p *piece, written map[string]bool) {
	var left []string
	for _, kind := range [...]string{"assays", "studies"} {
		parts, err := fs.ReadDir(f.root.FS(), fileName(p.key)+"/"+kind)
		if err != nil {
			continue // there are none
		}
		for _, part := range parts {
			if name := kind + "/" + part.Name(); part.IsDir() && !written[name] {
				left = append(left, name)
			}
		}
	}
	if len(left) > 0 {
		f.r.finding(source.Finding{Severity: source.Warning, Key: p.key,
			Text:   "its folder still has what the dataset has no more: " + strings.Join(left, ", "),
			Remedy: "remove it, or choose a new folder"})
	}
}

// file writes a file as a whole or not at all: one from an earlier run stays until
// it is replaced.
func (f *folderSink) file(name string, write func(w *bufio.Writer) error) error {
	dir, base := filepath.Split(name)
	part := fmt.Sprintf("%s.%s.%d.part", dir, base, f.parts.Add(1))
	out, err := f.root.Create(part)
	if err != nil {
		return f.failure(name, err)
	}
	w := bufio.NewWriter(out)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if err = errors.Join(err, out.Close()); err == nil {
		err = f.root.Rename(part, name)
	}
	if err != nil {
		_ = f.root.Remove(part)
		return f.failure(name, err)
	}
	return nil
}

// failure tells of the file by the name that it would have.
func (f *folderSink) failure(name string, err error) error {
	if cause, ok := errors.AsType[syscall.Errno](err); ok {
		err = cause
	}
	return &fs.PathError{Op: "write", Path: filepath.Join(f.r.o.Out, name), Err: err}
}

// fileName makes an identifier a file name that is distinct, readable and works
// on every system.
func fileName(identifier string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_' || r == '.' {
			return r
		}
		return '_'
	}, identifier)
	if clean == identifier && !strings.HasPrefix(clean, ".") && len(clean) <= 100 {
		return clean
	}
	sum := sha256.Sum256([]byte(identifier))
	return strings.TrimLeft(clean[:min(len(clean), 100)], ".") + "-" + hex.EncodeToString(sum[:4])
}
