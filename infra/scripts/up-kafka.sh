#!/usr/bin/env bash
# Starts a private Kafka broker (one KRaft node) on 127.0.0.1: up-kafka.sh DIR [PORT] [HEAP]   (defaults: 9092, 512m)
#                                                               up-kafka.sh --jars            fetches the jars and prints where they are
# DIR keeps the data; the broker runs in the foreground until it is told to end (Ctrl-C, SIGTERM). The jars (56 MB) are fetched once by Maven into
# the user's cache folder. Needs a JDK 17 and mvn.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
jars=${XDG_CACHE_HOME:-$HOME/.cache}/libreco/kafka-3.9.1

fetch() {
    if [ -e "$jars/complete" ]; then
        return
    fi
    command -v mvn >/dev/null || {
        echo "up-kafka.sh: mvn is missing: install the Debian packages maven and default-jdk-headless" >&2
        return 1
    }
    mkdir -p "$(dirname "$jars")"
    local fresh
    fresh=$(mktemp -d "$jars.XXXXXX")
    if ! mvn -q -B -f "$here/tests/support/kafka/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$fresh" -DincludeScope=runtime >&2; then
        rm -rf "$fresh"
        echo "up-kafka.sh: the jars could not be fetched" >&2
        return 1
    fi
    touch "$fresh/complete"
    mv -T "$fresh" "$jars" 2>/dev/null || rm -rf "$fresh" # another was faster
    [ -e "$jars/complete" ]
}

fetch
if [ "${1:-}" = --jars ]; then
    echo "$jars"
    exit 0
fi
dir=${1:?usage: up-kafka.sh DIR [PORT] [HEAP]}
port=${2:-9092}
heap=${3:-512m}
control=${RECO_KAFKA_CONTROL_PORT:-$((port + 1))}
mkdir -p "$dir"
cat >"$dir/server.properties" <<END
process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:$port,CONTROLLER://127.0.0.1:$control
advertised.listeners=PLAINTEXT://127.0.0.1:$port
controller.listener.names=CONTROLLER
controller.quorum.voters=1@127.0.0.1:$control
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=$dir/data
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=4194304
END
if [ ! -e "$dir/data/meta.properties" ]; then
    id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22)
    java -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$jars/*" kafka.tools.StorageTool format \
        -t "A${id:1}" -c "$dir/server.properties" >"$dir/format.log" 2>&1
fi
exec java -Xms64m "-Xmx$heap" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Dorg.slf4j.simpleLogger.defaultLogLevel=info \
    -cp "$jars/*" kafka.Kafka "$dir/server.properties" >"$dir/broker.log" 2>&1
