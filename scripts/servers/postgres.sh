# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/services.sh
# PostgreSQL. Its superuser is the system user who runs it, by the socket only; clients come by TCP with a password.
packages[postgres]="postgresql"
user[postgres]=postgres
signal[postgres]=INT # the "fast" shutdown, which sends clients away; SIGTERM waits until they leave

# The programs of the version the data were made with, else of the newest.
postgres_programs() {
  local version
  version=$(cat "$run/postgres/version" 2>/dev/null) || version='*'
  # shellcheck disable=SC2086 # a pattern
  printf '%s\n' /usr/lib/postgresql/$version/bin | sort -V | tail -n 1
}

postgres_installed() { [ -x "$(postgres_programs)/initdb" ]; }

postgres_start() {
  local folder=$run/postgres programs
  programs=$(postgres_programs)
  if [ ! -e "$folder/version" ]; then
    rm -rf "$folder/data" # left by an attempt that did not get to its end
    quietly as postgres "$programs/initdb" -D "$folder/data" -E UTF8 --locale=C.UTF-8 --auth-local=peer --auth-host=scram-sha-256
    echo "include = '$folder/openbell.conf'" >>"$folder/data/postgresql.conf"
    basename "$(dirname "$programs")" >"$folder/version"
  fi
  settings_file postgres openbell.conf <<SETTINGS
listen_addresses = '127.0.0.1'
port = ${port[postgres]}
unix_socket_directories = '$folder'
external_pid_file = '$folder/pid'
max_connections = 200
shared_buffers = 256MB
max_wal_size = 2GB
SETTINGS
  launch postgres "$programs/postgres" -D "$folder/data"
}

postgres_ready() { "$(postgres_programs)/pg_isready" -q -h 127.0.0.1 -p "${port[postgres]}" -t 3; }

# The client's user and database, made once; the password travels by standard input, where nobody sees it.
postgres_after_start() {
  [ ! -e "$run/postgres/client" ] || return 0
  {
    printf '\\set password %s\n' "$(password postgres)"
    cat <<'SQL'
SELECT 'CREATE ROLE openbell LOGIN CREATEDB' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'openbell') \gexec
ALTER ROLE openbell PASSWORD :'password';
SELECT 'CREATE DATABASE openbell OWNER openbell' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = 'openbell') \gexec
SQL
  } | as postgres "$(postgres_programs)/psql" -X -q -v ON_ERROR_STOP=1 -h "$run/postgres" -p "${port[postgres]}" -d postgres ||
    die "the user and the database openbell could not be made; see $run/postgres/log"
  touch "$run/postgres/client"
}
