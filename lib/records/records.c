/* records/records.c - the door to records: the only caller of a backend's table of functions. Registration, checks of arguments, deadlines and
 * planted faults live here once, so that a backend may rely on ids of 1 to 256 bytes, known kinds and documents within their limits. */
#include "records/records.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/later.h"
#include "base/module.h"
#include <reco/plugin/stream.h>

enum { BACKENDS_MAX = 16, SPACE_MAX = 64 };

struct reco__records {
    const reco_records_backend *backend;
    _Atomic(reco_records_store *) store; /* NULL: to be opened later */
    reco_records_options options;        /* for opening later */
    reco__later later;
};

/* --- registration ------------------------------------------------------------------------------------------------------------------------ */

static struct {
    pthread_mutex_t mutex;
    const reco_records_backend *list[BACKENDS_MAX];
    size_t count;
} registry = {PTHREAD_MUTEX_INITIALIZER, {&reco__records_lmdb, &reco__records_memory}, 2};

static reco_status check_functions(const reco_records_backend *backend, reco_error *err) {
    const struct {
        int present;
        const char *name;
    } functions[] = {{backend->open != NULL, "open"},  {backend->close != NULL, "close"}, {backend->change != NULL, "change"},
                     {backend->find != NULL, "find"},  {backend->scan != NULL, "scan"},   {backend->changes != NULL, "changes"},
                     {backend->stats != NULL, "stats"}};
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (!functions[i].present)
            return reco__fail(err, RECO_INVALID, functions[i].name, "the records backend '%s' lacks the function %s", backend->scheme,
                              functions[i].name);
    return RECO_OK;
}

static bool scheme_valid(const char *scheme) {
    return scheme && *scheme && scheme[strspn(scheme, "abcdefghijklmnopqrstuvwxyz0123456789+.-")] == '\0';
}

static reco_status check_backend(const reco_records_backend *backend, reco_error *err) {
    if (!backend)
        return reco__fail(err, RECO_INVALID, "backend", "is NULL");
    if (backend->struct_size < offsetof(reco_records_backend, archive_positions))
        return reco__fail(err, RECO_INVALID, "struct_size", "%u bytes, %zu are needed", backend->struct_size,
                          offsetof(reco_records_backend, archive_positions));
    if (backend->contract != RECO_RECORDS_CONTRACT)
        return reco__fail(err, RECO_UNSUPPORTED, "contract", "version %u of the contract of records, this library has %u", backend->contract,
                          RECO_RECORDS_CONTRACT);
    if (!scheme_valid(backend->scheme))
        return reco__fail(err, RECO_INVALID, "scheme", "must be of the characters a-z 0-9 + . -");
    return check_functions(backend, err);
}

static const reco_records_backend *find_backend(const char *scheme, size_t size) {
    for (size_t i = 0; i < registry.count; i++)
        if (strlen(registry.list[i]->scheme) == size && memcmp(registry.list[i]->scheme, scheme, size) == 0)
            return registry.list[i];
    return NULL;
}

reco_status reco_register_records(const reco_records_backend *backend, reco_error *err) {
    reco_status status = check_backend(backend, err);
    if (status != RECO_OK)
        return status;
    pthread_mutex_lock(&registry.mutex);
    bool taken = find_backend(backend->scheme, strlen(backend->scheme)) != NULL;
    bool full = registry.count == BACKENDS_MAX;
    if (!taken && !full)
        registry.list[registry.count++] = backend;
    pthread_mutex_unlock(&registry.mutex);
    if (taken)
        return reco__fail(err, RECO_CONFLICT, "scheme", "a records backend '%s' is registered already", backend->scheme);
    if (full)
        return reco__fail(err, RECO_FULL, "scheme", "%d records backends are registered, more are not possible", BACKENDS_MAX);
    return RECO_OK;
}

/* --- open and close ---------------------------------------------------------------------------------------------------------------------- */

static reco_status check_options(const reco_records_options *options, reco_error *err) {
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
    if (!options->url || !strchr(options->url, ':'))
        return reco__fail(err, RECO_INVALID, "records", "the address \"%.100s\" has no scheme, such as lmdb:", options->url ? options->url : "");
    size_t size = options->space ? strlen(options->space) : 0;
    if (size < 1 || size > SPACE_MAX || strspn(options->space, allowed) != size)
        return reco__fail(err, RECO_INVALID, "namespace", "must be 1 to %d of the characters A-Z a-z 0-9 _ . -", SPACE_MAX);
    return RECO_OK;
}

