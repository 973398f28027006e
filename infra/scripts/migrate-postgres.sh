#!/usr/bin/env bash
# Brings the schema of a database to the version of this tree: migrate-postgres.sh postgresql://user@host:port/database
# All missing migrations run in one transaction, or none. Stop what writes first; make a backup. A password is better given by PGPASSWORD or ~/.pgpass.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: migrate-postgres.sh postgresql://user@host:port/database" >&2
    exit 2
fi
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../postgres/migrations" && pwd)
sql() { psql -X -q -v ON_ERROR_STOP=1 -d "$1" "${@:2}"; }

version=0
if [ "$(sql "$1" -At -c "SELECT to_regclass('reco.migrations') IS NOT NULL")" = t ]; then
    version=$(sql "$1" -At -c "SELECT coalesce(max(version), 0) FROM reco.migrations")
fi
wanted=() number=0
for file in "$folder"/[0-9][0-9][0-9][0-9]_*.sql; do
    number=$((number + 1))
    [ "$number" -le "$version" ] || wanted+=(-f "$file")
done
if [ ${#wanted[@]} -eq 0 ]; then
    echo "the schema has version $version: nothing to do"
    exit 0
fi
sql "$1" -1 -c "SELECT pg_advisory_xact_lock(8241706310415921)" "${wanted[@]}" >/dev/null
echo "the schema went from version $version to $number"
