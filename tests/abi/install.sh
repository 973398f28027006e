#!/usr/bin/env bash
# Installs a built tree into a temporary folder, builds install.c and the examples against it by pkg-config and runs them: install.sh BUILD SOURCE ROOT
set -euo pipefail
build=$1 source=$2 root=$3
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT

cmake --install "$build" --prefix "$prefix" >"$prefix/log" 2>&1 || {
    tail -n 20 "$prefix/log"
    exit 1
}
pc=$(find "$prefix" -name libreco.pc)
export PKG_CONFIG_PATH=${pc%/*}
about() { pkg-config "$@" libreco; }
libdir=$(realpath "$(about --variable=libdir)")
version=$(about --modversion)

# shellcheck disable=SC2046 # the flags are words
gcc -std=c99 -Wall -Wextra -pedantic -Werror "$source" -o "$prefix/shared" $(about --cflags --libs) -Wl,-rpath,"$libdir"
# shellcheck disable=SC2046
gcc -std=c99 "$source" -o "$prefix/static" $(about --cflags) "$libdir/libreco.a" $(about --static --libs | sed 's/-lreco//')
for program in shared static; do
    told=$("$prefix/$program")
    [ "$told" = "$version" ] || {
        echo "$program tells version '$told', libreco.pc $version"
        exit 1
    }
done
linked=$(ldd "$prefix/shared") # not through a pipe: grep -q would end it early
[[ $linked == *"libreco.so.0 => $libdir"* ]] || {
    echo "the program does not use the installed libreco.so.0"
    exit 1
}

mkdir "$prefix/examples"
for example in "$root"/examples/*.c; do
    name=$(basename "$example" .c)
    # shellcheck disable=SC2046
    gcc -std=c99 -Wall -Wextra -pedantic -Werror "$example" -o "$prefix/examples/$name" $(about --cflags --libs) -pthread -Wl,-rpath,"$libdir"
done
RECO_EXAMPLES=$prefix/examples RECO_SOURCE_DIR=$root python3 -B "$root/tests/integration/test_examples.py"
echo "installed libreco $version serves a shared and a static program"
