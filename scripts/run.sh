#!/usr/bin/env bash
# Runs the platform with configs/config.yaml, the environment and .env (copy config.env.example). Arguments go to `openbell up`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
[ -x .venv/bin/openbell ] || make setup
exec .venv/bin/openbell up "$@"
