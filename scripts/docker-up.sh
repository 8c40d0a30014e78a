#!/usr/bin/env bash
# Starts containers in the background, waits until they are healthy and prints the address: docker-up.sh [embedded|services|servers]
#   embedded   the whole platform in one (the default)      services   each service in its own, with the servers      servers   only those
# More arguments go to `docker compose up`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
profile=embedded
case ${1:-} in embedded | services | servers)
  profile=$1
  shift
  ;;
esac
command -v docker >/dev/null || { echo "docker-up: found no 'docker'; install Docker Engine with the compose plugin" >&2; exit 1; }

secrets=deploy/services.env
if [ "$profile" != embedded ] && [ ! -e $secrets ]; then
  (
    umask 077
    while IFS= read -r line; do
      case $line in *=) line+=$(head -c 24 /dev/urandom | base64 | tr '+/' 'Aa') ;; esac
      printf '%s\n' "$line"
    done <$secrets.example >$secrets.new
  )
  mv $secrets.new $secrets
  echo "docker-up: wrote $secrets, with new passwords" >&2
fi
docker compose -f deploy/compose.yaml --profile "$profile" up --build --detach --wait "$@"
if [ "$profile" != servers ]; then
  echo "openbell: http://127.0.0.1:${OPENBELL_PORT:-8081}"
  exit
fi
# The same file as of scripts/services.sh, whose ports the containers have too.
mkdir -p run
(
  umask 077
  # shellcheck source=/dev/null
  source $secrets
  # shellcheck source=scripts/servers/environment.sh
  source scripts/servers/environment.sh
  client_environment "$DB_PASSWORD" "$OPENBELL_RABBITMQ__PASSWORD" "$OPENBELL_REDIS__PASSWORD" >run/services.env
)
echo "servers: their addresses and passwords are in run/services.env; in a shell: . run/services.env"
