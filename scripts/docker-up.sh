#!/usr/bin/env bash
# Builds the image, starts it in the background, waits until it is healthy and prints the address.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
command -v docker >/dev/null || { echo "docker-up: found no 'docker'; install Docker Engine with the compose plugin" >&2; exit 1; }
docker compose -f deploy/compose.yaml up --build --detach --wait "$@"
echo "openbell: http://127.0.0.1:${OPENBELL_PORT:-8081}"
