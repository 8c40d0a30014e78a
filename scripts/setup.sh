#!/usr/bin/env bash
# Makes .venv and installs what is asked for: `setup.sh base` (the environment with uv), `runtime` (what openbell needs to run)
# or `dev` (tests, linters, types as well). Every package comes from a lock with hashes and is byte-compiled, so that no start
# compiles again. Called by the Makefile, which keeps the stamps; safe to call by hand, twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

PYTHON=${PYTHON:-python3}
UV_VERSION=0.13.8
export UV_COMPILE_BYTECODE=1 UV_PYTHON_DOWNLOADS=never UV_NO_PROGRESS=1
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset PYTHONDONTWRITEBYTECODE VIRTUAL_ENV PYTHONPATH PYTHONHOME

say() { printf '%s\n' "openbell setup: $*" >&2; }

base() {
  "$PYTHON" - <<'PY' || { say "found no Python 3.11 or newer as '$PYTHON'; install one, or name it: make setup PYTHON=/path/to/python3.11"; exit 1; }
import sys
sys.exit(sys.version_info < (3, 11))
PY
  # An environment whose interpreter is gone (upgraded, moved) is made again.
  if ! .venv/bin/python -m pip --version >/dev/null 2>&1; then
    say "making .venv"
    "$PYTHON" -m venv --clear .venv || {
      say "python3 -m venv failed; on Debian and Ubuntu: apt-get install python3-venv"
      rm -rf .venv
      exit 1
    }
  fi
  if [ "$(.venv/bin/uv --version 2>/dev/null | cut -d' ' -f2)" != "$UV_VERSION" ]; then
    .venv/bin/python -m pip install --quiet "uv==$UV_VERSION"
  fi
}

# uv first, for its speed; pip where uv cannot reach the package index that pip is configured for.
install() {
  local lock=$1
  .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r "$lock" && return
  say "uv could not install $lock, trying pip"
  .venv/bin/python -m pip install --quiet --require-hashes -r "$lock"
}

package() {
  .venv/bin/uv pip install --quiet --python .venv/bin/python --no-deps --editable . && return
  say "uv could not install openbell itself, trying pip"
  .venv/bin/python -m pip install --quiet --no-deps --editable .
}

case ${1:-runtime} in
  base) base ;;
  runtime) install requirements.lock && package ;;
  dev) install requirements-dev.lock ;;
  *) say "expected base, runtime or dev, found '$1'"; exit 2 ;;
esac