static reco_status end(reco_status status, reco_error *err) { return reco__backend_status("records", status, err); }

static reco_records_store *store_of(const reco__records *records) { return atomic_load_explicit(&records->store, memory_order_acquire); }

/* Opens what could not be opened before. */
static reco_status open_now(reco__records *records, const reco_call *call, reco_error *err) {
    reco_records_store *store = NULL;
    reco_status status = reco__later_turn(&records->later, err);
    if (status != RECO_OK)
        return status;
    if (!store_of(records)) {
        status = reco__fault("records.open", err);
        if (status == RECO_OK)
            status = end(records->backend->open(&store, &records->options, call, err), err);
        if (status == RECO_OK)
            atomic_store_explicit(&records->store, store, memory_order_release);
    }
    reco__later_done(&records->later, status, err);
    return status;
}

static reco_status begin(reco__records *records, const char *point, const reco_call *call, reco_error *err) {
    reco_status status = reco__call_check(call, err);
    if (status == RECO_OK && !store_of(records))
        status = open_now(records, call, err);
    return status == RECO_OK ? reco__fault(point, err) : status;
}

static const reco_records_backend *known(const char *scheme, size_t size) {
    pthread_mutex_lock(&registry.mutex);
    const reco_records_backend *backend = find_backend(scheme, size);
    pthread_mutex_unlock(&registry.mutex);
    return backend;
}

/* The backend of a URL's scheme; its module is loaded when it takes one. */
static reco_status backend_of(const reco_records_backend **out, const char *url, reco_error *err) {
    size_t scheme = strcspn(url, ":");
    *out = known(url, scheme);
    if (!*out) {
        const reco_module *module;
        reco_status status = reco__module_find(&module, url, scheme, err);
        if (status == RECO_OK && module->records)
            status = reco_register_records(module->records, err);
        if (status != RECO_OK && status != RECO_CONFLICT && status != RECO_NOT_FOUND)
            return status;
        *out = known(url, scheme); /* CONFLICT: another thread was faster */
    }
    if (!*out)
        return reco__fail(err, RECO_UNSUPPORTED, "records",
                          "there is no records backend '%.*s', and no module with one beside libreco or where modules says",
                          (int)(scheme < 40 ? scheme : 40), url);
    return RECO_OK;
}

static reco_status choose(reco_records_options *out, const reco_records_backend **backend, const reco_records_options *given, const char *point,
                          const reco_call *call, reco_error *err) {
    reco_status status = reco__struct_copy(out, sizeof *out, given, given ? given->struct_size : 0, "records options", err);
    if (status == RECO_OK)
        status = check_options(out, err);
    if (status == RECO_OK)
        status = reco__call_check(call, err);
    if (status == RECO_OK)
        status = reco__fault(point, err);
    if (status != RECO_OK)
        return status;
    out->struct_size = sizeof *out;
    return backend_of(backend, out->url, err);
}

static reco_status open_records(reco__records **out, const reco_records_options *given, bool patient, const reco_call *call, reco_error *err) {
    reco_records_options options;
    const reco_records_backend *backend;
    *out = NULL;
    reco_status status = choose(&options, &backend, given, "records.open", call, err);
    if (status != RECO_OK)
        return status;
    reco__records *records = reco__zalloc(sizeof *records);
    if (!records)
        return reco__no_memory(err);
    records->backend = backend;
    reco_records_store *store = NULL;
    status = end(backend->open(&store, &options, call, err), err);
    if (status == RECO_OK || (patient && reco__later_worth(status))) {
        atomic_store(&records->store, store);
        records->options = options;
        reco__later_begin(&records->later, status, err);
        *out = records;
        return RECO_OK;
    }
    reco__release(records);
    return status;
}

reco_status reco__records_open(reco__records **out, const reco_records_options *given, const reco_call *call, reco_error *err) {
    return open_records(out, given, false, call, err);
}

reco_status reco__records_open_patient(reco__records **out, const reco_records_options *given, const reco_call *call, reco_error *err) {
    return open_records(out, given, true, call, err);
}

void reco__records_close(reco__records *records) {
    if (!records)
        return;
    reco_records_store *store = store_of(records);
    if (store)
        records->backend->close(store);
    reco__release(records);
}

