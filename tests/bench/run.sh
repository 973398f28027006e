#!/usr/bin/env bash
# Runs the benches of a build tree, one after the other: bash tests/bench/run.sh BUILD. Each prints its figures beside a floor measured in the same run.
set -euo pipefail
build=${1:?usage: run.sh BUILD}
bin=$build/bin
[ -x "$bin/bench_ingest" ] || bin=$(dirname "$(find "$build" -name bench_ingest -type f -perm -u+x | head -n 1)")

run() {
    printf '\n$ %s\n' "$*"
    "$bin/$1" "${@:2}"
}

run bench_ingest
run bench_stream
run bench_learn
run bench_generate
run bench_learn_backlog 50000 1000000 10000 20000
run bench_learn_backlog 1000000 1000000 10000 100000
for extra in bench_features bench_recommend bench_http bench_redis bench_kafka bench_distributed; do
    if [ -x "$bin/$extra" ]; then
        RECO_SOURCE_DIR=$PWD run "$extra"
    fi
done
