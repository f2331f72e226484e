// Package docs holds the pages of the manual that the program itself shows. It
// knows nothing of the program; the texts are constants.
package docs

import _ "embed"

// Errors is the page that explains every code: errors.md.
//
//go:embed errors.md
var Errors string
