/* records/lmdb.c - records on LMDB, and in memory.
 *
 * One environment, "records", fully synced; changes of several callers share a transaction by group commit (kv/group.c). Three tables; every key
 * begins with the namespace, as one byte of length and its bytes:
 *
 *   documents   namespace, u8 kind, id        ->  u8 version 1, u64 sequence of the last change, u32 checksum, the document
 *   changes     namespace, u64 sequence (BE)  ->  u8 version 1, u8 kind, id
 *   sequences   namespace                     ->  u64 newest sequence
 *
 * Numbers in values are little-endian. The checksum covers the sequence and the document. A key takes at most 1 + 64 + 1 + 256 = 322 bytes, within
 * LMDB's 511. The log says only what changed: the document is read when the log is, so that ten changes of an item cost a reader one size of document
 * each and the file none. It keeps the newest RECO_RECORDS_LOG_MAX sequence numbers; as those have no gaps, what it reaches back to is known without
 * looking, and each change drops what falls out in its own transaction.
 *
 * Reading transactions are short: scans and the log are read in steps of STEP records, each in a transaction of its own. A scan is thus not one
 * moment: records that change meanwhile show up in the log.
 *
 * `memory:` is the same code on unlinked files. Each open of it is a store of its own. */
#include "records/lmdb.h"

#include "kv/kv.h"
#include "records/records.h"

enum { SPACE_MAX = 64, ID_MAX = 256, KEY_MAX = 1 + SPACE_MAX + 1 + ID_MAX, FORMAT = 1, DOCUMENT_HEADER = 13, LOG_HEADER = 2, STEP = 1000 };

struct reco_records_store {
    reco__kv *kv;
    reco__kv_table documents, changes, sequences;
    uint8_t space[1 + SPACE_MAX]; /* as keys begin */
    size_t space_size;
};

/* --- keys and values --------------------------------------------------------------------------------------------------------------------- */

static size_t document_key(uint8_t key[KEY_MAX], const reco_records_store *store, uint32_t kind, reco_str id) {
    memcpy(key, store->space, store->space_size);
    key[store->space_size] = (uint8_t)kind;
    if (id.size > 0)
        memcpy(key + store->space_size + 1, id.data, id.size);
    return store->space_size + 1 + id.size;
}

static size_t change_key(uint8_t key[KEY_MAX], const reco_records_store *store, uint64_t sequence) {
    memcpy(key, store->space, store->space_size);
    reco__be64(key + store->space_size, sequence);
    return store->space_size + 8;
}

static uint32_t document_checksum(uint64_t sequence, reco_str document) { return (uint32_t)reco__hash64(document.data, document.size, sequence); }

static reco_status read_document(uint64_t *sequence, reco_str *document, reco__kv_value value, reco_error *err) {
    const uint8_t *bytes = value.data;
    uint32_t checksum;
    if (value.size > 0 && bytes[0] > FORMAT)
        return reco__fail(err, RECO_NEWER, NULL, "record has version %u, this library reads %d", bytes[0], FORMAT);
    if (value.size <= DOCUMENT_HEADER || bytes[0] != FORMAT)
        return reco__fail(err, RECO_CORRUPT, NULL, "record of %zu bytes is truncated or damaged", value.size);
    memcpy(sequence, bytes + 1, sizeof *sequence);
    memcpy(&checksum, bytes + 9, sizeof checksum);
    *document = (reco_str){(const char *)bytes + DOCUMENT_HEADER, value.size - DOCUMENT_HEADER};
    if (checksum != document_checksum(*sequence, *document))
        return reco__fail(err, RECO_CORRUPT, NULL, "record of %zu bytes has a wrong checksum", value.size);
    return RECO_OK;
}

static reco_status read_change(uint32_t *kind, reco_str *id, reco__kv_value value, reco_error *err) {
    const uint8_t *bytes = value.data;
    if (value.size <= LOG_HEADER || value.size > LOG_HEADER + ID_MAX || bytes[0] != FORMAT)
        return reco__fail(err, RECO_CORRUPT, NULL, "entry of the change log is damaged");
    *kind = bytes[1];
    *id = (reco_str){(const char *)bytes + LOG_HEADER, value.size - LOG_HEADER};
    return RECO_OK;
}

