# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/services.sh
# RabbitMQ. Besides its own port it has one for other nodes and one for epmd, the name service of Erlang; both on loopback too.
packages[rabbitmq]="rabbitmq-server"
user[rabbitmq]=rabbitmq
RABBITMQ_PROGRAM=/usr/lib/rabbitmq/bin/rabbitmq-server # the one in the PATH runs for root and rabbitmq only

rabbitmq_installed() { [ -x $RABBITMQ_PROGRAM ] && command -v epmd >/dev/null; }

rabbitmq_start() {
  local folder=$run/rabbitmq epmd=$((14369 + offset)) deadline=$((SECONDS + 10))
  rm -f "$folder/pid"
  data_folder rabbitmq mnesia
  settings_file rabbitmq rabbitmq.conf <<SETTINGS
listeners.tcp.1 = 127.0.0.1:${port[rabbitmq]}
default_user = openbell
default_pass = $(password rabbitmq)
disk_free_limit.absolute = 50MB
vm_memory_high_watermark.absolute = 512MiB
SETTINGS
  echo '[].' | settings_file rabbitmq enabled_plugins
  : | settings_file rabbitmq rabbitmq-env.conf

  # A name service of our own, so that its process is known and ends with the server.
  if ! taken $epmd; then
    launch rabbitmq epmd -address 127.0.0.1 -port $epmd
    echo "${launched[rabbitmq]}" >"$folder/epmd.pid"
    until taken $epmd; do
      [ $SECONDS -lt $deadline ] || die "epmd does not listen on 127.0.0.1:$epmd; see $folder/log"
      sleep 0.05
    done
  fi
  launch rabbitmq env HOME="$folder" ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT=$epmd RABBITMQ_NODENAME=openbell@localhost \
    RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="${port[rabbitmq]}" RABBITMQ_DIST_PORT=$((port[rabbitmq] + 2)) \
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="-kernel inet_dist_use_interface {127,0,0,1} -openbell $folder" \
    RABBITMQ_CONF_ENV_FILE="$folder/rabbitmq-env.conf" RABBITMQ_CONFIG_FILE="$folder/rabbitmq.conf" RABBITMQ_PID_FILE="$folder/pid" \
    RABBITMQ_ENABLED_PLUGINS_FILE="$folder/enabled_plugins" RABBITMQ_GENERATED_CONFIG_DIR="$folder/config" \
    RABBITMQ_MNESIA_BASE="$folder/mnesia" RABBITMQ_LOG_BASE="$folder" RABBITMQ_LOGS=- $RABBITMQ_PROGRAM
}

# The header of AMQP 0-9-1, which the server answers with a frame of method Connection.Start.
rabbitmq_ready() { pid_of rabbitmq >/dev/null && [ "$(answer "${port[rabbitmq]}" 'AMQP\0\0\11\1' 1)" = "   1" ]; }

rabbitmq_after_stop() {
  local epmd
  epmd=$(cat "$run/rabbitmq/epmd.pid" 2>/dev/null) || return 0
  rm -f "$run/rabbitmq/epmd.pid"
  if tr '\0' ' ' 2>/dev/null <"/proc/$epmd/cmdline" | grep -q "^epmd .*-port"; then
    kill -TERM "$epmd" && wait_gone rabbitmq "$epmd"
  fi
}
