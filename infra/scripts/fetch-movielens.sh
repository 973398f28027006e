#!/usr/bin/env bash
# Fetches MovieLens 100K into DIR in its official layout (u.data, u.item, u.genre): fetch-movielens.sh DIR
# First the official archive; where that cannot be reached, the copy inside the PyPI wheel recbole 1.2.1, converted. What is there already is kept.
# Exit codes: 0 it is there, 1 it cannot be had. MovieLens is for research and teaching: see its licence; it is never part of libreco.
set -euo pipefail

folder=${1:?usage: fetch-movielens.sh DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
archive=https://files.grouplens.org/datasets/movielens/ml-100k.zip
wheel=recbole==1.2.1

complete() { [ -f "$1/u.data" ] && [ "$(wc -l <"$1/u.data")" = 100000 ] && [ -s "$1/u.item" ] && [ -s "$1/u.genre" ]; }

if complete "$folder"; then
    echo "MovieLens 100K: already in $folder"
    exit 0
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

from_archive() {
    curl --silent --show-error --fail --location --connect-timeout 5 --max-time 60 --output "$work/ml-100k.zip" "$archive" 2>"$work/why" &&
        unzip -q -o "$work/ml-100k.zip" 'ml-100k/u.data' 'ml-100k/u.item' 'ml-100k/u.genre' -d "$work/archive" 2>>"$work/why" &&
        complete "$work/archive/ml-100k" && mv "$work/archive/ml-100k" "$work/made"
}

# A pip to download with: the system's, else one of a virtual environment.
find_pip() {
    if python3 -m pip --version >/dev/null 2>&1; then
        pip=(python3 -m pip)
        return 0
    fi
    if ! python3 -m venv "$work/venv" >>"$work/why" 2>&1; then
        rm -rf "$work/venv"
        local as_root=()
        [ "$(id -u)" -eq 0 ] || as_root=(sudo)
        "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv >>"$work/why" 2>&1 || return 1
        python3 -m venv "$work/venv" >>"$work/why" 2>&1 || return 1
    fi
    pip=("$work/venv/bin/python" -m pip)
}

from_wheel() {
    local pip=()
    find_pip &&
        "${pip[@]}" --disable-pip-version-check download --quiet --no-deps --timeout 20 --retries 2 --dest "$work/wheel" "$wheel" \
            >>"$work/why" 2>&1 &&
        python3 "$here/fetch-movielens-convert.py" "$work"/wheel/*.whl "$work/made" 2>>"$work/why" && complete "$work/made"
}

if from_archive; then
    source="the official archive"
elif from_wheel; then
    source="the copy in $wheel (the official archive cannot be reached)"
else
    tail -n 5 "$work/why" >&2
    exit 1
fi
mkdir -p "$(dirname "$folder")"
rm -rf "$folder"
mv "$work/made" "$folder"
echo "MovieLens 100K: from $source"
