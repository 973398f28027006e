/* stream/lmdb.c - the stream on LMDB, and the same in memory.
 *
 * Environment "stream", format "reco-stream" version 1. Tables:
 *   "meta"                        "p/<space>"        u32 P, u32 number of the space, 16 bytes of identity, made with the space
 *                                 "s/<space>"        P x (u64 begin, u64 next, u64 last received_at, u64 largest received_at)
 *                                 "n/<space>/<key>"  notes
 *   "r/<space>/<partition>"       u64 big-endian offset -> envelope
 * Integers are little-endian but for keys. Offsets begin at 0 and are never given twice: `next` outlives trimming. One table per partition, so that
 * every append goes to the end of its table (MDB_APPEND).
 *
 * An append is a job of the group commit. The first job of a transaction reads the state of its space, all of them move it on, and the hook before
 * the commit adds the ticks and writes it back. So ticks are by commit, not by append: each partition whose last record is older by more than tick_ms
 * than the newest record of the commit gets one, carrying that newest time.
 *
 * What it does not do: check records (they carry a checksum of their own, see the envelope), or know what is in them. */
#include "stream/lmdb.h"

#include <stdio.h>

#define TRIM_KEYS 10000
#define PART_SIZE 32u
#define INFO_SIZE 24u
#define KEY_MAX 300u
#define TABLES 512u

typedef struct append_job {
    reco__kv_job job;
    struct space *space;
    const reco_stream_record *records;
    size_t count;
    int64_t *bases; /* offset of the first record, by partition; ours, freed by wait */
    const char *note_key;
    const void *note;
    size_t note_size;
    int64_t tick_ms;
    uint32_t flags;
} append_job;

_Static_assert(sizeof(append_job) <= sizeof(reco_stream_ticket), "a ticket holds an append");

/* --- state of a space ----------------------------------------------------------------------------------------------------------------------------
 */

static size_t make_key(char out[KEY_MAX], char kind, const char *space, const char *rest) {
    return (size_t)snprintf(out, KEY_MAX, rest ? "%c/%s/%s" : "%c/%s", kind, space, rest);
}

static reco_status load_parts(struct part *parts, const struct space *space, reco__kv_txn *txn, reco_error *err) {
    char key[KEY_MAX];
    reco__kv_value value;
    size_t size = make_key(key, 's', space->name, NULL);
    reco_status status = reco__kv_get(&value, txn, space->meta, key, size, err);
    if (status == RECO_NOT_FOUND || (status == RECO_OK && value.size != space->partitions * PART_SIZE)) {
        return reco__fail(err, RECO_CORRUPT, NULL, "the state of stream '%s' is damaged", space->name);
    }
    if (status != RECO_OK) {
        return status;
    }
    reco__reader reader = reco__reader_of(value.data, value.size);
    for (uint32_t p = 0; p < space->partitions; p++) {
        parts[p].begin = (int64_t)reco__read_u64(&reader);
        parts[p].next = (int64_t)reco__read_u64(&reader);
        parts[p].last = (int64_t)reco__read_u64(&reader);
        parts[p].max = (int64_t)reco__read_u64(&reader);
    }
    return RECO_OK;
}

static void put_u64(uint8_t *out, uint64_t value) {
    for (int i = 0; i < 8; i++) {
        out[i] = (uint8_t)(value >> (8 * i));
    }
}

static reco_status store_parts(const struct part *parts, const struct space *space, reco__kv_txn *txn, reco_error *err) {
    char key[KEY_MAX];
    uint8_t value[RECO_PARTITIONS_MAX * PART_SIZE], *at = value;
    size_t size = make_key(key, 's', space->name, NULL);
    for (uint32_t p = 0; p < space->partitions; p++, at += PART_SIZE) {
        put_u64(at, (uint64_t)parts[p].begin);
        put_u64(at + 8, (uint64_t)parts[p].next);
        put_u64(at + 16, (uint64_t)parts[p].last);
        put_u64(at + 24, (uint64_t)parts[p].max);
    }
    return reco__kv_put(txn, space->meta, key, size, value, space->partitions * PART_SIZE, err);
}

static int64_t largest(const struct space *space, const struct part *parts) {
    int64_t max = 0;
    for (uint32_t p = 0; p < space->partitions; p++) {
        max = parts[p].max > max ? parts[p].max : max;
    }
    return max;
}

