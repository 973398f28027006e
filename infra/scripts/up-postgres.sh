#!/usr/bin/env bash
# A private PostgreSQL on 127.0.0.1 for `records:`, without containers, with a database "reco". It keeps its data in FOLDER.
#
#   up-postgres.sh FOLDER [PORT]          in the foreground, until Ctrl-C (default port: 55432)
#   up-postgres.sh start FOLDER [PORT]    in the background; prints its address once it answers
#   up-postgres.sh stop FOLDER            ends it; the data stay
#   up-postgres.sh status FOLDER          its address; exit code 3 when it does not run
#
# Superuser is "reco", without a password: only this machine can reach it, but everybody on it can. Run as root, the server runs as user "postgres",
# who must be able to enter the folders above FOLDER. Needs the Debian package postgresql-15; $RECO_POSTGRES_BIN names the folder of other programs.
set -euo pipefail
prefix=up-postgres.sh ending=INT
# shellcheck source=infra/scripts/up-common.sh
. "$(dirname "${BASH_SOURCE[0]}")/up-common.sh"

take_arguments 55432 "$@"

programs=${RECO_POSTGRES_BIN:-}
for place in /usr/lib/postgresql/{17,16,15}/bin; do
    [ -n "$programs" ] || [ ! -x "$place/postgres" ] || programs=$place
done
[ -n "$programs" ] || programs=$(dirname "$(command -v initdb || true)")
[ -x "$programs/initdb" ] || die "PostgreSQL is missing: install the Debian package postgresql-15"

[ ! -e "$folder/data" ] || [ -e "$folder/data/PG_VERSION" ] || die "$folder/data is not of PostgreSQL"

# As root: by another user. In the foreground the kernel ends the server with whoever started it, as it would have without the change of user.
owner=()
if [ "$(id -u)" -eq 0 ]; then
    owner=(setpriv --reuid postgres --regid postgres --init-groups)
    mkdir -p "$folder"
    chown postgres: "$folder"
    "${owner[@]}" test -w "$folder" || die "user postgres cannot enter $folder: choose a folder below one that everybody may enter, such as /var/tmp"
fi
mkdir -p "$folder"
cd "$folder"
if [ ! -e data/PG_VERSION ]; then
    rm -rf data.new
    { "${owner[@]}" "$programs/initdb" -D data.new -A trust -U reco -E UTF8 --locale=C.UTF-8 &&
        "${owner[@]}" "$programs/postgres" --single -D data.new postgres <<<'CREATE DATABASE reco'; } >initdb.log 2>&1 || {
        tail -n 20 initdb.log >&2
        die "the database cannot be made"
    }
    mv data.new data
fi

url=postgresql://reco@127.0.0.1:$port/reco
server=("$programs/postgres" -D "$folder/data" -p "$port" -c listen_addresses=127.0.0.1 -c unix_socket_directories=)
if [ "$action" = run ]; then
    echo "records: $url"
    if [ ${#owner[@]} -gt 0 ]; then owner+=(--pdeathsig INT); fi
    exec "${owner[@]}" "${server[@]}"
fi
running_pid "$folder" >/dev/null || is_free "$port" || die "port $port is taken"
answers() { "$programs/pg_isready" -q -h 127.0.0.1 -p "$port" -U reco -d reco; }
start_background "$folder" "$url" 120 "${owner[@]}" "${server[@]}"