static reco_status read_sequence(uint64_t *out, reco__kv_txn *txn, const reco_records_store *store, reco_error *err) {
    reco__kv_value value;
    *out = 0;
    reco_status status = reco__kv_get(&value, txn, store->sequences, store->space, store->space_size, err);
    if (status == RECO_NOT_FOUND)
        return RECO_OK;
    if (status == RECO_OK && value.size != sizeof *out)
        return reco__fail(err, RECO_CORRUPT, NULL, "the newest sequence of changes is damaged");
    if (status == RECO_OK)
        memcpy(out, value.data, sizeof *out);
    return status;
}

/* --- open and close ---------------------------------------------------------------------------------------------------------------------- */

static reco_status open_tables(reco_records_store *store, reco_error *err) {
    reco_status status = reco__kv_table_open(&store->documents, store->kv, "documents", err);
    if (status == RECO_OK)
        status = reco__kv_table_open(&store->changes, store->kv, "changes", err);
    if (status == RECO_OK)
        status = reco__kv_table_open(&store->sequences, store->kv, "sequences", err);
    return status;
}

static void store_close(reco_records_store *store) {
    reco__kv_close(store->kv);
    reco__release(store);
}

reco__kv_options reco__records_lmdb_kv(const char *directory, uint32_t flags, uint64_t map_size, uint64_t min_free) {
    return (reco__kv_options){.directory = directory,
                              .name = "records",
                              .flags = flags,
                              .map_size = map_size,
                              .min_free = min_free,
                              .format = "reco-records",
                              .format_version = FORMAT};
}

static reco_status open_with(reco_records_store **out, const reco_records_options *options, uint32_t flags, reco_error *err) {
    const char *directory = strchr(options->url, ':') + 1;
    if (!(flags & RECO__KV_MEMORY) && *directory == '\0')
        return reco__fail(err, RECO_INVALID, "records", "the address \"%.100s\" names no directory", options->url);
    reco_records_store *store = reco__zalloc(sizeof *store);
    if (!store)
        return reco__no_memory(err);
    store->space_size = 1 + strlen(options->space);
    store->space[0] = (uint8_t)(store->space_size - 1);
    memcpy(store->space + 1, options->space, store->space_size - 1);
    reco__kv_options kv =
        reco__records_lmdb_kv(directory, flags | (options->background ? RECO__KV_BACKGROUND : 0), options->map_size, options->min_free);
    reco_status status = reco__kv_open(&store->kv, &kv, NULL, err);
    if (status != RECO_OK) {
        reco__release(store);
        return status;
    }
    status = open_tables(store, err);
    if (status != RECO_OK) {
        store_close(store);
        return status;
    }
    *out = store;
    return RECO_OK;
}

static reco_status open_lmdb(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    (void)call;
    return open_with(out, options, 0, err);
}

static reco_status open_memory(reco_records_store **out, const reco_records_options *options, const reco_call *call, reco_error *err) {
    (void)call;
    return open_with(out, options, RECO__KV_MEMORY, err);
}

/* --- changing ---------------------------------------------------------------------------------------------------------------------------- */

typedef struct changing {
    reco_records_store *store;
    const reco_record_change *changes;
    size_t count;
    uint64_t last;
} changing;

static reco_status put_document(reco__kv_txn *txn, const reco_records_store *store, const uint8_t *key, size_t key_size, reco_str document,
                                uint64_t sequence, reco_error *err) {
    void *room;
    reco_status status = reco__kv_reserve(&room, txn, store->documents, key, key_size, DOCUMENT_HEADER + document.size, err);
    if (status != RECO_OK)
        return status;
    uint8_t *at = room;
    uint32_t checksum = document_checksum(sequence, document);
    at[0] = FORMAT;
    memcpy(at + 1, &sequence, sizeof sequence);
    memcpy(at + 9, &checksum, sizeof checksum);
    memcpy(at + DOCUMENT_HEADER, document.data, document.size);
    return RECO_OK;
}

/* The entry of the log, and the one that falls out for it. */
static reco_status log_change(reco__kv_txn *txn, const reco_records_store *store, const reco_record_change *change, uint64_t sequence,
                              reco_error *err) {
    uint8_t key[KEY_MAX], value[LOG_HEADER + ID_MAX] = {FORMAT, (uint8_t)change->kind};
    memcpy(value + LOG_HEADER, change->id.data, change->id.size);
    size_t size = change_key(key, store, sequence);
    reco_status status = reco__kv_put(txn, store->changes, key, size, value, LOG_HEADER + change->id.size, err);
    if (status != RECO_OK || sequence <= RECO_RECORDS_LOG_MAX)
        return status;
    size = change_key(key, store, sequence - RECO_RECORDS_LOG_MAX);
    return reco__kv_delete(txn, store->changes, key, size, err);
}

