# shellcheck shell=bash
# What the servers are called and where they are, as a client reads it from its environment.
# Arguments: the passwords of PostgreSQL, RabbitMQ and Redis (empty for none), and what is added to every port.
client_environment() {
  cat <<ENVIRONMENT
export DB_HOST=127.0.0.1
export DB_PORT=$((15432 + ${4:-0}))
export DB_USER=openbell
export DB_PASSWORD=$1
export DB_NAME=openbell
export REDIS_ADDR=127.0.0.1:$((16379 + ${4:-0}))
export OPENBELL_KAFKA__SERVERS=127.0.0.1:$((29092 + ${4:-0}))
export OPENBELL_RABBITMQ__HOST=127.0.0.1
export OPENBELL_RABBITMQ__PORT=$((15672 + ${4:-0}))
export OPENBELL_RABBITMQ__USER=openbell
export OPENBELL_RABBITMQ__PASSWORD=$2
export OPENBELL_BUS__MARKET=kafka
export OPENBELL_BUS__ORDERS=rabbitmq
export OPENBELL_BUS__CONTROL=redis
export OPENBELL_DATABASE__ENGINE=postgresql
ENVIRONMENT
  if [ -n "$3" ]; then echo "export OPENBELL_REDIS__PASSWORD=$3"; fi
}