/* --- calls ------------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_kind(uint32_t kind, int32_t index, reco_error *err) {
    if (kind < RECO_RECORD_ITEM || kind > RECO_RECORD_KEY)
        return reco__fail_at(err, RECO_INVALID, index, "kind", "there is no kind %u of records", kind);
    return RECO_OK;
}

static reco_status check_document(const reco_record_change *change, int32_t index, reco_error *err) {
    reco_str document = change->document;
    if (!document.data && document.size == 0)
        return change->flags & RECO_RECORD_IF_ABSENT ? reco__fail_at(err, RECO_INVALID, index, "flags", "IF_ABSENT does not go with a delete")
                                                     : RECO_OK;
    if (document.size > RECO_RECORDS_DOCUMENT_MAX)
        return reco__fail_at(err, RECO_TOO_LARGE, index, "document", "%zu bytes, at most %u are allowed", document.size, RECO_RECORDS_DOCUMENT_MAX);
    if (!document.data || document.size == 0 || !reco__utf8_valid(document.data, document.size))
        return reco__fail_at(err, RECO_INVALID, index, "document", "must be valid UTF-8 and not empty");
    return RECO_OK;
}

static reco_status check_flags(const reco_record_change *change, int32_t index, reco_error *err) {
    if (change->flags != 0 && change->flags != RECO_RECORD_IF_ABSENT && change->flags != RECO_RECORD_IF_SEQUENCE)
        return reco__fail_at(err, RECO_INVALID, index, "flags", "0x%x is none of the flags, or several of them", change->flags);
    if (change->sequence != 0 && change->flags != RECO_RECORD_IF_SEQUENCE)
        return reco__fail_at(err, RECO_INVALID, index, "sequence", "goes with IF_SEQUENCE only");
    return RECO_OK;
}

static reco_status check_changes(const reco_record_change *changes, size_t count, reco_error *err) {
    size_t bytes = 0;
    if (count > RECO_RECORDS_CHANGES_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "changes", "%zu changes at once, at most %u are allowed", count, RECO_RECORDS_CHANGES_MAX);
    for (size_t i = 0; i < count; i++) {
        int32_t index = (int32_t)i;
        reco_status status = check_kind(changes[i].kind, index, err);
        if (status == RECO_OK)
            status = check_flags(&changes[i], index, err);
        if (status == RECO_OK)
            status = reco__check_id(changes[i].id, index, "id", err);
        if (status == RECO_OK)
            status = check_document(&changes[i], index, err);
        if (status != RECO_OK)
            return status;
        bytes += changes[i].document.size;
    }
    if (bytes > RECO_RECORDS_CHANGE_BYTES)
        return reco__fail(err, RECO_TOO_LARGE, "changes", "%zu bytes of documents at once, at most %u are allowed", bytes, RECO_RECORDS_CHANGE_BYTES);
    return RECO_OK;
}

reco_status reco__records_change(uint64_t *last_sequence, reco__records *records, const reco_record_change *changes, size_t count,
                                 const reco_call *call, reco_error *err) {
    uint64_t last = 0;
    reco_status status = check_changes(changes, count, err);
    if (status == RECO_OK)
        status = begin(records, "records.change", call, err);
    if (status == RECO_OK)
        status = end(records->backend->change(&last, store_of(records), changes, count, call, err), err);
    if (status == RECO_OK && last_sequence)
        *last_sequence = last;
    return status;
}

reco_status reco__records_find(reco__records *records, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                               reco_error *err) {
    reco_status status = check_kind(kind, -1, err);
    if (status == RECO_OK)
        status = reco__check_id(id, -1, "id", err);
    if (status == RECO_OK)
        status = begin(records, "records.find", call, err);
    if (status != RECO_OK)
        return status;
    status = records->backend->find(store_of(records), kind, id, sink, context, call, err);
    return status == RECO_NOT_FOUND ? status : end(status, err); /* a miss is no failure */
}

reco_status reco__records_scan(reco__records *records, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                               const reco_call *call, reco_error *err) {
    reco_status status = check_kind(kind, -1, err);
    if (status == RECO_OK && after.size > 0)
        status = reco__check_id(after, -1, "after", err);
    if (status == RECO_OK)
        status = begin(records, "records.scan", call, err);
    return status == RECO_OK ? end(records->backend->scan(store_of(records), kind, after, limit, sink, context, call, err), err) : status;
}

