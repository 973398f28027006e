#!/usr/bin/env bash
# Installs the Debian packages that libreco needs: deps.sh [build|test|servers|all|lint] (default: all, the first three together).
# Asks dpkg first and does nothing, and needs no rights, when all of them are there.
set -euo pipefail

build=(build-essential cmake ninja-build pkg-config liblmdb-dev libjansson-dev libyaml-dev libxxhash-dev libcivetweb-dev zlib1g-dev libcurl4-openssl-dev
    librdkafka-dev libhiredis-dev libpq-dev ca-certificates curl unzip python3 jq)
tests=(check clang libclang-rt-14-dev git abigail-tools python3-jsonschema python3-numpy python3-venv chromium fonts-dejavu-core)
servers=(redis-server postgresql-15 default-jdk-headless maven) # what the tests of the modules start; the last two are for Kafka

case "${1:-all}" in
build) wanted=("${build[@]}") ;;
test) wanted=("${tests[@]}") ;;
servers) wanted=("${servers[@]}") ;;
all) wanted=("${build[@]}" "${tests[@]}" "${servers[@]}") ;;
lint) wanted=(cppcheck) ;; # for make lint
*)
    echo "usage: deps.sh [build|test|servers|all|lint]" >&2
    exit 2
    ;;
esac

is_installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

missing=()
for package in "${wanted[@]}"; do
    is_installed "$package" || missing+=("$package")
done
if [ ${#missing[@]} -eq 0 ]; then
    exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "deps.sh: these packages are missing and installing them needs root: ${missing[*]}" >&2
        exit 1
    fi
    as_root=(sudo)
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() { "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >>"$log" 2>&1; }

echo "deps.sh: installing ${missing[*]}"
if ! { apt update && apt install -y --no-install-recommends "${missing[@]}"; }; then
    tail -n 30 "$log" >&2
    echo "deps.sh: could not install: ${missing[*]}" >&2
    exit 1
fi
