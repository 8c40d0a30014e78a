#!/usr/bin/env bash
# Builds the web page, and from it the wheel and the source archive in dist/.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec make build
