/* records/postgres/module.c - records on PostgreSQL 15 or later: libreco-postgres.so.
 *
 * The address is a URL of libpq, postgresql://user:password@host:port/database?parameter=value, handed to it as it is: several hosts, TLS, service
 * and password files are its own. Names and passwords stay in it; no error or log line shows the address.
 *
 * Tables are in infra/postgres (schema.sql for reading, migrations/ for setting up). A change is one call of reco.change() in one transaction:
 * it locks the row of the namespace, so the numbers of changes have no gaps and appear in order. The limit on bytes that the embedded store has as
 * map_size is counted in documents of the namespace here.
 *
 * What it does not do: go through a proxy that gives each transaction another connection (statements are prepared per connection), or look up host
 * names without waiting (libpq cannot). */
#include "base/module.h"
#include "records/postgres/internal.h"

#include <unistd.h>

/* The message of libpq is not told: it may quote parts of the address. */
reco_status reco__postgres_check_url(const char *url, reco_error *err) {
    PQconninfoOption *options = PQconninfoParse(url, NULL);
    bool good = options && strstr(url, "://");
    PQconninfoFree(options);
    if (!good)
        return reco__fail(err, RECO_INVALID, "records", "the address cannot be read: postgresql://user:password@host:port/database is the form");
    return RECO_OK;
}

static void free_store(reco_records_store *store) {
    if (store->url)
        explicit_bzero(store->url, strlen(store->url));
    reco__release(store->url);
    reco__release(store->space);
    reco__release(store);
}

static reco_status create_store(reco_records_store **out, const reco_records_options *options, reco_error *err) {
    reco_records_store *store = reco__zalloc(sizeof *store);
    if (!store)
        return reco__no_memory(err);
    store->url = reco__strndup(options->url, strlen(options->url));
    store->space = reco__strndup(options->space, strlen(options->space));
    store->most_bytes = options->map_size < INT64_MAX ? options->map_size : INT64_MAX;
    reco_status status = store->url && store->space ? reco__postgres_pool_init(store, err) : reco__no_memory(err);
    if (status == RECO_OK)
        *out = store;
    else
        free_store(store);
    return status;
}

static void store_close(reco_records_store *store) {
    reco__postgres_pool_dispose(store);
    free_store(store);
}

static reco_status store_open(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    reco_records_store *store = NULL;
    reco_status status = reco__postgres_check_url(options->url, err);
    if (status == RECO_OK)
        status = create_store(&store, options, err);
    if (status != RECO_OK)
        return status;
    status = reco__postgres_schema_check(store, call, err);
    if (status == RECO_OK)
        *out = store;
    else
        store_close(store);
    return status;
}

#define BACKEND(name)                                                                                                                                \
    {                                                                                                                                                \
        .struct_size = sizeof(reco_records_backend), .contract = RECO_RECORDS_CONTRACT, .scheme = name, .open = store_open, .close = store_close,    \
        .change = reco__postgres_change, .find = reco__postgres_find, .scan = reco__postgres_scan, .changes = reco__postgres_changes,                \
        .stats = reco__postgres_stats, .archive_positions = reco__postgres_archive_positions, .archive_put = reco__postgres_archive_put,             \
        .migrate = reco__postgres_migrate                                                                                                            \
    }

static const reco_records_backend by_long_name = BACKEND("postgresql");
static const reco_records_backend by_short_name = BACKEND("postgres");

/* Both schemes are usual for libpq. A module registers one; this adds the other. */
static reco_status start(const reco_host *host, reco_error *err) {
    reco_status status = reco__module_bind(host, err);
    return status == RECO_OK ? reco_register_records(&by_short_name, err) : status;
}

extern const reco_module reco_module_v1;
RECO_API const reco_module reco_module_v1 = {.struct_size = sizeof(reco_module),
                                             .contract = RECO_MODULE_CONTRACT,
                                             .name = "postgres",
                                             .version = "1",
                                             .start = start,
                                             .records = &by_long_name};
