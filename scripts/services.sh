#!/usr/bin/env bash
# The servers of a platform of several processes, for development and tests: PostgreSQL, Redis, RabbitMQ, Apache Kafka.
# Installs what is missing (Debian, as root), starts everything on 127.0.0.1, and keeps all of it in run/. `services.sh help` says the rest.
# What differs from server to server stands in scripts/servers/, one file each.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

usage() {
  cat <<'USAGE'
usage: scripts/services.sh COMMAND [postgres|redis|rabbitmq|kafka ...]      (no name: all four)

  up        install what is missing, start what does not run, wait until it answers, show a table
  down      stop; the data stay in run/ (to throw them away: down, then rm -r run)
  status    show the table; exit code 1 when a server does not answer
  env       print the environment of a client: eval "$(scripts/services.sh env)"; also in run/services.env
  logs      the last lines of each log
  start     like up, but installs nothing
  stop      like down
  kill      end the server's main process with SIGKILL, as a crash would; `start` brings it back with its data

  OPENBELL_SERVICES_PORT_OFFSET   added to every port, so that two checkouts do not collide: 0, or 10 to 20000
  OPENBELL_SERVICES_DIR           another folder than run/, when the users postgres and rabbitmq cannot reach it
  OPENBELL_SERVICES_KAFKA_ADVERTISED   the port at which Kafka tells its clients to find it, where that is a proxy's
USAGE
}

say() { printf '%s\n' "openbell services: $*" >&2; }
die() { say "$@"; exit 1; }

SERVERS=(postgres redis rabbitmq kafka)
START_SECONDS=90
STOP_SECONDS=60
run=${OPENBELL_SERVICES_DIR:-$PWD/run}
offset=${OPENBELL_SERVICES_PORT_OFFSET:-$(cat "$run/port-offset" 2>/dev/null || echo 0)}
if ! [[ $offset =~ ^(0|[1-9][0-9]{1,4})$ ]] || [ "$offset" -gt 20000 ]; then
  die "OPENBELL_SERVICES_PORT_OFFSET is '$offset'; expected 0, or a whole number from 10 to 20000"
fi
declare -A port=([postgres]=$((15432 + offset)) [redis]=$((16379 + offset)) [rabbitmq]=$((15672 + offset)) [kafka]=$((29092 + offset)))
declare -A launched=() # processes that this call started

# --- what the servers' files use

# The user a server runs as: that of its package when we are root, else ourselves.
owner() { if [ "$(id -u)" = 0 ]; then echo "${user[$1]}"; else id -un; fi; }

# What to put before a command, so that it runs as the user of a server, in the same process.
become() {
  [ "$(id -u)" != 0 ] || echo "setpriv --reuid=${user[$1]} --regid=$(id -g "${user[$1]}") --init-groups --"
}

# Runs a command in the folder of a server, as its user.
as() {
  local name=$1
  shift
  # shellcheck disable=SC2046 # words that hold no blanks
  (cd "$run/$name" && exec $(become "$name") "$@")
}