reco_status reco__records_changes(uint64_t *newest, reco__records *records, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                  const reco_call *call, reco_error *err) {
    reco_status status = begin(records, "records.changes", call, err);
    return status == RECO_OK ? end(records->backend->changes(newest, store_of(records), since, limit, sink, context, call, err), err) : status;
}

reco_status reco__records_stats(reco__records *records, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                                const reco_call *call, reco_error *err) {
    reco_status status = begin(records, "records.stats", call, err);
    return status == RECO_OK ? end(records->backend->stats(store_of(records), sink, context, call, err), err) : status;
}

/* --- what a backend need not have ---------------------------------------------------------------------------------------------------------- */

/* Whether the table is long enough to have the function, and has it. */
#define HAS(backend, function)                                                                                                                       \
    ((backend)->struct_size >= offsetof(reco_records_backend, function) + sizeof(backend)->function && (backend)->function != NULL)

static reco_status check_archive(const reco__records *records, uint32_t partitions, reco_error *err) {
    if (!HAS(records->backend, archive_positions) || !HAS(records->backend, archive_put))
        return reco__fail(err, RECO_UNSUPPORTED, "archive", "the records backend '%s' keeps no archive", records->backend->scheme);
    if (partitions < 1 || partitions > RECO_PARTITIONS_MAX)
        return reco__fail(err, RECO_INVALID, "partitions", "%u, 1 to %u are possible", partitions, RECO_PARTITIONS_MAX);
    return RECO_OK;
}

static reco_status check_batch(const reco_archive_batch *batch, reco_error *err) {
    uint64_t bytes = 0;
    if (batch->partition >= batch->partitions)
        return reco__fail(err, RECO_INVALID, "partition", "%u of %u", batch->partition, batch->partitions);
    if (batch->from < 0 || batch->to <= batch->from)
        return reco__fail(err, RECO_INVALID, "to", "a batch goes from an offset to a later one, not from %lld to %lld", (long long)batch->from,
                          (long long)batch->to);
    if (batch->count > RECO_ARCHIVE_ROWS_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "rows", "%zu rows at once, at most %u are allowed", batch->count, RECO_ARCHIVE_ROWS_MAX);
    int64_t least = batch->from;
    for (size_t i = 0; i < batch->count; i++) {
        const reco_archive_row *row = &batch->rows[i];
        if (row->offset < least || row->offset >= batch->to)
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "offset", "%lld is not between %lld and %lld", (long long)row->offset,
                                 (long long)least, (long long)batch->to - 1);
        if (row->type > RECO_ARCHIVE_ERASE)
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "type", "there is no type %u of records", row->type);
        least = row->offset + 1;
        bytes += row->raw.size;
    }
    if (bytes > RECO_ARCHIVE_BYTES_MAX)
        return reco__fail(err, RECO_TOO_LARGE, "rows", "%llu bytes at once, at most %u are allowed", (unsigned long long)bytes,
                          RECO_ARCHIVE_BYTES_MAX);
    return RECO_OK;
}

reco_status reco__records_archive_positions(int64_t *next, reco__records *records, const uint8_t stream_id[16], uint32_t partitions,
                                            const reco_call *call, reco_error *err) {
    reco_status status = check_archive(records, partitions, err);
    if (status == RECO_OK)
        status = begin(records, "records.archive_positions", call, err);
    return status == RECO_OK ? end(records->backend->archive_positions(next, store_of(records), stream_id, partitions, call, err), err) : status;
}

reco_status reco__records_archive_put(reco__records *records, const reco_archive_batch *batch, const reco_call *call, reco_error *err) {
    reco_status status = check_archive(records, batch->partitions, err);
    if (status == RECO_OK)
        status = check_batch(batch, err);
    if (status == RECO_OK)
        status = begin(records, "records.archive_put", call, err);
    return status == RECO_OK ? end(records->backend->archive_put(store_of(records), batch, call, err), err) : status;
}

reco_status reco__records_migrate(uint32_t *version, const reco_records_options *given, uint32_t flags, reco_migrate_sink sink, void *context,
                                  const reco_call *call, reco_error *err) {
    reco_records_options options;
    const reco_records_backend *backend;
    *version = 0;
    reco_status status = choose(&options, &backend, given, "records.migrate", call, err);
    if (status != RECO_OK || !HAS(backend, migrate))
        return status;
    return end(backend->migrate(version, &options, flags, sink, context, call, err), err);
}
