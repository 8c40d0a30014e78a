# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/services.sh
# Redis, with an append-only file, so that at most the last second is lost when it is killed.
packages[redis]="redis-server"
user[redis]=redis

redis_installed() { command -v redis-server >/dev/null; }

redis_start() {
  data_folder redis data
  settings_file redis redis.conf <<SETTINGS
bind 127.0.0.1
port ${port[redis]}
dir $run/redis/data
appendonly yes
appendfsync everysec
save ""
set-proc-title no
SETTINGS
  launch redis redis-server "$run/redis/redis.conf"
  echo "${launched[redis]}" >"$run/redis/pid"
}

redis_ready() { [ "$(answer "${port[redis]}" 'PING\r\n' 5)" = "  43  80  79  78  71" ]; } # +PONG
