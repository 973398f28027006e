#!/usr/bin/env bash
# Brings the schema of a database to the version of this tree: migrate-postgres.sh postgresql://user@host:port/database
# As `reco migrate` does, with psql alone: all missing migrations in one transaction under a lock, so that runs at the same time do it once. Stop what
# writes first; make a backup. A password is better given by PGPASSWORD or ~/.pgpass.
set -euo pipefail

if [ $# -ne 1 ]; then
    echo "usage: migrate-postgres.sh postgresql://user@host:port/database" >&2
    exit 2
fi
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../postgres/migrations" && pwd)
files=("$folder"/[0-9][0-9][0-9][0-9]_*.sql)

script() {
    cat <<SQL
\\set ON_ERROR_STOP 1
BEGIN;
SELECT pg_advisory_xact_lock(8241706310415921) \\g /dev/null
SELECT to_regclass('reco.migrations') IS NOT NULL AS there \\gset
\\if :there
SELECT coalesce(max(version), 0) AS version FROM reco.migrations \\gset
\\else
\\set version 0
\\endif
SELECT :version > ${#files[@]} AS newer \\gset
\\if :newer
\\warn the database has version :version of the schema, this tree knows ${#files[@]}: a newer libreco is needed
DO \$\$ BEGIN RAISE EXCEPTION 'nothing was changed'; END \$\$;
\\endif
SQL
    local number=0 file
    for file in "${files[@]}"; do
        number=$((number + 1))
        printf 'SELECT :version < %d AS wanted \\gset\n\\if :wanted\n\\i %s\n\\endif\n' "$number" "'${file//\'/\'\'}'"
    done
    printf 'COMMIT;\n\\echo the schema went from version :version to %d\n' "${#files[@]}"
}

script | psql -X -q -d "$1"
