# shellcheck shell=bash disable=SC2034,SC2154 # variables of scripts/services.sh
# Apache Kafka itself: one process that is broker and controller (KRaft). Debian has no package, so Maven fetches the jars, once.
packages[kafka]="maven openjdk-17-jre-headless"
user[kafka]=nobody
KAFKA_VERSION=$(sed -n 's/.*<kafka.version>\(.*\)<.*/\1/p' scripts/servers/kafka.pom.xml)

# A Java of version 17 or newer.
kafka_java() {
  local java
  for java in "$(command -v java)" /usr/lib/jvm/java-*/bin/java; do
    [ -x "$java" ] || continue
    if [ "$("$java" -version 2>&1 | sed -n '1s/.*version "\([0-9]*\).*/\1/p')" -ge 17 ] 2>/dev/null; then
      echo "$java"
      return
    fi
  done
  return 1
}

kafka_jars() { echo "$run/kafka/jars-$KAFKA_VERSION"; }

kafka_installed() { kafka_java >/dev/null && { [ -d "$(kafka_jars)" ] || command -v mvn >/dev/null; }; }

kafka_start() {
  local folder=$run/kafka java jars
  java=$(kafka_java)
  jars=$(kafka_jars)
  if [ ! -d "$jars" ]; then
    say "fetching Apache Kafka $KAFKA_VERSION"
    rm -rf "$jars.new"
    quietly mvn --quiet --batch-mode --strict-checksums --file scripts/servers/kafka.pom.xml dependency:copy-dependencies -DoutputDirectory="$jars.new"
    chmod -R a+rX "$jars.new"
    mv "$jars.new" "$jars"
  fi
  data_folder kafka data
  settings_file kafka server.properties <<SETTINGS
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$((port[kafka] + 1))
listeners=PLAINTEXT://127.0.0.1:${port[kafka]},CONTROLLER://127.0.0.1:$((port[kafka] + 1))
advertised.listeners=PLAINTEXT://127.0.0.1:${OPENBELL_SERVICES_KAFKA_ADVERTISED:-${port[kafka]}}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$folder/data
log.retention.hours=24
num.partitions=4
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.num.partitions=4
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
# After a crash the broker waits until its old session has ended; a short one brings it back sooner.
broker.session.timeout.ms=4000
broker.heartbeat.interval.ms=500
SETTINGS
  if [ ! -e "$folder/data/meta.properties" ]; then
    # 16 random bytes as base64, 22 characters; the two that are not letters or digits are replaced.
    quietly as kafka "$java" -cp "$jars/*" kafka.tools.StorageTool format -c "$folder/server.properties" -t "$(head -c 16 /dev/urandom | base64 | tr '+/' 'Pz' | cut -c 1-22)"
  fi
  launch kafka "$java" -Xms256m -Xmx512m -XX:+ExitOnOutOfMemoryError -cp "$jars/*" \
    -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -Dorg.slf4j.simpleLogger.showDateTime=true -Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS \
    kafka.Kafka "$folder/server.properties"
  echo "${launched[kafka]}" >"$folder/pid"
}

# A request for the versions the broker speaks; the answer carries the request's number, 7.
kafka_ready() { [ "$(answer "${port[kafka]}" '\0\0\0\12\0\22\0\0\0\0\0\7\377\377' 8 | cut -c 17-)" = "   0   0   0   7" ]; }