# Starts a server in a session of its own, its words into its log. A shell stays as its parent, notes how it ended, and takes
# the process away at once: what is dead but not taken away keeps PostgreSQL from starting again.
launch() {
  local name=$1
  shift
  rm -f "$run/$name/launched"
  # shellcheck disable=SC2016,SC2046 # for the inner shell; words that hold no blanks
  (cd "$run/$name" && exec setsid bash -c '
    launched=$1
    shift
    "$@" &
    echo $! >"$launched.new" && mv "$launched.new" "$launched"
    wait $! 2>/dev/null && code=0 || code=$?
    echo "$(date "+%F %T") the server ended with code $code"
  ' services.sh "$run/$name/launched" $(become "$name") "$@") </dev/null >>"$run/$name/log" 2>&1 9>&- &
  until launched[$name]=$(cat "$run/$name/launched" 2>/dev/null); do sleep 0.01; done
}

# Writes standard input to a file of a server that nobody else may read.
settings_file() {
  (umask 077 && cat >"$run/$1/$2")
  chown "$(owner "$1")" "$run/$1/$2"
}

# Makes a folder of a server's data, closed to everybody else.
data_folder() {
  (umask 077 && mkdir -p "$run/$1/$2")
  chown "$(owner "$1")" "$run/$1/$2"
}

# Sends bytes (as printf writes them) to a port and prints the first bytes of the answer as numbers.
answer() {
  # shellcheck disable=SC2016 # for the inner shell
  timeout 3 bash -c 'exec 3<>"/dev/tcp/127.0.0.1/$0"; printf "$1" >&3; head -c "$2" <&3 | od -An -v -tu1' "$1" "$2" "$3" 2>/dev/null
}

# Whether anybody listens on a port.
taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# Runs a command silently; shows what it said only when it fails.
quietly() {
  local log
  log=$(mktemp)
  if ! "$@" </dev/null >"$log" 2>&1; then
    tail -n 30 "$log" >&2
    rm -f "$log"
    die "failed: $*"
  fi
  rm -f "$log"
}

declare -A user=() packages=() signal=()
# shellcheck source=scripts/servers/environment.sh
source scripts/servers/environment.sh
for name in "${SERVERS[@]}"; do
  # shellcheck source=/dev/null
  source "scripts/servers/$name.sh"
done

# --- processes

# The main process of a server, if it runs: the id in its pid file, when that is still a process of this folder.
pid_of() {
  local pid
  pid=$(cat "$run/$1/pid" 2>/dev/null) && [ -n "$pid" ] || return 1
  tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "$run/$1" || return 1
  echo "$pid"
}

exists() { [ -d "/proc/$1" ] && ! grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null; }

children_of() { cat "/proc/$1"/task/*/children 2>/dev/null || true; }

# Waits until no process of a list runs any more.
wait_gone() {
  local name=$1 pid deadline=$((SECONDS + STOP_SECONDS))
  shift
  for pid in "$@"; do
    while exists "$pid"; do
      [ $SECONDS -lt $deadline ] || die "$name: process $pid is still there after $STOP_SECONDS s; see $run/$name/log"
      sleep 0.05
    done
  done
}

wait_ready() {
  local name=$1 deadline=$((SECONDS + START_SECONDS)) why=""
  until "${name}_ready"; do
    [ $SECONDS -lt $deadline ] || why="does not answer on 127.0.0.1:${port[$name]} after $START_SECONDS s"
    [ -z "${launched[$name]:-}" ] || exists "${launched[$name]}" || why="ended at its start"
    if [ -n "$why" ]; then
      tail -n 20 "$run/$name/log" >&2 || true
      die "$name $why; the end of $run/$name/log is above"
    fi
    sleep 0.1
  done
}

# --- install

# Servers keep the ports they were started with.
same_offset() {
  local name started
  started=$(cat "$run/port-offset" 2>/dev/null) && [ "$started" != "$offset" ] || return 0
  for name in "${SERVERS[@]}"; do
    ! pid_of "$name" >/dev/null || die "$name runs with OPENBELL_SERVICES_PORT_OFFSET=$started, not $offset; unset it, or stop them first: scripts/services.sh down"
  done
}

linux_only() {
  [ "$(uname)" = Linux ] || die "starts servers on Linux only; here: docker compose -f deploy/compose.yaml --profile servers up --detach --wait"
}

install_missing() {
  local name missing=()
  for name in "$@"; do
    # shellcheck disable=SC2206 # package names hold no blanks
    "${name}_installed" || missing+=(${packages[$name]})
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  command -v apt-get >/dev/null ||
    die "missing: ${missing[*]}, and this is not Debian; install them, or: docker compose -f deploy/compose.yaml --profile servers up --detach --wait"
  [ "$(id -u)" = 0 ] || die "missing; as root: apt-get install --no-install-recommends ${missing[*]}"
  say "installing ${missing[*]}"
  # While this file is there, packages do not start a server of their own on the usual ports.
  (
    policy=/usr/sbin/policy-rc.d
    kept=$(mktemp -d)
    [ ! -e $policy ] || mv $policy "$kept/"
    trap 'rm -f $policy; [ ! -e "$kept/policy-rc.d" ] || mv "$kept/policy-rc.d" $policy; rm -r "$kept"' EXIT
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    export DEBIAN_FRONTEND=noninteractive
    quietly apt-get -qq -o DPkg::Lock::Timeout=300 update
    quietly apt-get -qq -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends "${missing[@]}"
  )
  for name in "$@"; do
    "${name}_installed" || die "$name is installed, and yet its programs are not where Debian puts them"
  done
}

# --- folders, passwords, the environment of clients

password() { cat "$run/passwords/$1"; }

prepare() {
  local name folder
  case $run in *[!A-Za-z0-9._/@+-]*) die "$run has characters that not every server takes; name a plain folder: OPENBELL_SERVICES_DIR=/var/tmp/openbell" ;; esac
  [ ${#run} -le 80 ] || die "$run is too long for a socket's name; name a shorter folder: OPENBELL_SERVICES_DIR=/var/tmp/openbell"
  mkdir -p "$run" && [ -w "$run" ] || die "$run belongs to another user; run this as that user, or remove it as root"
  exec 9>"$run/lock"
  flock --wait 600 9 || die "another services.sh works in $run, and does not end"

  echo "$offset" >"$run/port-offset"

  (umask 077 && mkdir -p "$run/passwords")
  for name in postgres rabbitmq; do
    [ -s "$run/passwords/$name" ] || (umask 077 && head -c 24 /dev/urandom | base64 | tr '+/' 'Aa' >"$run/passwords/$name")
  done
  write_environment
  # Whoever owns the checkout may read what a client needs, also when root started the servers.
  [ "$(id -u)" != 0 ] || chown --reference=. "$run" "$run/services.env"

  for name in "$@"; do
    mkdir -p "$run/$name"
    touch "$run/$name/log"
    chown "$(owner "$name")" "$run/$name" "$run/$name/log"
    if ! as "$name" test -x "$run/$name" 2>/dev/null; then
      folder=$run
      while ! as "$name" test -x "$(dirname "$folder")"; do folder=$(dirname "$folder"); done
      die "user $(owner "$name") may not enter $folder; open it (chmod o+x $folder), or name another: OPENBELL_SERVICES_DIR=/var/tmp/openbell"
    fi
  done
}

write_environment() {
  (umask 077 && client_environment "$(password postgres)" "$(password rabbitmq)" "" "$offset" >"$run/services.env.new")
  mv "$run/services.env.new" "$run/services.env"
}

# --- commands

start() {
  local name begin=()
  for name in "$@"; do pid_of "$name" >/dev/null || begin+=("$name"); done
  if [ ${#begin[@]} -gt 0 ]; then
    prepare "${begin[@]}"
    for name in "${begin[@]}"; do
      "${name}_installed" || die "$name is not installed; scripts/services.sh up installs it"
      ! taken "${port[$name]}" || pid_of "$name" >/dev/null ||
        die "another program listens on 127.0.0.1:${port[$name]}; end it, or: OPENBELL_SERVICES_PORT_OFFSET=100 scripts/services.sh up"
    done
    for name in "${begin[@]}"; do
      if pid_of "$name" >/dev/null; then continue; fi # another call started it while we waited for the lock
      [ "$(stat -c %s "$run/$name/log")" -lt 20000000 ] || mv "$run/$name/log" "$run/$name/log.1"
      "${name}_start"
    done
  fi
  for name in "$@"; do
    wait_ready "$name"
    if declare -F "${name}_after_start" >/dev/null; then "${name}_after_start"; fi
  done
}

stop() {
  local name pid
  declare -A stopped=()
  for name in "$@"; do
    pid=$(pid_of "$name") || continue
    kill "-${signal[$name]:-TERM}" "$pid" 2>/dev/null || die "$name: process $pid belongs to another user; run this as root"
    stopped[$name]=$pid
  done
  for name in "$@"; do
    [ -z "${stopped[$name]:-}" ] || wait_gone "$name" "${stopped[$name]}"
    if declare -F "${name}_after_stop" >/dev/null; then "${name}_after_stop"; fi
  done
}

crash() {
  local name pid children patience
  for name in "$@"; do pid_of "$name" >/dev/null || die "$name does not run"; done
  for name in "$@"; do
    pid=$(pid_of "$name") || continue
    # The main process first: its children end by themselves when they miss it, and until then may hold on to its memory.
    children=$(children_of "$pid")
    kill -KILL "$pid" 2>/dev/null || die "$name: process $pid belongs to another user; run this as root"
    # shellcheck disable=SC2086 # a list of numbers
    wait_gone "$name" "$pid" $children
    patience=$((SECONDS + 5))
    while [ -d "/proc/$pid" ] && [ $SECONDS -lt $patience ]; do sleep 0.05; done # until its parent has taken it away
  done
}

status() {
  local name pid state memory code=0
  printf '%-10s %-17s %-14s %8s %10s\n' server address state pid memory
  for name in "$@"; do
    pid=- state=stopped memory=-
    if pid=$(pid_of "$name"); then
      state=running
      "${name}_ready" || state="not answering"
      memory="$(($(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$pid/status") / 1024)) MB"
    fi
    [ "$state" = running ] || code=1
    printf '%-10s %-17s %-14s %8s %10s\n' "$name" "127.0.0.1:${port[$name]}" "$state" "${pid:--}" "$memory"
  done
  return $code
}

command=${1:-help}
[ $# -eq 0 ] || shift
names=("$@")
[ ${#names[@]} -gt 0 ] || names=("${SERVERS[@]}")
for name in "${names[@]}"; do
  [[ " ${SERVERS[*]} " == *" $name "* ]] || die "there is no server '$name'; expected ${SERVERS[*]}"
done

[ "$command" = help ] || same_offset
case $command in
  up)
    linux_only
    install_missing "${names[@]}"
    start "${names[@]}"
    status "${names[@]}"
    ;;
  start) linux_only && start "${names[@]}" ;;
  down | stop) stop "${names[@]}" ;;
  kill)
    [ $# -gt 0 ] || die "kill takes the names of the servers to kill: ${SERVERS[*]}"
    crash "${names[@]}"
    ;;
  status) status "${names[@]}" ;;
  env) cat "$run/services.env" 2>/dev/null || die "there is no $run/services.env that you may read; first: scripts/services.sh up" ;;
  logs) for name in "${names[@]}"; do tail -n 40 -v "$run/$name/log" || true; done ;;
  help | -h | --help) usage ;;
  *)
    usage >&2
    die "there is no command '$command'"
    ;;
esac
