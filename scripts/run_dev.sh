#!/usr/bin/env bash
# Runs the platform and starts it again when a source or a setting changes. Arguments go to `openbell up`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x .venv/bin/watchfiles ] || make install-tools
exec .venv/bin/watchfiles --ignore-paths src/openbell/web/static --sigint-timeout 10 \
  ".venv/bin/openbell up $*" src configs
