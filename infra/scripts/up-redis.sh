#!/usr/bin/env bash
# A private Redis on 127.0.0.1 for `features:`, without containers. It keeps its data in FOLDER (append-only file, fsync every second).
#
#   up-redis.sh FOLDER [PORT]          in the foreground, until Ctrl-C (default port: 6379)
#   up-redis.sh start FOLDER [PORT]    in the background; prints its address once it answers
#   up-redis.sh stop FOLDER            ends it; the data stay
#   up-redis.sh status FOLDER          its address; exit code 3 when it does not run
#
# Everybody on this machine can reach it: it has no password. Needs the Debian package redis-server.
set -euo pipefail
prefix=up-redis.sh ending=TERM
# shellcheck source=infra/scripts/up-common.sh
. "$(dirname "${BASH_SOURCE[0]}")/up-common.sh"

take_arguments 6379 "$@"

command -v redis-server >/dev/null || die "redis-server is missing: install the Debian package redis-server"
mkdir -p "$folder"
url=redis://127.0.0.1:$port
server=(redis-server --port "$port" --bind 127.0.0.1 --dir "$folder" --appendonly yes --appendfsync everysec --save '' --maxmemory-policy noeviction)
if [ "$action" = run ]; then
    echo "features: $url"
    exec "${server[@]}"
fi
running_pid "$folder" >/dev/null || is_free "$port" || die "port $port is taken"
answers() { [ "$(redis-cli -p "$port" ping 2>/dev/null)" = PONG ]; }
start_background "$folder" "$url" 60 "${server[@]}"
