#!/usr/bin/env bash
# Prints the path of a Chromium for the browser tests. On Debian and Ubuntu, as root, installs it when there is none.
set -euo pipefail

find_chromium() {
  local name
  for name in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
    # Ubuntu's chromium-browser is a shim that asks for a snap; only one that answers counts.
    if [ -n "$name" ] && command -v "$name" >/dev/null && "$name" --version >/dev/null 2>&1; then
      command -v "$name"
      return
    fi
  done
  return 1
}

find_chromium && exit
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  { apt-get -qq update && apt-get -qq install --yes --no-install-recommends chromium fonts-dejavu-core; } </dev/null >&2
  find_chromium && exit
fi
echo "chromium: none found and none installed; install Chromium, or name one: CHROMIUM=/path/to/chromium" >&2
exit 1
