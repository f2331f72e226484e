// Generate writes the files of the package that are made from the code, so
// that they cannot disagree with it: the sample configuration, its manual page
// and the catalogue of the journal. It runs when the package is built and is
// not part of it.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/fairagro/middleware-api/internal/config"
	"github.com/fairagro/middleware-api/internal/telemetry"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate DIR")
		os.Exit(64)
	}
	for name, data := range map[string][]byte{
		"config.yaml":            config.Sample(),
		"middleware-api.yaml.5":  config.ManPage(),
		"middleware-api.catalog": telemetry.Catalog(),
	} {
		if err := os.WriteFile(filepath.Join(os.Args[1], name), data, 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "generate:", err)
			os.Exit(1)
		}
	}
}
