#!/usr/bin/env bash
# Shows libreco at work on a bare Debian 12: installs what it needs, builds, imports MovieLens 100K, serves it, posts one event and shows
# what that changed.
#
#   bash infra/scripts/run.sh                 stays up until Ctrl-C
#   bash infra/scripts/run.sh --once          ends when all was shown
#   bash infra/scripts/run.sh --distributed   the same on Kafka, Redis and PostgreSQL, with the services as processes of their own; also with --once
#
# Everything it makes is in build/release and build/demo ($RECO_DEMO_DIR instead, where set), but for PostgreSQL's data when run as root: they are below
# /var/tmp, where the user it runs as may go. Downloads are kept, data are made anew each time and removed at the end, and all servers are ended.
# Exit codes: 0 the recommendations changed and a reason names the film, 1 anything else.
set -euo pipefail

once=no distributed=no
for argument; do
    case "$argument" in
    --once) once=yes ;;
    --distributed) distributed=yes ;;
    *)
        echo "usage: run.sh [--once] [--distributed]" >&2
        exit 2
        ;;
    esac
done

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
scripts=$root/infra/scripts
build=$root/build/release
demo=${RECO_DEMO_DIR:-$root/build/demo}
# The programs take RECO_... for settings.
for name in $(compgen -e RECO_ || true); do unset "$name"; done

say() { printf '\n== %s\n' "$*"; }
fail() {
    echo "run.sh: $*" >&2
    exit 1
}

say "Packages"
bash "$scripts/deps.sh" build
[ $distributed = no ] || bash "$scripts/deps.sh" servers
echo "all there"

say "Build"
log=$(mktemp)
generator=()
[ -f "$build/CMakeCache.txt" ] || generator=(-G Ninja)
{ cmake -S "$root" -B "$build" "${generator[@]}" -DCMAKE_BUILD_TYPE=Release -DRECO_BUILD_TESTS=OFF &&
    cmake --build "$build" --parallel "$(nproc)"; } >"$log" 2>&1 || {
    tail -n 40 "$log" >&2
    rm -f "$log"
    fail "the build failed"
}
rm -f "$log"
reco=$build/bin/reco
"$reco" --version