static reco_status run_change(reco__kv_txn *txn, const reco_records_store *store, const reco_record_change *change, uint64_t *sequence,
                              reco_error *err) {
    uint8_t key[KEY_MAX];
    reco__kv_value value;
    size_t size = document_key(key, store, change->kind, change->id);
    reco_status status = reco__kv_get(&value, txn, store->documents, key, size, err);
    if (status != RECO_OK && status != RECO_NOT_FOUND)
        return status;
    bool exists = status == RECO_OK, removes = change->document.data == NULL;
    if (removes ? !exists : exists && (change->flags & RECO_RECORD_IF_ABSENT))
        return RECO_OK;
    if (removes)
        status = reco__kv_delete(txn, store->documents, key, size, err);
    else
        status = put_document(txn, store, key, size, change->document, *sequence + 1, err);
    if (status == RECO_OK)
        status = log_change(txn, store, change, ++*sequence, err);
    return status;
}

/* Whether the record is as the caller of IF_SEQUENCE saw it. */
static reco_status is_unchanged(bool *out, reco__kv_txn *txn, const reco_records_store *store, const reco_record_change *change, reco_error *err) {
    uint8_t key[KEY_MAX];
    reco__kv_value value;
    reco_str document;
    uint64_t sequence = 0;
    reco_status status = reco__kv_get(&value, txn, store->documents, key, document_key(key, store, change->kind, change->id), err);
    if (status == RECO_OK)
        status = read_document(&sequence, &document, value, err);
    else if (status == RECO_NOT_FOUND)
        status = RECO_OK;
    *out = sequence == change->sequence;
    return status;
}

/* For all before anything is changed: what fails then spoils no transaction that others share. */
static reco_status check_sequences(const changing *work, reco__kv_txn *txn, reco_error *err) {
    for (size_t i = 0; i < work->count; i++) {
        bool unchanged = true;
        reco_status status = RECO_OK;
        if (work->changes[i].flags & RECO_RECORD_IF_SEQUENCE)
            status = is_unchanged(&unchanged, txn, work->store, &work->changes[i], err);
        if (status != RECO_OK)
            return status;
        if (!unchanged)
            return reco__fail_at(err, RECO_CONFLICT, (int32_t)i, "sequence", "the record was changed since it was read");
    }
    return RECO_OK;
}

static reco_status run(reco__kv_txn *txn, reco__kv_job *job, reco_error *err) {
    changing *work = job->context;
    uint64_t before, sequence;
    reco_status status = check_sequences(work, txn, err);
    if (status == RECO_OK)
        status = read_sequence(&before, txn, work->store, err);
    if (status != RECO_OK)
        return status;
    sequence = before;
    for (size_t i = 0; i < work->count && status == RECO_OK; i++)
        status = run_change(txn, work->store, &work->changes[i], &sequence, err);
    if (status == RECO_OK && sequence != before)
        status = reco__kv_put(txn, work->store->sequences, work->store->space, work->store->space_size, &sequence, sizeof sequence, err);
    work->last = sequence;
    return status;
}

/* The wait has no deadline: the job and the changes it reads are the caller's, and once it is queued it will be done. */
static reco_status store_change(uint64_t *last_sequence, reco_records_store *store, const reco_record_change *changes, size_t count,
                                const reco_call *call, reco_error *err) {
    (void)call;
    changing work = {store, changes, count, 0};
    reco__kv_job job = {.run = run, .context = &work, .records = (uint32_t)count};
    reco_status status = reco__kv_submit(store->kv, &job, err);
    if (status == RECO_OK)
        status = reco__kv_wait(store->kv, &job, NULL, err);
    if (status == RECO_OK)
        *last_sequence = work.last;
    return status;
}

/* --- reading ----------------------------------------------------------------------------------------------------------------------------- */

static reco_status store_find(reco_records_store *store, uint32_t kind, reco_str id, reco_records_sink sink, void *context, const reco_call *call,
                              reco_error *err) {
    (void)call;
    uint8_t key[KEY_MAX];
    reco__kv_txn *txn;
    reco__kv_value value;
    uint64_t sequence;
    reco_str document;
    reco_status status = reco__kv_read_begin(&txn, store->kv, 0, err);
    if (status != RECO_OK)
        return status;
    status = reco__kv_get(&value, txn, store->documents, key, document_key(key, store, kind, id), err);
    if (status == RECO_OK)
        status = read_document(&sequence, &document, value, err);
    if (status == RECO_OK)
        sink(context, sequence, kind, id, document);
    reco__kv_read_end(txn);
    return status;
}

