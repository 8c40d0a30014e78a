# shellcheck shell=bash disable=SC2034,SC2154 # run, port, packages, user: scripts/services.sh
# PostgreSQL. Its superuser is the system user who runs it, by the socket only; clients come by TCP with a password.
packages[postgres]="postgresql"
user[postgres]=postgres

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
    (cd "$folder" && as postgres "$programs/initdb" -D "$folder/data" -E UTF8 --locale=C.UTF-8 --no-instructions \
      --auth-local=peer --auth-host=scram-sha-256) >>"$folder/log" 2>&1 </dev/null || { tail -n 20 "$folder/log" >&2; die "initdb failed"; }
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
  } | (cd "$run/postgres" && as postgres "$(postgres_programs)/psql" -X -q -v ON_ERROR_STOP=1 -h "$run/postgres" -p "${port[postgres]}" -d postgres) ||
    die "the user and the database openbell could not be made; see $run/postgres/log"
  touch "$run/postgres/client"
}

# SIGTERM alone waits for every client to leave; SIGINT, the "fast" shutdown, sends them away and loses nothing.
postgres_after_stop() { [ -z "$1" ] || kill -INT "$1" 2>/dev/null || true; }
