#!/usr/bin/env bash
# A private PostgreSQL for trying things out, without containers: up-postgres.sh [start|stop|status] [FOLDER] [PORT]
# Default: start, in ./postgres-data, on port 55432 of 127.0.0.1. It prints the address for `records:`. Superuser is "reco", without a password: only
# this machine can reach it, but everybody on it can. As root the server runs as user "postgres"; that user must be able to enter FOLDER's parents.
set -euo pipefail

action=${1:-start} folder=$(realpath -m "${2:-postgres-data}") port=${3:-55432}

programs=${RECO_POSTGRES_BIN:-}
for place in /usr/lib/postgresql/{17,16,15}/bin; do
    [ -n "$programs" ] || [ ! -x "$place/postgres" ] || programs=$place
done
[ -n "$programs" ] || programs=$(dirname "$(command -v initdb || true)")
if [ ! -x "$programs/initdb" ]; then
    echo "up-postgres.sh: PostgreSQL is missing: install the Debian package postgresql-15" >&2
    exit 1
fi

as_owner() {
    if [ "$(id -u)" -eq 0 ]; then (cd / && runuser -u postgres -- "$@"); else "$@"; fi
}
control() { as_owner "$programs/pg_ctl" -D "$folder/data" "$@"; }

case "$action" in
start)
    if [ ! -e "$folder/data/PG_VERSION" ]; then
        mkdir -p "$folder"
        [ "$(id -u)" -ne 0 ] || chown postgres: "$folder"
        as_owner "$programs/initdb" -D "$folder/data" -A trust -U reco -E UTF8 --locale=C.UTF-8 >"$folder/initdb.log" 2>&1 || {
            cat "$folder/initdb.log" >&2
            exit 1
        }
    fi
    if ! control status >/dev/null; then
        control start -w -s -l "$folder/log" -o "-p $port -c listen_addresses=127.0.0.1 -c unix_socket_directories='$folder'" || {
            tail -n 20 "$folder/log" >&2
            exit 1
        }
    fi
    port=$(sed -n 4p "$folder/data/postmaster.pid")
    as_owner "$programs/psql" -X -q -h 127.0.0.1 -p "$port" -U reco -d postgres -At -c "SELECT 1 FROM pg_database WHERE datname = 'reco'" | grep -q 1 ||
        as_owner "$programs/createdb" -h 127.0.0.1 -p "$port" -U reco reco
    echo "postgresql://reco@127.0.0.1:$port/reco"
    ;;
stop) control stop -w -s -m fast ;;
status) control status ;;
*)
    echo "usage: up-postgres.sh [start|stop|status] [FOLDER] [PORT]" >&2
    exit 2
    ;;
esac