/* What is read in steps: where it stands, and what is still to come. */
typedef struct reading {
    reco_records_store *store;
    reco_records_sink sink;
    void *context;
    uint32_t left; /* of the caller's limit */
    bool done;     /* at the end, or stopped by the sink */
    uint32_t kind; /* scan */
    char after[ID_MAX];
    size_t after_size;
    uint64_t since; /* changes */
    uint64_t newest;
} reading;

static void hand_out(reading *in, uint64_t sequence, uint32_t kind, reco_str id, reco_str document) {
    in->left--;
    if (in->sink(in->context, sequence, kind, id, document) != 0)
        in->done = true;
}

/* One record of a scan. */
static reco_status scan_one(reading *in, reco__kv_value key, reco__kv_value value, const uint8_t *prefix, size_t prefix_size, reco_error *err) {
    uint64_t sequence;
    reco_str document;
    if (key.size <= prefix_size || memcmp(key.data, prefix, prefix_size) != 0) {
        in->done = true;
        return RECO_OK;
    }
    reco_str id = {(const char *)key.data + prefix_size, key.size - prefix_size};
    if (id.size > ID_MAX)
        return reco__fail(err, RECO_CORRUPT, NULL, "a record has an id of %zu bytes", id.size);
    if (id.size == in->after_size && memcmp(id.data, in->after, id.size) == 0)
        return RECO_OK;
    reco_status status = read_document(&sequence, &document, value, err);
    if (status != RECO_OK)
        return status;
    memcpy(in->after, id.data, id.size);
    in->after_size = id.size;
    hand_out(in, sequence, in->kind, id, document);
    return RECO_OK;
}

static reco_status scan_step(reading *in, reco__kv_txn *txn, reco_error *err) {
    uint8_t from[KEY_MAX], prefix[KEY_MAX];
    size_t prefix_size = document_key(prefix, in->store, in->kind, (reco_str){NULL, 0});
    reco__kv_value key = {from, document_key(from, in->store, in->kind, (reco_str){in->after, in->after_size})}, value;
    reco__kv_cursor *cursor;
    reco_status status = reco__kv_cursor_open(&cursor, txn, in->store->documents, err);
    if (status != RECO_OK)
        return status;
    status = reco__kv_seek(cursor, RECO__KV_FROM, &key, &value, err);
    for (int i = 0; i < STEP && status == RECO_OK && !in->done && in->left > 0; i++) {
        status = scan_one(in, key, value, prefix, prefix_size, err);
        if (status == RECO_OK)
            status = reco__kv_seek(cursor, RECO__KV_NEXT, &key, &value, err);
    }
    reco__kv_cursor_close(cursor);
    if (status != RECO_NOT_FOUND)
        return status;
    in->done = true;
    return RECO_OK;
}

/* One entry of the log with the record as it is now. */
static reco_status change_one(reading *in, reco__kv_txn *txn, uint64_t sequence, reco__kv_value value, reco_error *err) {
    uint32_t kind = 0;
    reco_str id = {NULL, 0}, document = {NULL, 0};
    uint8_t key[KEY_MAX];
    uint64_t ignored;
    reco_status status = read_change(&kind, &id, value, err);
    if (status != RECO_OK)
        return status;
    in->since = sequence;
    if (kind == RECO_RECORD_KEY)
        return RECO_OK;
    status = reco__kv_get(&value, txn, in->store->documents, key, document_key(key, in->store, kind, id), err);
    if (status == RECO_OK)
        status = read_document(&ignored, &document, value, err);
    if (status != RECO_OK && status != RECO_NOT_FOUND)
        return status;
    hand_out(in, sequence, kind, id, document);
    return RECO_OK;
}

static reco_status changes_step(reading *in, reco__kv_txn *txn, reco_error *err) {
    uint8_t from[KEY_MAX];
    reco__kv_value value;
    reco_status status = read_sequence(&in->newest, txn, in->store, err);
    if (status != RECO_OK)
        return status;
    if (in->since > in->newest || in->newest - in->since > RECO_RECORDS_LOG_MAX)
        return reco__fail(err, RECO_NOT_FOUND, NULL, "the change log no longer holds what follows number %llu", (unsigned long long)in->since);
    for (int i = 0; i < STEP && status == RECO_OK && !in->done && in->left > 0 && in->since < in->newest; i++) {
        uint64_t sequence = in->since + 1;
        status = reco__kv_get(&value, txn, in->store->changes, from, change_key(from, in->store, sequence), err);
        if (status == RECO_NOT_FOUND)
            return reco__fail(err, RECO_CORRUPT, NULL, "the change log lacks number %llu", (unsigned long long)sequence);
        if (status == RECO_OK)
            status = change_one(in, txn, sequence, value, err);
    }
    if (in->since == in->newest)
        in->done = true;
    return status;
}

