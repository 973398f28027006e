#!/usr/bin/env bash
# Measures which lines of lib/ the tests run: coverage.sh [--build FOLDER] [--least PERCENT] [CTEST-OPTION...]
#
# Builds in build/coverage, without optimisation, with gcov's counters, runs the tests there (all kinds but those that only repeat what others do:
# mutants, fuzzing, soak, chaos, measurements), and prints a table by file and room. Ends with 1 when fewer than PERCENT (90) of the lines were run.
# What child processes do that are killed is not counted. Fuzz targets are left out: clang cannot link what gcc counts.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
folder=$root/build/coverage least=90
while [ $# -gt 0 ]; do
    case "$1" in
    --build) folder=$2; shift 2 ;;
    --least) least=$2; shift 2 ;;
    *) break ;;
    esac
done
cmake -S "$root" -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=Debug -DCMAKE_C_FLAGS="--coverage -O0 -fprofile-update=atomic" \
    -DRECO_TIMEOUT_FACTOR=4 -DRECO_FUZZ_CLANG=OFF >"$folder.log" 2>&1 || { tail -20 "$folder.log"; exit 1; }
cmake --build "$folder" -j "$(nproc)" >>"$folder.log" 2>&1 || { tail -20 "$folder.log"; exit 1; }
find "$folder" -name '*.gcda' -delete
ctest --test-dir "$folder" -j "$(nproc)" -LE '^(check|bench|load|quality|mutant|fuzz|soak|chaos|abi)$' "$@" >>"$folder.log" 2>&1 ||
    { grep -E '\*\*\*|tests passed' "$folder.log" || true; echo "some tests failed: $folder.log"; }
exec python3 "$root/infra/scripts/coverage.py" "$folder" --least "$least"