/* --- appending -------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status add_record(struct space *space, uint32_t partition, const void *data, size_t size, int64_t received_at, reco__kv_txn *txn,
                              reco_error *err) {
    struct part *part = &space->commit.parts[partition];
    uint8_t key[8];
    reco__be64(key, (uint64_t)part->next);
    reco_status status = reco__kv_append(txn, space->tables[partition], key, sizeof key, data, size, err);
    if (status == RECO_CONFLICT) {
        return reco__fail(err, RECO_CORRUPT, NULL, "stream '%s' has records beyond its end in partition %u", space->name, partition);
    }
    if (status == RECO_OK) {
        part->next++;
        part->last = received_at;
        part->max = received_at > part->max ? received_at : part->max;
    }
    return status;
}

static reco_status add_ticks(void *context, reco__kv_txn *txn, reco_error *err) {
    struct space *space = context;
    uint8_t tick[RECO_STREAM_TICK_MAX];
    size_t size = 0;
    reco_status status = RECO_OK;
    if (space->commit.ticks) {
        size = reco_stream_tick_write(tick, space->commit.newest);
        status = size ? RECO_OK : reco__no_memory(err);
    }
    for (uint32_t p = 0; status == RECO_OK && space->commit.ticks && p < space->partitions; p++) {
        if (space->commit.parts[p].last < space->commit.newest - space->commit.tick_ms) {
            status = add_record(space, p, tick, size, space->commit.newest, txn, err);
        }
    }
    return status == RECO_OK ? store_parts(space->commit.parts, space, txn, err) : status;
}

static void wake_readers(void *context) { reco__kv_signal_bump(((struct space *)context)->kv); }

static reco_status join_commit(append_job *append, reco__kv_txn *txn, reco_error *err) {
    struct space *space = append->space;
    space->hooks.hooks = (reco__kv_hooks){space, add_ticks, wake_readers};
    if (reco__kv_enlist(txn, &space->hooks)) {
        space->commit.newest = 0;
        space->commit.ticks = false;
        space->commit.tick_ms = append->tick_ms;
        return load_parts(space->commit.parts, space, txn, err);
    }
    if (append->tick_ms < space->commit.tick_ms) {
        space->commit.tick_ms = append->tick_ms;
    }
    return RECO_OK;
}

static uint64_t note_number(const void *note) {
    reco__reader reader = reco__reader_of(note, 8);
    return reco__read_u64(&reader);
}

static reco_status write_note(const append_job *append, reco__kv_txn *txn, reco_error *err) {
    char key[KEY_MAX];
    size_t size = make_key(key, 'n', append->space->name, append->note_key);
    return reco__kv_put(txn, append->space->meta, key, size, append->note, append->note_size, err);
}

/* With NOTE_GROWS: whether the note goes on from what is stored. */
static reco_status check_note(const append_job *append, reco__kv_txn *txn, reco_error *err) {
    char key[KEY_MAX];
    reco__kv_value stored;
    if (!append->note_key || !(append->flags & RECO_APPEND_NOTE_GROWS)) {
        return RECO_OK;
    }
    size_t size = make_key(key, 'n', append->space->name, append->note_key);
    reco_status status = reco__kv_get(&stored, txn, append->space->meta, key, size, err);
    if (status == RECO_OK && stored.size >= 8 && note_number(stored.data) >= note_number(append->note)) {
        return reco__fail(err, RECO_CONFLICT, "note", "the journal stands at %llu already", (unsigned long long)note_number(stored.data));
    }
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

static reco_status run_append(reco__kv_txn *txn, reco__kv_job *job, reco_error *err) {
    append_job *append = job->context;
    struct space *space = append->space;
    reco_status status = join_commit(append, txn, err);
    if (status != RECO_OK) {
        return status;
    }
    status = check_note(append, txn, err);
    if (status != RECO_OK) {
        return status;
    }
    int64_t newest = largest(space, space->commit.parts);
    if ((append->flags & RECO_APPEND_FORWARD) && append->records[0].received_at < newest) {
        return reco__fail_at(err, RECO_CONFLICT, 0, "received_at", "%lld is behind %lld, the largest one appended so far",
                             (long long)append->records[0].received_at, (long long)newest);
    }
    for (uint32_t p = 0; p < space->partitions; p++) {
        append->bases[p] = space->commit.parts[p].next;
    }
    for (size_t i = 0; status == RECO_OK && i < append->count; i++) {
        const reco_stream_record *record = &append->records[i];
        status = add_record(space, record->partition, record->data, record->size, record->received_at, txn, err);
        if (record->received_at > space->commit.newest) {
            space->commit.newest = record->received_at;
        }
    }
    if (status == RECO_OK && append->note_key) {
        status = write_note(append, txn, err);
    }
    space->commit.ticks = space->commit.ticks || !(append->flags & RECO_APPEND_NO_TICKS);
    return status;
}

static append_job *job_of(reco_stream_ticket *ticket) {
    void *room = ticket->room;
    return room;
}

static reco_status lmdb_append_with_note(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count,
                                         uint32_t flags, const char *key, const void *value, size_t value_size, const reco_call *call,
                                         reco_error *err) {
    (void)call;
    append_job *append = job_of(ticket);
    *append = (append_job){.space = store->space,
                           .records = records,
                           .count = count,
                           .flags = flags,
                           .note_key = key,
                           .note = value,
                           .note_size = value_size,
                           .tick_ms = store->tick_ms};
    append->job.run = run_append;
    append->job.context = append;
    append->job.records = count > UINT32_MAX ? UINT32_MAX : (uint32_t)count;
    append->bases = reco__alloc_array(store->space->partitions, sizeof *append->bases);
    if (!append->bases) {
        return reco__no_memory(err);
    }
    reco_status status = reco__kv_submit(store->kv, &append->job, err);
    if (status != RECO_OK) {
        reco__release(append->bases);
        append->bases = NULL;
    }
    return status;
}

static reco_status lmdb_append(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count, uint32_t flags,
                               const reco_call *call, reco_error *err) {
    return lmdb_append_with_note(ticket, store, records, count, flags, NULL, NULL, 0, call, err);
}

static reco_status lmdb_wait(int64_t *offsets, reco_stream_ticket *ticket, reco_stream_store *store, const reco_call *call, reco_error *err) {
    append_job *append = job_of(ticket);
    reco_status status = reco__kv_wait(store->kv, &append->job, call, err);
    if (status == RECO_TIMEOUT || status == RECO_CANCELLED) {
        return status;
    }
    for (size_t i = 0; status == RECO_OK && offsets && i < append->count; i++) {
        offsets[i] = append->bases[append->records[i].partition]++;
    }
    reco__release(append->bases);
    append->bases = NULL;
    return status;
}

/* --- reading
 * ---------------------------------------------------------------------------------------------------------------------------------------- */

static reco_status pass_records(const reco_stream_store *store, reco__kv_txn *txn, uint32_t partition, int64_t from, uint32_t max_records,
                                uint64_t max_bytes, reco_stream_sink sink, void *context, reco_error *err) {
    reco__kv_cursor *cursor;
    uint8_t bytes[8];
    reco__be64(bytes, (uint64_t)from);
    reco__kv_value key = {bytes, sizeof bytes}, value;
    reco_status status = reco__kv_cursor_open(&cursor, txn, store->space->tables[partition], err);
    if (status != RECO_OK) {
        return status;
    }
    uint64_t passed = 0;
    status = reco__kv_seek(cursor, RECO__KV_FROM, &key, &value, err);
    for (uint32_t count = 0; status == RECO_OK; count++) {
        if (count == max_records || (count > 0 && passed + value.size > max_bytes)) {
            break;
        }
        if (key.size != 8 || reco__from_be64(key.data) != (uint64_t)from + count) {
            status = reco__fail(err, RECO_CORRUPT, NULL, "stream '%s' lacks record %lld of partition %u", store->space->name,
                                (long long)(from + count), partition);
            break;
        }
        passed += value.size;
        if (sink(context, from + count, value.data, value.size) != 0) {
            break;
        }
        status = reco__kv_seek(cursor, RECO__KV_NEXT, &key, &value, err);
    }
    reco__kv_cursor_close(cursor);
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

static reco_status lmdb_read(reco_stream_store *store, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes,
                             reco_stream_sink sink, void *context, const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    struct part parts[RECO_PARTITIONS_MAX];
    reco_status status = reco__kv_read_begin(&txn, store->kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    status = load_parts(parts, store->space, txn, err);
    if (status == RECO_OK && from < parts[partition].begin) {
        status = reco__fail(err, RECO_NOT_FOUND, "from", "record %lld of partition %u has been trimmed; the oldest is %lld", (long long)from,
                            partition, (long long)parts[partition].begin);
    }
    if (status == RECO_OK && from < parts[partition].next) {
        status = pass_records(store, txn, partition, from, max_records, max_bytes, sink, context, err);
    }
    reco__kv_read_end(txn);
    return status;
}

static reco_status read_parts(struct part *parts, reco_stream_store *store, reco_error *err) {
    reco__kv_txn *txn;
    reco_status status = reco__kv_read_begin(&txn, store->kv, 0, err);
    if (status == RECO_OK) {
        status = load_parts(parts, store->space, txn, err);
        reco__kv_read_end(txn);
    }
    return status;
}

static reco_status lmdb_spans(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err) {
    (void)call;
    struct part parts[RECO_PARTITIONS_MAX];
    reco_status status = read_parts(parts, store, err);
    for (uint32_t p = 0; status == RECO_OK && p < store->space->partitions; p++) {
        spans[p] = (reco_stream_span){parts[p].begin, parts[p].next, parts[p].last, parts[p].max};
    }
    return status;
}

static bool any_beyond(const struct part *parts, const int64_t *ends, uint32_t partitions) {
    for (uint32_t p = 0; p < partitions; p++) {
        if (parts[p].next > ends[p]) {
            return true;
        }
    }
    return false;
}

static reco_status lmdb_wait_for(reco_stream_store *store, const int64_t *ends, int64_t timeout_ns, const reco_call *call, reco_error *err) {
    struct part parts[RECO_PARTITIONS_MAX];
    int64_t start = reco__monotonic_ns();
    for (;;) {
        uint32_t seen = reco__kv_signal_value(store->kv);
        reco_status status = read_parts(parts, store, err);
        if (status != RECO_OK || any_beyond(parts, ends, store->space->partitions) || reco__call_check(call, NULL) != RECO_OK) {
            return status;
        }
        int64_t left = timeout_ns - (reco__monotonic_ns() - start), allowed = reco__call_left_ns(call);
        left = allowed < left ? allowed : left;
        if (left <= 0) {
            return RECO_OK;
        }
        reco__kv_signal_wait(store->kv, seen, left);
    }
}

/* --- trimming
 * --------------------------------------------------------------------------------------------------------------------------------------- */

static reco_status drop_some(const struct space *space, uint32_t partition, int64_t count, reco__kv_txn *txn, reco_error *err) {
    reco__kv_cursor *cursor;
    reco_status status = reco__kv_cursor_open(&cursor, txn, space->tables[partition], err);
    if (status != RECO_OK) {
        return status;
    }
    status = reco__kv_seek(cursor, RECO__KV_FIRST, NULL, NULL, err);
    while (status == RECO_OK && count > 0) {
        status = reco__kv_cursor_delete(cursor, err);
        if (status == RECO_OK && --count > 0) {
            status = reco__kv_seek(cursor, RECO__KV_NEXT, NULL, NULL, err);
        }
    }
    reco__kv_cursor_close(cursor);
    if (status == RECO_NOT_FOUND) {
        return reco__fail(err, RECO_CORRUPT, NULL, "stream '%s' lacks records of partition %u", space->name, partition);
    }
    return status;
}

/* One transaction of at most TRIM_KEYS; *more tells whether there is more to drop. */
static reco_status trim_step(bool *more, reco_stream_store *store, uint32_t partition, int64_t before, reco_error *err) {
    reco__kv_txn *txn;
    struct part parts[RECO_PARTITIONS_MAX];
    *more = false;
    reco_status status = reco__kv_write_begin_freeing(&txn, store->kv, err);
    if (status != RECO_OK) {
        return status;
    }
    status = load_parts(parts, store->space, txn, err);
    struct part *part = &parts[partition];
    int64_t end = before < part->next ? before : part->next, count = end - part->begin;
    if (status != RECO_OK || count <= 0) {
        reco__kv_abort(txn);
        return status;
    }
    *more = count > TRIM_KEYS;
    count = *more ? TRIM_KEYS : count;
    part->begin += count;
    status = drop_some(store->space, partition, count, txn, err);
    if (status == RECO_OK) {
        status = store_parts(parts, store->space, txn, err);
    }
    if (status != RECO_OK) {
        reco__kv_abort(txn);
        return status;
    }
    return reco__kv_commit(txn, err);
}

static reco_status lmdb_trim(reco_stream_store *store, uint32_t partition, int64_t before, const reco_call *call, reco_error *err) {
    bool more = true;
    reco_status status = RECO_OK;
    while (more && status == RECO_OK) {
        status = reco__call_check(call, err);
        if (status == RECO_OK) {
            status = trim_step(&more, store, partition, before, err);
        }
    }
    return status;
}

/* --- notes and statistics
 * ---------------------------------------------------------------------------------------------------------------------------- */

static reco_status lmdb_note_get(reco_stream_store *store, const char *note_key, reco_stream_sink sink, void *context, const reco_call *call,
                                 reco_error *err) {
    (void)call;
    reco__kv_txn *txn;
    reco__kv_value value;
    char key[KEY_MAX];
    size_t size = make_key(key, 'n', store->space->name, note_key);
    reco_status status = reco__kv_read_begin(&txn, store->kv, 0, err);
    if (status != RECO_OK) {
        return status;
    }
    status = reco__kv_get(&value, txn, store->space->meta, key, size, err);
    if (status == RECO_OK) {
        sink(context, 0, value.data, value.size);
    }
    reco__kv_read_end(txn);
    return status;
}

static reco_status lmdb_stats(reco_stream_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                              const reco_call *call, reco_error *err) {
    (void)call;
    reco__kv_stats stats;
    struct part parts[RECO_PARTITIONS_MAX];
    reco_status status = reco__kv_stat(&stats, store->kv, err);
    if (status != RECO_OK || (status = read_parts(parts, store, err)) != RECO_OK) {
        return status;
    }
    sink(context, "file_bytes", stats.file_bytes);
    sink(context, "disk_bytes", stats.disk_bytes);
    sink(context, "used_bytes", stats.used_bytes);
    sink(context, "commits", stats.commits);
    for (uint32_t p = 0; p < store->space->partitions; p++) {
        char name[48];
        uint64_t entries, bytes;
        status = reco__kv_table_stat(&entries, &bytes, store->kv, store->space->tables[p], err);
        if (status != RECO_OK) {
            return status;
        }
        snprintf(name, sizeof name, "partition_%u_records", p);
        sink(context, name, (uint64_t)(parts[p].next - parts[p].begin));
        snprintf(name, sizeof name, "partition_%u_bytes", p);
        sink(context, name, bytes);
    }
    return RECO_OK;
}

/* --- opening
 * ------------------------------------------------------------------------------------------------------------------------------------------- */

static reco_status read_info(struct space *space, reco__kv_txn *txn, reco_error *err) {
    char key[KEY_MAX];
    reco__kv_value value;
    size_t size = make_key(key, 'p', space->name, NULL);
    reco_status status = reco__kv_get(&value, txn, space->meta, key, size, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__reader reader = reco__reader_of(value.data, value.size);
    uint32_t partitions = reco__read_u32(&reader), number = reco__read_u32(&reader);
    const uint8_t *id = reco__read_bytes(&reader, 16);
    if (reader.bad || partitions == 0 || partitions > RECO_PARTITIONS_MAX) {
        return reco__fail(err, RECO_CORRUPT, NULL, "the description of stream '%s' is damaged", space->name);
    }
    space->partitions = partitions;
    space->number = number;
    memcpy(space->id, id, sizeof space->id);
    return RECO_OK;
}

/* Numbers of spaces are dense: how many there are. */
static reco_status count_spaces(uint32_t *count, const struct space *space, reco__kv_txn *txn, reco_error *err) {
    reco__kv_cursor *cursor;
    reco__kv_value key = {"p/", 2};
    reco_status status = reco__kv_cursor_open(&cursor, txn, space->meta, err);
    if (status != RECO_OK) {
        return status;
    }
    *count = 0;
    status = reco__kv_seek(cursor, RECO__KV_FROM, &key, NULL, err);
    while (status == RECO_OK && key.size > 2 && memcmp(key.data, "p/", 2) == 0) {
        ++*count;
        status = reco__kv_seek(cursor, RECO__KV_NEXT, &key, NULL, err);
    }
    reco__kv_cursor_close(cursor);
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

static reco_status write_info(struct space *space, uint32_t partitions, reco__kv_txn *txn, reco_error *err) {
    static const struct part none[RECO_PARTITIONS_MAX];
    char key[KEY_MAX];
    uint8_t value[INFO_SIZE];
    size_t size = make_key(key, 'p', space->name, NULL);
    if (partitions == 0) {
        return reco__fail(err, RECO_INVALID, "partitions", "a new stream needs a number of partitions");
    }
    space->partitions = partitions;
    reco_status status = count_spaces(&space->number, space, txn, err);
    if (status == RECO_OK) {
        status = reco__random_bytes(space->id, sizeof space->id, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    put_u64(value, (uint64_t)space->number << 32 | partitions);
    memcpy(value + 8, space->id, 16);
    status = reco__kv_put(txn, space->meta, key, size, value, sizeof value, err);
    return status == RECO_OK ? store_parts(none, space, txn, err) : status;
}

static reco_status make_space(struct space *space, uint32_t partitions, reco_error *err) {
    reco__kv_txn *txn;
    reco_status status = reco__kv_write_begin(&txn, space->kv, err);
    if (status != RECO_OK) {
        return status;
    }
    status = read_info(space, txn, err); /* another process may have been faster */
    if (status != RECO_NOT_FOUND) {
        reco__kv_abort(txn);
        return status;
    }
    status = write_info(space, partitions, txn, err);
    if (status != RECO_OK) {
        reco__kv_abort(txn);
        return status;
    }
    return reco__kv_commit(txn, err);
}

static reco_status describe(struct space *space, uint32_t partitions, reco_error *err) {
    reco__kv_txn *txn;
    reco_status status = reco__kv_table_open(&space->meta, space->kv, "meta", err);
    if (status != RECO_OK || (status = reco__kv_read_begin(&txn, space->kv, 0, err)) != RECO_OK) {
        return status;
    }
    status = read_info(space, txn, err);
    reco__kv_read_end(txn);
    if (status == RECO_NOT_FOUND) {
        status = make_space(space, partitions, err);
    }
    if (status == RECO_OK && partitions != 0 && partitions != space->partitions) {
        status = reco__fail(err, RECO_REFUSED, "partitions", "stream '%s' has %u partitions for its life, not %u", space->name, space->partitions,
                            partitions);
    }
    for (uint32_t p = 0; status == RECO_OK && p < space->partitions; p++) {
        char name[KEY_MAX];
        snprintf(name, sizeof name, "r/%s/%u", space->name, p);
        status = reco__kv_table_open(&space->tables[p], space->kv, name, err);
    }
    return status;
}

/* --- looking ------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__stream_lmdb_look(reco__stream_look *out, reco__kv *kv, const char *name, reco_error *err) {
    reco__kv_txn *txn;
    struct space *space = reco__zalloc(sizeof *space);
    if (!space) {
        return reco__no_memory(err);
    }
    space->kv = kv;
    snprintf(space->name, sizeof space->name, "%s", name);
    reco_status status = reco__kv_table_open(&space->meta, kv, "meta", err);
    if (status == RECO_OK && (status = reco__kv_read_begin(&txn, kv, 0, err)) == RECO_OK) {
        status = read_info(space, txn, err);
        if (status == RECO_OK) {
            status = load_parts(out->parts, space, txn, err);
        }
        reco__kv_read_end(txn);
    }
    out->partitions = space->partitions;
    memcpy(out->id, space->id, sizeof out->id);
    reco__release(space);
    return status;
}

reco_status reco__stream_lmdb_spaces(reco__kv *kv, void (*sink)(void *context, const char *space), void *context, reco_error *err) {
    reco__kv_table meta;
    reco__kv_txn *txn;
    reco__kv_cursor *cursor;
    reco__kv_value key = {"p/", 2};
    reco_status status = reco__kv_table_open(&meta, kv, "meta", err);
    if (status == RECO_OK) {
        status = reco__kv_read_begin(&txn, kv, 0, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    status = reco__kv_cursor_open(&cursor, txn, meta, err);
    for (int how = RECO__KV_FROM; status == RECO_OK; how = RECO__KV_NEXT) {
        char name[65];
        status = reco__kv_seek(cursor, how, &key, NULL, err);
        if (status != RECO_OK || key.size <= 2 || memcmp(key.data, "p/", 2) != 0) {
            break;
        }
        if (key.size - 2 < sizeof name) {
            memcpy(name, (const char *)key.data + 2, key.size - 2);
            name[key.size - 2] = '\0';
            sink(context, name);
        }
    }
    reco__kv_read_end(txn);
    return status == RECO_NOT_FOUND ? RECO_OK : status;
}

/* Every opener fills a space of its own and then, in one go, the shared one, should it be the first. Both have read the same. */
static reco_status share_space(reco_stream_store *store, const struct space *mine, reco_error *err) {
    char name[KEY_MAX];
    void *block;
    make_key(name, 'p', mine->name, "stream");
    reco_status status = reco__kv_share(&block, store->kv, name, sizeof *mine, mine, err);
    if (status != RECO_OK) {
        return status;
    }
    store->space = block;
    return RECO_OK;
}

static reco_status open_space(reco_stream_store *store, const reco_stream_options *options, reco_error *err) {
    struct space *space = reco__zalloc(sizeof *space);
    if (!space) {
        return reco__no_memory(err);
    }
    space->kv = store->kv;
    snprintf(space->name, sizeof space->name, "%s", options->space);
    reco_status status = describe(space, options->partitions, err);
    if (status == RECO_OK) {
        status = share_space(store, space, err);
    }
    reco__release(space);
    return status;
}

reco__kv_options reco__stream_lmdb_kv(const char *directory, uint32_t flags, uint64_t map_size, uint64_t min_free) {
    return (reco__kv_options){.directory = directory,
                              .name = "stream",
                              .flags = flags,
                              .max_tables = TABLES,
                              .map_size = map_size,
                              .min_free = min_free,
                              .format = "reco-stream",
                              .format_version = 1};
}

static reco_status open_with(reco_stream_store **out, const reco_stream_options *options, uint32_t flags, reco_error *err) {
    reco__kv_options kv = reco__stream_lmdb_kv(strchr(options->url, ':') + 1, flags | (options->background ? RECO__KV_BACKGROUND : 0),
                                               options->map_size, options->min_free);
    reco_stream_store *store = reco__zalloc(sizeof *store);
    if (!store) {
        return reco__no_memory(err);
    }
    store->tick_ms = options->tick_ms ? options->tick_ms : 1000;
    reco_status status = reco__kv_open(&store->kv, &kv, NULL, err);
    if (status == RECO_OK && (status = open_space(store, options, err)) != RECO_OK) {
        reco__kv_close(store->kv);
    }
    if (status != RECO_OK) {
        reco__release(store);
        return status;
    }
    *out = store;
    return RECO_OK;
}

static reco_status lmdb_open(reco_stream_store **out, const reco_stream_options *options, const reco_call *call, reco_error *err) {
    (void)call;
    if (options->url[strcspn(options->url, ":") + 1] == '\0') {
        return reco__fail(err, RECO_INVALID, "url", "lmdb: is followed by a directory");
    }
    return open_with(out, options, 0, err);
}

static reco_status memory_open(reco_stream_store **out, const reco_stream_options *options, const reco_call *call, reco_error *err) {
    (void)call;
    return open_with(out, options, RECO__KV_MEMORY, err);
}

static void lmdb_close(reco_stream_store *store) {
    reco__kv_close(store->kv);
    reco__release(store);
}

static reco_status lmdb_info(reco_stream_info *out, reco_stream_store *store, const reco_call *call, reco_error *err) {
    (void)call;
    (void)err;
    out->partitions = store->space->partitions;
    memcpy(out->id, store->space->id, sizeof out->id);
    return RECO_OK;
}

#define BACKEND(name, open_function)                                                                                                                 \
    {                                                                                                                                                \
        .struct_size = sizeof(reco_stream_backend), .contract = RECO_STREAM_CONTRACT, .scheme = name, .open = open_function, .close = lmdb_close,    \
        .info = lmdb_info, .append = lmdb_append, .wait = lmdb_wait, .read = lmdb_read, .spans = lmdb_spans, .wait_for = lmdb_wait_for,              \
        .trim = lmdb_trim, .member_open = reco__stream_lmdb_member_open, .member_close = reco__stream_lmdb_member_close,                             \
        .member_assign = reco__stream_lmdb_member_assign, .member_owned = reco__stream_lmdb_member_owned, .stats = lmdb_stats,                       \
        .note_get = lmdb_note_get, .append_with_note = lmdb_append_with_note                                                                         \
    }

const reco_stream_backend reco__stream_lmdb = BACKEND("lmdb", lmdb_open);
const reco_stream_backend reco__stream_memory = BACKEND("memory", memory_open);