mkdir -p "$demo"
demo=$(cd "$demo" && pwd)
work=$(mktemp -d "$demo/run.XXXXXX")
services=() starting=() postgres=$work/postgres
finish() {
    trap '' INT TERM
    [ ${#starting[@]} -eq 0 ] || wait "${starting[@]}" || true
    if [ ${#services[@]} -gt 0 ]; then
        kill -TERM "${services[@]}" 2>/dev/null || true
        wait "${services[@]}" 2>/dev/null || true
    fi
    if [ $distributed = yes ]; then
        bash "$scripts/up-kafka.sh" stop "$work/kafka" &
        bash "$scripts/up-redis.sh" stop "$work/redis" &
        bash "$scripts/up-postgres.sh" stop "$postgres" &
        wait
    fi
    rm -rf "$work" "$postgres"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
any_port() { python3 -c 'import socket; print(socket.create_server(("127.0.0.1", 0)).getsockname()[1])'; }
free_or_any() { if is_free "$1"; then echo "$1"; else any_port; fi; }

# start NAME FOLDER PORT: up-NAME.sh in the background, its address into $work/NAME.url.
start() { bash "$scripts/up-$1.sh" start "$2" "$3" >"$work/$1.url" 2>"$work/$1.log" || { cat "$work/$1.log" >&2; return 1; }; }

settings=(--config "$root/infra/config/demo.yaml" --data "$work/data")
if [ $distributed = yes ]; then
    say "Kafka, Redis, PostgreSQL"
    bash "$scripts/up-kafka.sh" --jars >/dev/null
    if [ "$(id -u)" -eq 0 ]; then
        postgres=$(mktemp -d /var/tmp/reco-postgres.XXXXXX)
        chmod 755 "$postgres"
    fi
    RECO_KAFKA_CONTROL_PORT=$(free_or_any 9093) start kafka "$work/kafka" "$(free_or_any 9092)" &
    starting=($!)
    start redis "$work/redis" "$(free_or_any 6379)" &
    starting+=($!)
    start postgres "$postgres" "$(free_or_any 55432)" &
    starting+=($!)
    for pid in "${starting[@]}"; do wait "$pid" || fail "the servers do not start"; done
    settings=(--config "$root/infra/config/demo.yaml" --set data= --set "stream=$(<"$work/kafka.url")" --set "features=$(<"$work/redis.url")"
        --set "records=$(<"$work/postgres.url")")
    printf '%-10s %s\n' stream "$(<"$work/kafka.url")" features "$(<"$work/redis.url")" records "$(<"$work/postgres.url")"
fi
reco() { "$reco" "${settings[@]}" "$@"; }

say "Films"
if bash "$scripts/fetch-movielens.sh" "$demo/ml-100k"; then
    user=196 format=movielens history=$demo/ml-100k
else
    echo "MovieLens cannot be fetched: synthetic events instead (reco generate), so films have no titles"
    format=ndjson history=$work/events.ndjson
    reco generate --events 100000 --items 1500 --users 900 --duration 60d --seed 1 >"$history"
    user=$(head -n 1 "$history" | jq -r .user_id)
fi
reco import --format "$format" --shift-time "$history"

say "Services"
# listen PORT: the address to listen on.
listen() {
    if is_free "$1"; then
        echo "127.0.0.1:$1"
    else
        echo "port $1 is taken: another one instead" >&2
        echo 127.0.0.1:0
    fi
}
# serve NAME COMMAND...: a service, which writes its ports to $work/NAME.ports.
serve() {
    local name=$1
    shift
    "$@" "${settings[@]}" --port-file "$work/$name.ports" >"$work/$name.log" 2>&1 &
    services+=($!)
    for ((i = 0; i < 1200; i++)); do
        [ ! -s "$work/$name.ports" ] || return 0
        kill -0 "${services[-1]}" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/$name.log" >&2
    fail "$name does not start"
}
port() { sed -n "s/^${2:-}//p" "$work/$1.ports"; }
if [ $distributed = yes ]; then
    serve ingest "$build/bin/reco-ingest" --listen "$(listen 8080)"
    serve api "$build/bin/reco-api" --listen "$(listen 8081)"
    serve processor "$build/bin/reco-processor" --listen "$(listen 8082)"
    serve second "$build/bin/reco-processor" --listen "$(listen 8083)"
    ports=("$(port ingest)" "$(port api)" "$(port processor)" "$(port second)")
else
    serve all "$reco" serve --ingest-listen "$(listen 8080)" --api-listen "$(listen 8081)" --processor-listen "$(listen 8082)"
    ports=("$(port all ingest=)" "$(port all api=)" "$(port all processor=)")
fi
ingest=http://127.0.0.1:${ports[0]}
api=http://127.0.0.1:${ports[1]}
fetch() { curl --silent --show-error --fail --max-time 10 "$@"; }
for number in "${ports[@]}"; do fetch --retry 60 --retry-delay 1 "http://127.0.0.1:$number/ready" >/dev/null; done
echo "events in            POST $ingest/events"
echo "recommendations out  GET  $api/recommendations?user_id=$user"
for number in "${ports[@]:2}"; do echo "learning             GET  http://127.0.0.1:$number/metrics"; done

table() { python3 "$scripts/run-show.py" "$@"; }
encoded=$(jq -rn --arg user "$user" '$user | @uri')

say "Recommendations of user $user, before"
fetch "$api/recommendations?user_id=$encoded&limit=10" >"$work/before.json"
table show "$api" "$work/before.json"

IFS=$'\t' read -r film title < <(table pick "$api" "$work/before.json") || true
[ -n "${film:-}" ] || fail "there is nothing to post"
say "User $user now watches \"$title\" and gives it 5 stars"
event=$(jq -cn --arg user "$user" --arg film "$film" '{user_id: $user, item_id: $film, event_type: "rating", value: 5}')
echo "curl $ingest/events -H 'Content-Type: application/json' -d '$event'"
answer=$(fetch "$ingest/events" -H 'Content-Type: application/json' -d "$event")
echo "$answer"
position=$(jq -r .position <<<"$answer")

say "Recommendations of user $user, after"
fetch --get "$api/recommendations" --data-urlencode "user_id=$user" --data-urlencode "min_position=$position" \
    -d wait_ms=2000 -d limit=10 >"$work/after.json"
table show "$api" "$work/after.json"

say "What changed"
table check "$api" "$work/before.json" "$work/after.json" "$film"

if [ $distributed = yes ]; then
    say "Learned = replayed"
    reco verify
fi
if [ $once = no ]; then
    say "It stays up until Ctrl-C"
    wait -n "${services[@]}" || true
    fail "a service ended: $(tail -q -n 3 "$work"/*.log)"
fi
