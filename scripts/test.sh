#!/usr/bin/env bash
# Runs the tests; arguments go to pytest: scripts/test.sh tests/tidy -k layers
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
exec make test ARGS="$*"
