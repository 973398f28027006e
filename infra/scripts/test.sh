#!/usr/bin/env bash
# Sets up and runs all tests: test.sh [--full] [--only STAGE]...
#
#   --full   the long forms too (RECO_FULL=1 for the tests)
#   --only   checks, gcc, clang, asan or tsan; may be given several times
#
# Works from any folder, again and again, and twice at once: the build folders under build/ are reused by one run at a time, another one makes its own
# and removes it. Stops at the first stage that fails, with the end of its log. The last line is "N passed, N failed[, N skipped]" over all stages.
set -uo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1

stages=()
factor=1
while [ $# -gt 0 ]; do
    case "$1" in
    --full)
        export RECO_FULL=1
        factor=30
        ;;
    --only)
        stages+=("${2:?--only needs a stage}")
        shift
        ;;
    *)
        echo "usage: test.sh [--full] [--only checks|gcc|clang|asan|tsan]..." >&2
        exit 2
        ;;
    esac
    shift
done
[ ${#stages[@]} -gt 0 ] || stages=(checks gcc clang asan tsan)

jobs=$(nproc)
passed=0 failed=0 skipped=0
began=$SECONDS

mkdir -p build
exec 9>build/test.lock
if flock -n 9; then
    work=$root/build
else
    work=$(mktemp -d "$root/build/test-XXXXXX")
    trap 'rm -rf "$work"' EXIT
    echo "another run has build/test-*: this one builds in ${work#"$root"/}"
fi

finish() {
    local line="$passed passed, $failed failed"
    [ "$skipped" -eq 0 ] || line="$line, $skipped skipped"
    echo "all stages: $((SECONDS - began)) s"
    echo "$line"
    exit $((failed > 0))
}

# stage_failed NAME LOG [LINES]: says so loudly and ends the run.
stage_failed() {
    echo "----- the end of $2"
    tail -n "${3:-80}" "$2"
    echo "----- stage $1 FAILED"
    finish
}

# one NAME COMMAND...: a check that counts as one test.
one() {
    local name=$1 log=$work/test-$1.log start=$SECONDS
    shift
    if "$@" >"$log" 2>&1; then
        passed=$((passed + 1))
        echo "$name: ok, $((SECONDS - start)) s"
    else
        failed=$((failed + 1))
        stage_failed "$name" "$log"
    fi
}

# build NAME OPTION...: configures and builds build/test-NAME.
build() {
    local name=$1 folder=$work/test-$1 log=$work/test-$1-build.log start=$SECONDS
    shift
    if cmake -S "$root" -B "$folder" -G Ninja -DRECO_WERROR=ON -DRECO_BUILD_TESTS=ON -DRECO_BUILD_SERVICES=ON "$@" >"$log" 2>&1 &&
        cmake --build "$folder" -j "$jobs" >>"$log" 2>&1; then
        echo "$name: built, $((SECONDS - start)) s"
    else
        failed=$((failed + 1))
        stage_failed "$name build" "$log"
    fi
}

# run NAME CTEST-OPTION...: runs tests of build/test-NAME and adds to the counts.
run() {
    local name=$1 folder=$work/test-$1 log=$work/test-$1-run.log start=$SECONDS status=0 counts
    shift
    rm -f "$folder/result.xml"
    ctest --test-dir "$folder" -j "$jobs" --no-tests=error --output-on-failure --output-junit "$folder/result.xml" "$@" >"$log" 2>&1 || status=$?
    # Prints why tests were skipped and what the failed ones said, then the three counts as the last line.
    counts=$(python3 - "$folder/result.xml" <<'PYTHON'
import sys
import xml.etree.ElementTree as ET

suite = ET.parse(sys.argv[1]).getroot()
cases = suite.findall("testcase")
skipped = [case for case in cases if case.get("status") in ("notrun", "disabled")]
failed = [case for case in cases if case.get("status") == "fail"]
for case in skipped:
    lines = (case.findtext("system-out") or "").strip().splitlines()
    reason = [line for line in lines if line.startswith("skipped")] or lines[-1:] or [case.find("skipped").get("message", "")]
    print(f"  {case.get('name')} {reason[0]}")
for case in failed:
    lines = (case.findtext("system-out") or "").strip().splitlines()
    print(f"----- {case.get('name')} failed", *lines[-60:], sep="\n")
print(len(cases) - len(skipped) - len(failed), len(failed), len(skipped))
PYTHON
    ) || counts="0 1 0"
    [ "$(wc -l <<<"$counts")" -le 1 ] || sed '$d' <<<"$counts"
    read -r p f s <<<"$(tail -n 1 <<<"$counts")"
    [ "$status" -eq 0 ] || [ "$f" -gt 0 ] || f=1 # ctest failed for another reason than a test
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    echo "$name: $p passed, $f failed, $s skipped, $((SECONDS - start)) s"
    [ "$f" -eq 0 ] || stage_failed "$name" "$log" 12
}

if ! bash infra/scripts/deps.sh all >"$work/test-deps.log" 2>&1; then
    failed=1
    stage_failed deps "$work/test-deps.log"
fi
for stage in "${stages[@]}"; do
    case "$stage" in
    checks)
        one layering python3 infra/check/layering.py
        one rooms python3 infra/check/rooms.py
        one hygiene python3 infra/check/hygiene.py
        one selftest python3 infra/check/selftest.py
        ;;
    gcc) # everything, with the headers alone and the golden export list (label abi)
        build gcc -DCMAKE_C_COMPILER=gcc -DCMAKE_BUILD_TYPE=Release -DRECO_TIMEOUT_FACTOR="$factor"
        run gcc -LE '^(check|bench|load)$'
        ;;
    clang)
        # Fuzz targets are clang's in every build, and mutants are told from the library by the stage before.
        # Its sanitizer of undefined behaviour knows what gcc's, which the next stage has, does not.
        build clang -DCMAKE_C_COMPILER=clang -DRECO_SANITIZE=undefined -DRECO_TIMEOUT_FACTOR="$factor" -DRECO_FUZZ_CLANG=OFF -DRECO_BUILD_MUTANTS=OFF
        run clang -L '^(unit|concurrency)$'
        run clang -R '^test_(engine|questions|selections|bad_calls)$'
        ;;
    asan)
        build asan -DCMAKE_C_COMPILER=gcc -DRECO_SANITIZE=address -DRECO_TIMEOUT_FACTOR=$((factor * 4)) -DRECO_BUILD_MUTANTS=OFF
        # Fuzz targets have sanitizers of their own, and ran with gcc's. Left out for time: what compares results at length, on code that others run;
        # stores in memory are the code of those on disk.
        run asan -L '^(unit|contract|concurrency|fault|integration)$' \
            -E '^test_(exact|exact_movielens|mix|crash|primaries|recommend_model|features_memory|patience|readme|docs)$'
        ;;
    tsan)
        build tsan -DCMAKE_C_COMPILER=gcc -DRECO_SANITIZE=thread -DRECO_TIMEOUT_FACTOR=$((factor * 4)) -DRECO_BUILD_MUTANTS=OFF
        # Left out for time: what runs in one thread, in rooms that start none; stores in memory, as above.
        alone='base_(bytes|hash|time)|board|config|generate|learn_.*|model_(envelope|filter|item|patch|user)|recommend_(filter|given|model|sieve)'
        run tsan -L '^(unit|contract|concurrency)$' -E "^test_($alone|features_memory)\$"
        ;;
    *)
        echo "test.sh: no stage is called $stage" >&2
        failed=$((failed + 1))
        finish
        ;;
    esac
done
finish
