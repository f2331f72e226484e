package httpapi

import (
	"bytes"
	"compress/gzip"
	"embed"
	"fmt"
	"io"
	"net/http"
	"path"
	"strings"

	"github.com/swaggest/swgui/v5/static"
)

// The page of the API documentation. It has no script and no style in it, so
// that the policy can forbid both.
//
//go:embed docs/index.html docs/init.js docs/openapi.json
var docsFiles embed.FS

// docsPolicy lets the page load what this server sends, and nothing else. The
// viewer draws its icons from data URLs.
const docsPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// docsAssets are the files of the viewer that the page needs.
var docsAssets = map[string]string{
	"swagger-ui.css":                  "text/css; charset=utf-8",
	"swagger-ui-bundle.js":            "text/javascript; charset=utf-8",
	"swagger-ui-standalone-preset.js": "text/javascript; charset=utf-8",
	"favicon-16x16.png":               "image/png",
	"favicon-32x32.png":               "image/png",
}

func secureDocs(h http.Header) {
	h.Set("Content-Security-Policy", docsPolicy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
}

func (a *API) docsPage(x *exchange) error {
	page, err := docsFiles.ReadFile("docs/index.html")
	if err != nil {
		return err
	}
	secureDocs(x.w.Header())
	return writeBody(x.w, http.StatusOK, "text/html; charset=utf-8", page)
}

// docsAsset serves the viewer, compressed as it is in the program if the browser
// can read that.
func (a *API) docsAsset(x *exchange) error {
	name := x.param("asset")
	secureDocs(x.w.Header())
	x.w.Header().Set("Cache-Control", "public, max-age=86400")
	if name == "init.js" {
		script, err := docsFiles.ReadFile("docs/init.js")
		if err != nil {
			return err
		}
		return writeBody(x.w, http.StatusOK, "text/javascript; charset=utf-8", script)
	}
	mediaType, ok := docsAssets[name]
	if !ok {
		return refuse(codeNotFound, "Not Found")
	}
	if path.Ext(name) == ".png" {
		picture, err := static.FS.ReadFile(name)
		if err != nil {
			return fmt.Errorf("read asset of the documentation: %w", err)
		}
		return writeBody(x.w, http.StatusOK, mediaType, picture)
	}
	packed, err := static.FS.ReadFile(name + ".gz")
	if err != nil {
		return fmt.Errorf("read asset of the documentation: %w", err)
	}
	x.w.Header().Set("Vary", "Accept-Encoding")
	if strings.Contains(x.r.Header.Get("Accept-Encoding"), "gzip") {
		x.w.Header().Set("Content-Encoding", "gzip")
		return writeBody(x.w, http.StatusOK, mediaType, packed)
	}
	plain, err := gunzip(packed)
	if err != nil {
		return fmt.Errorf("read asset of the documentation: %w", err)
	}
	return writeBody(x.w, http.StatusOK, mediaType, plain)
}

func gunzip(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// openapi serves the written contract with the version of the program.
func (a *API) openapi(x *exchange) error {
	document, err := docsFiles.ReadFile("docs/openapi.json")
	if err != nil {
		return err
	}
	version, err := appendJSON(a.options.Version)
	if err != nil {
		return err
	}
	document = bytes.Replace(document, []byte(`"version": "0.0.0"`), append([]byte(`"version": `), version...), 1)
	return writeBody(x.w, http.StatusOK, mediaJSON, document)
}
