#!/bin/bash
# Builds the Debian package sql-to-arc into ./dist, with the variables and
# promises of build-deb.sh.
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
	-ldflags "-s -w -X main.version=$VERSION" -o "$stage/" ./cmd/sql-to-arc

# What the program says about itself; with ARCH it has to be run elsewhere.
for shell in bash zsh fish; do
	"$stage/sql-to-arc" completion "$shell" >"$stage/completion.$shell"
done
"$stage/sql-to-arc" man >"$stage/sql-to-arc.1"
"$stage/sql-to-arc" config sample >"$stage/config.yaml"
cat >"$stage/changelog" <<END
sql-to-arc ($VERSION) stable; urgency=medium

  * See the changes of middleware-api $VERSION.

 -- FAIRagro <middleware@fairagro.net>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n "$stage"/{changelog,sql-to-arc.1}
find "$stage" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

sed "s|@STAGE@|$stage|; s|@MTIME@|$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)|" nfpm-sql-to-arc.yaml >"$stage/nfpm.yaml"
nfpm package --packager deb --config "$stage/nfpm.yaml" --target "$DIST/"
