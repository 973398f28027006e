#!/usr/bin/env bash
# Shows libreco at work on a bare Debian 12: installs what it needs, builds, imports MovieLens 100K, serves it, posts one event and shows
# what that changed.
#
#   bash infra/scripts/run.sh          stays up until Ctrl-C
#   bash infra/scripts/run.sh --once   ends when all was shown
#
# Everything it makes is in build/release and build/demo ($RECO_DEMO_DIR instead, where set). Downloads are kept, data are made anew each time.
# Exit codes: 0 the recommendations changed and a reason names the film, 1 anything else.
set -euo pipefail

once=no
case "${1:-}" in
'') ;;
--once) once=yes ;;
*)
    echo "usage: run.sh [--once]" >&2
    exit 2
    ;;
esac

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
server=
finish() {
    if [ -n "$server" ]; then
        kill -TERM "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

reco() { "$reco" --config "$root/infra/config/demo.yaml" --data "$work/data" "$@"; }

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
is_free() { ! (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
listen() {
    if is_free "$2"; then
        arguments+=("--$1-listen" "127.0.0.1:$2")
    else
        echo "port $2 is taken: $1 gets a free one"
        arguments+=("--$1-listen" "127.0.0.1:0")
    fi
}
arguments=(--port-file "$work/ports")
listen ingest 8080
listen api 8081
listen processor 8082
"$reco" --config "$root/infra/config/demo.yaml" --data "$work/data" serve "${arguments[@]}" >"$work/log" 2>&1 &
server=$!
for ((i = 0; i < 600; i++)); do
    [ -s "$work/ports" ] && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
done
[ -s "$work/ports" ] || {
    cat "$work/log" >&2
    fail "reco serve did not start"
}
port() { sed -n "s/^$1=//p" "$work/ports"; }
ingest=http://127.0.0.1:$(port ingest)
api=http://127.0.0.1:$(port api)
fetch() { curl --silent --show-error --fail --max-time 10 "$@"; }
fetch --retry 20 --retry-delay 1 "$api/ready" >/dev/null
echo "events in            POST $ingest/events"
echo "recommendations out  GET  $api/recommendations?user_id=$user"
echo "learning             GET  http://127.0.0.1:$(port processor)/metrics"

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

if [ $once = no ]; then
    say "It stays up until Ctrl-C"
    wait "$server" || true
    server=
    fail "reco serve ended: $(tail -n 3 "$work/log")"
fi
