#!/bin/sh
# run.sh PROGRAM SECONDS [_planted]: runs a fuzz target from its own seeds; with _planted it must crash, else it must not.
set -eu
program=$1 seconds=$2 planted=${3:-}
folder=$(mktemp -d "${TMPDIR:-/tmp}/reco-fuzz.XXXXXX")
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/seeds" "$folder/found"
seed=1 # a normal run does not depend on chance; the long form does, and takes the time in which a planted bug must be found
[ -z "${RECO_FULL:-}" ] || { seed=0 seconds=90; }
"$program" --seeds "$folder/seeds"
status=0
"$program" -seed="$seed" -max_total_time="$seconds" -max_len=4096 -timeout=60 -keep_seed=1 -rss_limit_mb=2048 -artifact_prefix="$folder/" -print_final_stats=1 \
    "$folder/found" "$folder/seeds" > "$folder/log" 2>&1 || status=$?
if [ -n "$planted" ]; then
    if [ "$status" -eq 0 ] || ! grep -q "the planted bug" "$folder/log"; then
        tail -30 "$folder/log"
        echo "the planted bug was not found within $seconds seconds"
        exit 1
    fi
    echo "the planted bug was found"
    exit 0
fi
if [ "$status" -ne 0 ]; then
    tail -60 "$folder/log"
    echo "the target failed (the input stands above as Base64)"
    exit 1
fi
grep -E "stat::number_of_executed_units|stat::average_exec_per_sec|^Done" "$folder/log" || true