static reco_status read_in_steps(reading *in, reco_status (*step)(reading *in, reco__kv_txn *txn, reco_error *err), const reco_call *call,
                                 reco_error *err) {
    do {
        reco__kv_txn *txn;
        reco_status status = reco__call_check(call, err);
        if (status == RECO_OK)
            status = reco__kv_read_begin(&txn, in->store->kv, 0, err);
        if (status != RECO_OK)
            return status;
        status = step(in, txn, err);
        reco__kv_read_end(txn);
        if (status != RECO_OK)
            return status;
    } while (!in->done && in->left > 0);
    return RECO_OK;
}

static reco_status store_scan(reco_records_store *store, uint32_t kind, reco_str after, uint32_t limit, reco_records_sink sink, void *context,
                              const reco_call *call, reco_error *err) {
    reading in = {.store = store, .sink = sink, .context = context, .left = limit, .kind = kind, .after_size = after.size};
    if (after.size > 0)
        memcpy(in.after, after.data, after.size);
    return limit > 0 ? read_in_steps(&in, scan_step, call, err) : RECO_OK;
}

static reco_status store_changes(uint64_t *newest, reco_records_store *store, uint64_t since, uint32_t limit, reco_records_sink sink, void *context,
                                 const reco_call *call, reco_error *err) {
    reading in = {.store = store, .sink = sink, .context = context, .left = limit, .since = since};
    reco_status status = read_in_steps(&in, changes_step, call, err);
    *newest = in.newest;
    return status;
}

/* --- accounting -------------------------------------------------------------------------------------------------------------------------- */

typedef void (*stats_sink)(void *context, const char *name, uint64_t value);

static reco_status table_stats(reco_records_store *store, reco__kv_table table, const char *entries_name, const char *bytes_name, stats_sink sink,
                               void *context, reco_error *err) {
    uint64_t entries, bytes;
    reco_status status = reco__kv_table_stat(&entries, &bytes, store->kv, table, err);
    if (status != RECO_OK)
        return status;
    sink(context, entries_name, entries);
    sink(context, bytes_name, bytes);
    return RECO_OK;
}

static reco_status sequence_stats(reco_records_store *store, stats_sink sink, void *context, reco_error *err) {
    reco__kv_txn *txn;
    uint64_t sequence;
    reco_status status = reco__kv_read_begin(&txn, store->kv, 0, err);
    if (status != RECO_OK)
        return status;
    status = read_sequence(&sequence, txn, store, err);
    reco__kv_read_end(txn);
    if (status == RECO_OK)
        sink(context, "sequence", sequence);
    return status;
}

static reco_status store_stats(reco_records_store *store, stats_sink sink, void *context, const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_stats stats;
    reco_status status = reco__kv_stat(&stats, store->kv, err);
    if (status == RECO_OK)
        status = sequence_stats(store, sink, context, err);
    if (status == RECO_OK)
        status = table_stats(store, store->documents, "documents", "documents_bytes", sink, context, err);
    if (status == RECO_OK)
        status = table_stats(store, store->changes, "changes", "changes_bytes", sink, context, err);
    if (status != RECO_OK)
        return status;
    sink(context, "file_bytes", stats.file_bytes);
    sink(context, "disk_bytes", stats.disk_bytes);
    sink(context, "used_bytes", stats.used_bytes);
    return RECO_OK;
}

#define FUNCTIONS(open_function)                                                                                                                     \
    .open = open_function, .close = store_close, .change = store_change, .find = store_find, .scan = store_scan, .changes = store_changes,           \
    .stats = store_stats

const reco_records_backend reco__records_lmdb = {
    .struct_size = sizeof(reco_records_backend), .contract = RECO_RECORDS_CONTRACT, .scheme = "lmdb", FUNCTIONS(open_lmdb)};
const reco_records_backend reco__records_memory = {
    .struct_size = sizeof(reco_records_backend), .contract = RECO_RECORDS_CONTRACT, .scheme = "memory", FUNCTIONS(open_memory)};
