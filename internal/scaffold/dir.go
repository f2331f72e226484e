package scaffold

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path"
)

// WriteDir writes the files into a directory, which must exist, and tells how
// many bytes they have. Whatever is in the directory, also a symbolic link, is
// not followed out of it. A file that is there already is an error of kind
// fs.ErrExist. When it fails, what was written so far stays.
func WriteDir(ctx context.Context, dir string, files []File) (int64, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return 0, fmt.Errorf("open the directory to write to: %w", err)
	}
	defer func() { _ = root.Close() }()
	var total int64
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return total, fmt.Errorf("write %s: %w", f.Path, err)
		}
		n, err := writeFile(root, f)
		total += n
		if err != nil {
			return total, fmt.Errorf("write %s: %w", f.Path, err)
		}
	}
	return total, nil
}

func writeFile(root *os.Root, f File) (n int64, err error) {
	if folder := path.Dir(f.Path); folder != "." {
		if err := root.MkdirAll(folder, 0o755); err != nil {
			return 0, err
		}
	}
	file, err := root.OpenFile(f.Path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closing := file.Close(); err == nil {
			err = closing
		}
	}()
	w := bufio.NewWriterSize(file, 64<<10)
	if n, err = f.WriteTo(w); err != nil {
		return n, err
	}
	return n, w.Flush()
}
