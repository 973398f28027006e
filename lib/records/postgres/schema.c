/* records/postgres/schema.c - the version of the schema, looked at when a store is opened.
 *
 * reco.migrations has a row for every migration that ran. A database without any table of ours is set up here, whole or not at all, under an
 * advisory lock, so that processes that start together do it once. One that is older is left as it is: changing the tables of a running system is its
 * keeper's decision. One that is newer is refused. */
#include "records/postgres/internal.h"

#include <stdio.h>

/* Any number will do as long as all of us take the same one. */
#define LOCK "SELECT pg_advisory_xact_lock(8241706310415921)"

typedef struct found {
    bool tables, migrations;
    uint64_t version;
} found;

static int take_presence(void *context, const PGresult *result, int row) {
    found *to = context;
    to->tables = *PQgetvalue(result, row, 0) == 't';
    to->migrations = *PQgetvalue(result, row, 1) == 't';
    return 0;
}

static int take_version(void *context, const PGresult *result, int row) {
    found *to = context;
    reco__postgres_number(&to->version, result, row, 0);
    return 0;
}

static reco_status look(found *out, PGconn *link, const reco_call *call, reco_error *err) {
    static const char presence[] = "SELECT EXISTS (SELECT FROM pg_class WHERE relnamespace = to_regnamespace('reco') AND relkind IN ('r', 'p')),"
                                   " to_regclass('reco.migrations') IS NOT NULL";
    *out = (found){0};
    reco_status status = reco__postgres_script(link, presence, take_presence, out, call, err);
    if (status == RECO_OK && out->migrations)
        status = reco__postgres_script(link, "SELECT max(version) FROM reco.migrations", take_version, out, call, err);
    return status;
}

static reco_status set_up(PGconn *link, const reco_call *call, reco_error *err) {
    found there;
    reco_status status = reco__postgres_script(link, "BEGIN; " LOCK, NULL, NULL, call, err);
    if (status == RECO_OK)
        status = look(&there, link, call, err);
    if (status == RECO_OK && !there.tables)
        for (int i = 0; i < reco__postgres_migration_count && status == RECO_OK; i++)
            status = reco__postgres_script(link, reco__postgres_migrations[i].sql, NULL, NULL, call, err);
    if (status == RECO_OK)
        status = reco__postgres_script(link, "COMMIT", NULL, NULL, call, err);
    if (status == RECO_OK && !there.tables)
        reco__log(RECO_LOG_INFO, "records", "PostgreSQL: the schema is set up, version %d", reco__postgres_migration_count);
    return status; /* when it is not OK the caller ends the link, and with it what was begun */
}

static reco_status judge(const found *there, reco_error *err) {
    int wanted = reco__postgres_migration_count;
    if (there->version > (uint64_t)wanted)
        return reco__fail(err, RECO_NEWER, "records", "the database has version %llu of the schema, this library knows %d: a newer libreco is needed",
                          (unsigned long long)there->version, wanted);
    if (there->version < (uint64_t)wanted)
        return reco__fail(
            err, RECO_REFUSED, "records",
            "the database has version %llu of the schema, %d is needed: run `reco migrate` or infra/scripts/migrate-postgres.sh (next is %s)",
            (unsigned long long)there->version, wanted, reco__postgres_migrations[there->version].file);
    return RECO_OK;
}

reco_status reco__postgres_schema_check(reco_records_store *store, const reco_call *call, reco_error *err) {
    PGconn *link;
    found there;
    reco_status status = reco__postgres_connect(&link, store, call, err);
    if (status != RECO_OK)
        return status;
    status = look(&there, link, call, err);
    if (status == RECO_OK && !there.tables) {
        status = set_up(link, call, err);
        if (status == RECO_OK)
            status = look(&there, link, call, err);
    }
    if (status == RECO_OK)
        status = judge(&there, err);
    PQfinish(link);
    return status;
}
