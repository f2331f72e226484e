#!/bin/bash
# Builds the Debian package into ./dist. VERSION is the version (default: the
# file of that name), SOURCE_DATE_EPOCH the time of everything in it (default:
# the time of the last commit). The same sources, version, time and Go give the
# same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
export VERSION=${VERSION:-$(cat VERSION)}
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || stat -c %Y VERSION)}
export ARCH=${ARCH:-$(go env GOARCH)}
DIST=${DIST:-dist}
umask 022 # the modes of files are part of the bytes

stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT
mkdir -p "$DIST"

CGO_ENABLED=0 GOARCH=$ARCH go build -trimpath -buildvcs=false \
	-ldflags "-s -w -X main.version=$VERSION" -o "$stage/" ./cmd/middleware-api
CGO_ENABLED=0 GOARCH=$ARCH go build -trimpath -buildvcs=false -ldflags "-s -w" -o "$stage/" ./cmd/launcher
go run ./packaging/generate "$stage"

# What the program says about itself; with ARCH it has to be run elsewhere.
for shell in bash zsh fish; do
	"$stage/middleware-api" completion "$shell" >"$stage/completion.$shell"
done

date=$(date -u -R -d "@$SOURCE_DATE_EPOCH")
cat >"$stage/changelog" <<END
middleware-api ($VERSION) stable; urgency=medium

  * What has changed: /usr/share/doc/middleware-api/CHANGELOG.md.gz

 -- FAIRagro <middleware@fairagro.net>  $date
END
# The commands are described by the program, the units by hand.
"$stage/middleware-api" man middleware-api.8 |
	awk '/^\.SH EXIT STATUS/ {while ((getline line <"packaging/man/units.8") > 0) print line} {print}' >"$stage/middleware-api.8"
"$stage/middleware-api" man middleware-api-errors.7 >"$stage/middleware-api-errors.7"
cp CHANGELOG.md docs/operations.md docs/errors.md "$stage/"
gzip -9n "$stage"/{changelog,CHANGELOG.md,operations.md,errors.md,middleware-api.8,middleware-api.yaml.5,middleware-api-errors.7}
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

# The description of the package names its files by their place in the stage.
sed "s|@STAGE@|$stage|; s|@MTIME@|$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)|" nfpm.yaml >"$stage/nfpm.yaml"
nfpm package --packager deb --config "$stage/nfpm.yaml" --target "$DIST/"
