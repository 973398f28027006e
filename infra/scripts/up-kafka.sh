#!/usr/bin/env bash
# A private Kafka on 127.0.0.1 for `stream:`, without containers. It keeps its data in DIR.
#
#   up-kafka.sh [OPTIONS] DIR [PORT] [HEAP]          in the foreground, until Ctrl-C (default: one broker, port 9092, 512m of heap each)
#   up-kafka.sh start [OPTIONS] DIR [PORT] [HEAP]    in the background; prints its address once all brokers serve
#   up-kafka.sh stop DIR                             ends it; the data stay
#   up-kafka.sh status DIR                           its address; exit code 3 when it does not run
#   up-kafka.sh --jars                               fetches the jars and prints where they are
#
# --brokers N   a cluster of N brokers, each a KRaft controller too. Topics get min(N, 3) replicas and, with three or more, min.insync.replicas=2.
#               Broker I serves on PORT + I - 1 and keeps data, log and process id in DIR/I (with one broker: in DIR): `kill -9 $(cat DIR/2/pid)`.
#               A broker that dies is not started again; when all are gone the script ends.
# --only I      starts broker I of the cluster alone: the others have commands of their own. Use it to bring back one that was killed.
# --sasl U:P    each broker serves clients that say U and P with SASL/PLAIN (security.protocol=SASL_PLAINTEXT) on a listener more.
# --jit full    compiles what is used much as well as Java can, as any broker does that is to run for long: it needs a minute under load, and more
#               memory, but a third less processor time after that. Default: fast, for a broker that serves soon and ends soon.
# --through A=B the broker (one only) listens on port A too, and clients that come there are told that it is at port B: a proxy in front of it.
#
# PORT may name each broker's port: 9092,9095,9099. The controllers' are the N after the last, the SASL listeners' the N after those;
# RECO_KAFKA_CONTROL_PORT and RECO_KAFKA_SASL_PORT name them instead, in the same way. A broker serves once its broker.log says "Kafka Server started".
# Everybody on this machine can reach it. The jars (56 MB) are fetched once by Maven into the user's cache folder. Needs a JDK 17 and mvn (Debian
# packages default-jdk-headless and maven).
set -euo pipefail
prefix=up-kafka.sh ending=TERM
# shellcheck source=infra/scripts/up-common.sh
. "$(dirname "${BASH_SOURCE[0]}")/up-common.sh"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
jars=${XDG_CACHE_HOME:-$HOME/.cache}/libreco/kafka-3.9.1

fetch() {
    if [ -e "$jars/complete" ]; then
        return
    fi
    command -v mvn >/dev/null || die "mvn is missing: install the Debian packages maven and default-jdk-headless"
    mkdir -p "$(dirname "$jars")"
    local fresh
    fresh=$(mktemp -d "$jars.XXXXXX")
    if ! mvn -q -B -f "$here/tests/support/kafka/pom.xml" dependency:copy-dependencies "-DoutputDirectory=$fresh" -DincludeScope=runtime >&2; then
        rm -rf "$fresh"
        die "the jars could not be fetched"
    fi
    touch "$fresh/complete"
    mv -T "$fresh" "$jars" 2>/dev/null || rm -rf "$fresh" # another was faster
    [ -e "$jars/complete" ]
}

action=run
case "${1:-}" in
start | stop | status)
    action=$1
    shift
    ;;
esac
given=("$@") brokers=1 only='' sasl='' jit=fast through=()
[ "${1:-}" != -h ] || set -- --help
while [[ ${1:-} == --* ]]; do
    case $1 in
    --jars)
        fetch
        echo "$jars"
        exit 0
        ;;
    --help)
        usage
        exit 0
        ;;
    --brokers) brokers=${2:?--brokers N} ;;
    --only) only=${2:?--only I} ;;
    --jit) jit=${2:?--jit fast or full} ;;
    --sasl) sasl=${2:?--sasl USER:PASSWORD} ;;
    --through) through+=("${2:?--through PORT=PROXY}") ;;
    *) die "unknown option $1" ;;
    esac
    shift 2
