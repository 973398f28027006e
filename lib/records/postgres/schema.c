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

/* Refuses what is of a newer libreco, or of somebody else. */
static reco_status is_ours(const found *there, reco_error *err) {
    if (there->version > (uint64_t)reco__postgres_migration_count)
        return reco__fail(err, RECO_NEWER, "records", "the database has version %llu of the schema, this library knows %d: a newer libreco is needed",
                          (unsigned long long)there->version, reco__postgres_migration_count);
    if (there->tables && !there->migrations)
        return reco__fail(err, RECO_REFUSED, "records",
                          "the database has tables in a schema \"reco\" that are not of libreco: it lacks reco.migrations");
    return RECO_OK;
}

/* The caller ends the link when this fails, and with it what was begun. `after`: the statement that ends the transaction. *from: where it stood. */
static reco_status advance(uint64_t *from, PGconn *link, bool fresh_only, const char *after, const reco_call *call, reco_error *err) {
    found there;
    reco_status status = reco__postgres_script(link, "BEGIN; " LOCK, NULL, NULL, call, err);
    if (status == RECO_OK)
        status = look(&there, link, call, err);
    if (status != RECO_OK)
        return status;
    *from = there.version;
    status = is_ours(&there, err);
    for (uint64_t v = there.version; v < (uint64_t)reco__postgres_migration_count && status == RECO_OK && !(fresh_only && there.tables); v++)
        status = reco__postgres_script(link, reco__postgres_migrations[v].sql, NULL, NULL, call, err);
    return status == RECO_OK ? reco__postgres_script(link, after, NULL, NULL, call, err) : status;
}

static reco_status set_up(PGconn *link, const reco_call *call, reco_error *err) {
    uint64_t from = 0;
    reco_status status = advance(&from, link, true, "COMMIT", call, err);
    if (status == RECO_OK && from == 0)
        reco__log(RECO_LOG_INFO, "records", "PostgreSQL: the schema is set up, version %d", reco__postgres_migration_count);
    return status;
}

static reco_status judge(const found *there, reco_error *err) {
    int wanted = reco__postgres_migration_count;
    reco_status status = is_ours(there, err);
    if (status == RECO_OK && there->version < (uint64_t)wanted)
        return reco__fail(
            err, RECO_REFUSED, "records",
            "the database has version %llu of the schema, %d is needed: run `reco migrate` or infra/scripts/migrate-postgres.sh (next is %s)",
            (unsigned long long)there->version, wanted, reco__postgres_migrations[there->version].file);
    return status;
}

reco_status reco__postgres_schema_check(reco_records_store *store, const reco_call *call, reco_error *err) {
    PGconn *link;
    found there;
    reco_status status = reco__postgres_connect(&link, store->url, call, err);
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

/* --- reco migrate -------------------------------------------------------------------------------------------------------------------------- */

static reco_status look_only(uint64_t *from, PGconn *link, const reco_call *call, reco_error *err) {
    found there;
    reco_status status = look(&there, link, call, err);
    if (status == RECO_OK)
        status = is_ours(&there, err);
    *from = there.version;
    return status;
}

reco_status reco__postgres_migrate(uint32_t *version, const reco_records_options *options, uint32_t flags, reco_migrate_sink sink, void *context,
                                   const reco_call *call, reco_error *err) {
    bool check = flags & RECO_SCHEMA_CHECK;
    PGconn *link;
    uint64_t from = 0;
    reco_status status = reco__postgres_check_url(options->url, err);
    if (status == RECO_OK)
        status = reco__postgres_connect(&link, options->url, call, err);
    if (status != RECO_OK)
        return status;
    if (check)
        status = look_only(&from, link, call, err);
    else
        status = advance(&from, link, false, flags & RECO_SCHEMA_DRY_RUN ? "ROLLBACK" : "COMMIT", call, err);
    PQfinish(link);
    *version = (uint32_t)from;
    if (status != RECO_OK)
        return status;
    for (uint64_t v = from; v < (uint64_t)reco__postgres_migration_count; v++)
        if (sink)
            sink(context, (uint32_t)v + 1, reco__postgres_migrations[v].file, !check);
    if (!check)
        *version = (uint32_t)reco__postgres_migration_count;
    return RECO_OK;
}
