#!/usr/bin/env bash
# Types for the page from the gateway's OpenAPI document, into frontend/lib/openapi.ts. tests/tidy/test_web_types.py says when it is time.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
PYTHON=${PYTHON:-.venv/bin/python}
TOOL=scripts/web_types
TYPES=frontend/lib/openapi.ts

if [ ! -f $TOOL/node_modules/.package-lock.json ] || [ $TOOL/package-lock.json -nt $TOOL/node_modules/.package-lock.json ]; then
  npm ci --prefix $TOOL --no-audit --no-fund --loglevel=error >&2
fi
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT
"$PYTHON" -m tests.document >"$folder/openapi.json"
$TOOL/node_modules/.bin/openapi-typescript "$folder/openapi.json" --default-non-nullable=false --output "$folder/openapi.ts" >&2
hash() { sha256sum "$1" | cut -d' ' -f1; }
{
  echo "// Written by \`make web-types\`. Document $(hash "$folder/openapi.json"), types $(hash "$folder/openapi.ts")."
  cat "$folder/openapi.ts"
} >$TYPES