done
[[ $brokers =~ ^[1-9]$ ]] || die "--brokers is 1 to 9"
[[ -z $only || ($only =~ ^[1-9]$ && $only -le $brokers) ]] || die "--only is 1 to $brokers"
[[ -z $sasl || $sasl =~ ^[A-Za-z0-9_.-]+:[A-Za-z0-9_.-]+$ ]] || die "--sasl is USER:PASSWORD of A-Z a-z 0-9 _ . -"
[[ ${#through[@]} -eq 0 || $brokers -eq 1 ]] || die "--through is for one broker"
[[ $jit == fast || $jit == full ]] || die "--jit is fast or full"
for pair in "${through[@]}"; do
    [[ $pair =~ ^[0-9]+=[0-9]+$ ]] || die "--through is PORT=PROXY"
done
if [ $# -lt 1 ] || [ $# -gt 3 ] || [[ $1 == -* ]]; then
    usage >&2
    exit 2
fi
dir=$(realpath -m "$1")
case "$action" in
stop)
    stop_background "$dir"
    exit
    ;;
status)
    show_status "$dir"
    exit
    ;;
esac
heap=${3:-512m}
[[ $heap =~ ^[1-9][0-9]*[kmgKMG]?$ ]] || die "heap $heap: a size such as 512m is wanted"

# N ports: as given, or the ones after the first.
ports() {
    local -a given
    local port
    IFS=, read -r -a given <<<"$1"
    for port in "${given[@]}"; do is_port "$port" || die "port $port is not one of 1 to 65535"; done
    if [ "${#given[@]}" -eq 1 ]; then
        is_port $((10#$1 + brokers - 1)) || die "$brokers ports from $1 on go beyond 65535"
        seq -s ' ' "$1" $((10#$1 + brokers - 1))
    elif [ "${#given[@]}" -eq "$brokers" ]; then
        echo "${given[*]}"
    else
        die "$1: one port, or one for each of $brokers brokers"
    fi
}
wanted=$(ports "${2:-9092}")
read -r -a serve <<<"$wanted"
wanted=$(ports "${RECO_KAFKA_CONTROL_PORT:-$((serve[-1] + 1))}")
read -r -a control <<<"$wanted"
wanted=$(ports "${RECO_KAFKA_SASL_PORT:-$((control[-1] + 1))}")
read -r -a guarded <<<"$wanted"
fetch

place() {
    if [ "$brokers" -eq 1 ]; then echo "$dir"; else echo "$dir/$1"; fi
}

configure() {
    local i=$1 at voters='' extra='' extra_listener='' inside='' outside='' protocols='' n
    at=$(place "$i")
    for n in $(seq "$brokers"); do
        voters+=${voters:+,}$n@127.0.0.1:${control[n - 1]}
    done
    if [ -n "$sasl" ]; then
        extra_listener=,SASL_PLAINTEXT://127.0.0.1:${guarded[i - 1]}
        extra="sasl.enabled.mechanisms=PLAIN
listener.name.sasl_plaintext.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_${sasl%%:*}=\"${sasl#*:}\";"
    fi
    for n in "${!through[@]}"; do
        inside+=,THROUGH$n://127.0.0.1:${through[n]%%=*}
        outside+=,THROUGH$n://127.0.0.1:${through[n]#*=}
        protocols+=,THROUGH$n:PLAINTEXT
    done
    mkdir -p "$at"
    (
        umask 077
        cat >"$at/server.properties" <<END
process.roles=broker,controller
node.id=$i
listeners=PLAINTEXT://127.0.0.1:${serve[i - 1]},CONTROLLER://127.0.0.1:${control[i - 1]}$extra_listener$inside
advertised.listeners=PLAINTEXT://127.0.0.1:${serve[i - 1]}$extra_listener$outside
controller.listener.names=CONTROLLER
controller.quorum.voters=$voters
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT$protocols
log.dirs=$at/data
default.replication.factor=$((brokers < 3 ? brokers : 3))
min.insync.replicas=$((brokers < 3 ? 1 : 2))
offsets.topic.replication.factor=$((brokers < 3 ? brokers : 3))
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=$((brokers < 3 ? brokers : 3))
transaction.state.log.min.isr=$((brokers < 3 ? 1 : 2))
transaction.state.log.num.partitions=2
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=6000
auto.create.topics.enable=false
log.segment.bytes=67108864
log.cleaner.dedupe.buffer.size=4194304
$extra
END
    )
}

# One identity for all brokers, whoever is first.
identify() {
    if [ ! -e "$dir/cluster.id" ]; then
        local id fresh
        id=$(head -c 16 /dev/urandom | base64 | tr '+/' '-_' | cut -c1-22)
        fresh=$(mktemp "$dir/.id.XXXXXX")
        echo "A${id:1}" >"$fresh"
        ln "$fresh" "$dir/cluster.id" 2>/dev/null || true
        rm -f "$fresh"
    fi
    cat "$dir/cluster.id"
}

java=(java -XX:+UseSerialGC)
if [ "$jit" = fast ]; then java+=(-XX:TieredStopAtLevel=1); fi
run() {
    local at
    at=$(place "$1")
    configure "$1"
    if [ ! -e "$at/data/meta.properties" ]; then
        "${java[@]}" -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp "$jars/*" kafka.tools.StorageTool format -t "$(identify)" \
            -c "$at/server.properties" >"$at/format.log" 2>&1
    fi
    echo "$BASHPID" >"$at/pid"
    exec "${java[@]}" -Xms64m "-Xmx$heap" -Dorg.slf4j.simpleLogger.defaultLogLevel=info -cp "$jars/*" kafka.Kafka "$at/server.properties" \
        >"$at/broker.log" 2>&1
}

mkdir -p "$dir"
if [ "$action" = start ]; then
    running_pid "$dir" >/dev/null || for i in $(seq "$brokers"); do
        is_free "${serve[i - 1]}" || die "port ${serve[i - 1]} is taken"
        is_free "${control[i - 1]}" || die "port ${control[i - 1]}, of the controller, is taken"
        rm -f "$(place "$i")/broker.log"
    done
    answers() {
        for i in $(seq "$brokers"); do grep -qs 'Kafka Server started' "$(place "$i")/broker.log" || return 1; done
    }
    start_background "$dir" "kafka://$(printf '127.0.0.1:%s\n' "${serve[@]}" | paste -sd ,)/reco" 180 bash "${BASH_SOURCE[0]}" "${given[@]}"
    exit
fi
if [ "$brokers" -eq 1 ] || [ -n "$only" ]; then
    run "${only:-1}"
fi
identify >/dev/null
# Brokers end with the script, however it ends.
pids=()
for i in $(seq "$brokers"); do
    setpriv --pdeathsig KILL bash "${BASH_SOURCE[0]}" --brokers "$brokers" --only "$i" --jit "$jit" ${sasl:+--sasl "$sasl"} "$dir" "${2:-9092}" "$heap" &
    pids+=($!)
done
told=1
trap 'told=0; kill "${pids[@]}" 2>/dev/null || true' TERM INT HUP
while ! wait "${pids[@]}"; do
    alive=()
    for pid in "${pids[@]}"; do
        if kill -0 "$pid" 2>/dev/null; then alive+=("$pid"); fi
    done
    if [ "${#alive[@]}" -eq 0 ]; then exit "$told"; fi
    pids=("${alive[@]}")
done
