#!/usr/bin/env bash
# Starts a private Redis on 127.0.0.1 for libreco: up-redis.sh FOLDER [PORT] (default 6379). It runs in the foreground and keeps its data in FOLDER
# (append-only file, fsync every second); Ctrl-C ends it.
set -euo pipefail

if [ $# -lt 1 ] || [ $# -gt 2 ]; then
    echo "usage: up-redis.sh FOLDER [PORT]" >&2
    exit 2
fi
if ! command -v redis-server >/dev/null; then
    echo "up-redis.sh: redis-server is missing: install the Debian package redis-server" >&2
    exit 1
fi
mkdir -p "$1"
echo "features: redis://127.0.0.1:${2:-6379}"
exec redis-server --port "${2:-6379}" --bind 127.0.0.1 --dir "$1" --appendonly yes --appendfsync everysec --save '' --maxmemory-policy noeviction
