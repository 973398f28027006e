/* stream/stream.c - the door: every call to a backend goes through here once. Arguments, deadlines, planted faults and counters are dealt with here,
 * so that no backend has to. */
#include "stream/stream.h"
#include "stream/registry.h"

#define RECORDS_MAX 1000000u
#define RECORD_SIZE_MAX (1u << 20)
#define NOTE_KEY_MAX 200u
#define NOTE_SIZE_MAX (64u << 10)
#define SPACE_MAX 64u

/* Functions that came after the first release of the contract may lie past the end of a table. */
#define HAS(backend, function) ((backend)->struct_size > offsetof(reco_stream_backend, function) && (backend)->function)

struct reco__stream {
    const reco_stream_backend *backend;
    reco_stream_store *store;
    reco_stream_info info;
    uint64_t seed; /* of users' hashes */
    struct {
        uint64_t appends, records, bytes, reads, records_read, bytes_read, failures; /* atomic */
    } count;
};

struct reco__stream_member {
    reco__stream *stream;
    reco_stream_member *member;
};

static void add(uint64_t *counter, uint64_t by) { __atomic_add_fetch(counter, by, __ATOMIC_RELAXED); }

static reco_status enter(const char *point, const reco_call *call, reco_error *err) {
    reco_status status = reco__call_check(call, err);
    return status == RECO_OK ? reco__fault(point, err) : status;
}

/* Counts failures. */
static reco_status leave(reco__stream *stream, reco_status status, reco_error *err) {
    if (status != RECO_OK && status != RECO_TIMEOUT && status != RECO_CANCELLED) {
        add(&stream->count.failures, 1);
    }
    return reco__backend_status("stream", status, err);
}

/* --- opening ---------------------------------------------------------------------------------------------------------------------------------- */

static bool space_valid(const char *space) {
    size_t size = space ? strlen(space) : 0;
    for (size_t i = 0; i < size; i++) {
        char c = space[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-')) {
            return false;
        }
    }
    return size >= 1 && size <= SPACE_MAX;
}

static reco_status check_options(reco_stream_options *out, const reco_stream_options *options, reco_error *err) {
    reco_status status = reco__struct_copy(out, sizeof *out, options, options ? options->struct_size : 0, "reco_stream_options", err);
    if (status != RECO_OK) {
        return status;
    }
    out->struct_size = sizeof *out;
    if (!out->url) {
        return reco__fail(err, RECO_INVALID, "url", "a stream is named by a URL such as lmdb:DIR or memory:");
    }
    if (!space_valid(out->space)) {
        return reco__fail(err, RECO_INVALID, "space", "a namespace has 1 to %u of A-Z a-z 0-9 _ . -", SPACE_MAX);
    }
    if (out->partitions > RECO_PARTITIONS_MAX) {
        return reco__fail(err, RECO_INVALID, "partitions", "at most %u partitions, not %u", RECO_PARTITIONS_MAX, out->partitions);
    }
    if (out->background > 1) {
        return reco__fail(err, RECO_INVALID, "background", "0 or 1");
    }
    if (out->tick_ms == 0) {
        out->tick_ms = 1000;
    }
    return RECO_OK;
}

static reco_status open_store(reco__stream *stream, const reco_stream_options *options, const reco_call *call, reco_error *err) {
    reco_status status = stream->backend->open(&stream->store, options, call, err);
    if (status != RECO_OK) {
        return status;
    }
    stream->info.struct_size = sizeof stream->info;
    status = stream->backend->info(&stream->info, stream->store, call, err);
    if (status == RECO_OK && (stream->info.partitions == 0 || stream->info.partitions > RECO_PARTITIONS_MAX)) {
        status = reco__fail(err, RECO_INTERNAL, "partitions", "stream backend '%s' says it has %u partitions", stream->backend->scheme,
                            stream->info.partitions);
    }
    if (status != RECO_OK) {
        stream->backend->close(stream->store);
    }
    return status;
}

reco_status reco__stream_open(reco__stream **out, const reco_stream_options *options, const reco_call *call, reco_error *err) {
    reco_stream_options checked;
    const reco_stream_backend *backend;
    *out = NULL;
    reco_status status = check_options(&checked, options, err);
    if (status == RECO_OK) {
        status = reco__stream_find_backend(&backend, checked.url, err);
    }
    if (status != RECO_OK || (status = enter("stream.open", call, err)) != RECO_OK) {
        return status;
    }
    reco__stream *stream = reco__zalloc(sizeof *stream);
    if (!stream) {
        return reco__no_memory(err);
    }
    stream->backend = backend;
    stream->seed = reco__hash64(checked.space, strlen(checked.space), 0);
    status = leave(stream, open_store(stream, &checked, call, err), err);
    if (status != RECO_OK) {
        reco__release(stream);
        return status;
    }
    *out = stream;
    return RECO_OK;
}

void reco__stream_close(reco__stream *stream) {
    if (stream) {
        stream->backend->close(stream->store);
        reco__release(stream);
    }
}

uint32_t reco__stream_partitions(const reco__stream *stream) { return stream->info.partitions; }

const uint8_t *reco__stream_id(const reco__stream *stream) { return stream->info.id; }

uint32_t reco__stream_partition(const reco__stream *stream, const char *user, size_t user_size) {
    return (uint32_t)(reco__hash64(user, user_size, stream->seed) % stream->info.partitions);
}

/* --- appending ---------------------------------------------------------------------------------------------------------------------------------- */

static reco_status check_records(const reco__stream *stream, const reco_stream_record *records, size_t count, uint32_t flags, reco_error *err) {
    if (count == 0 || count > RECORDS_MAX) {
        return reco__fail(err, count ? RECO_TOO_LARGE : RECO_INVALID, "records", "1 to %u records are appended at once, not %zu", RECORDS_MAX, count);
    }
    if (flags & ~(RECO_APPEND_NO_TICKS | RECO_APPEND_FORWARD | RECO_APPEND_NOTE_GROWS)) {
        return reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", flags);
    }
    for (size_t i = 0; i < count; i++) {
        const reco_stream_record *record = &records[i];
        if (record->partition >= stream->info.partitions) {
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "partition", "partition %u of %u", record->partition, stream->info.partitions);
        }
        if (!record->data || record->size == 0) {
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "data", "an empty record");
        }
        if (record->size > RECORD_SIZE_MAX) {
            return reco__fail_at(err, RECO_TOO_LARGE, (int32_t)i, "size", "a record of %u bytes, the limit is %u", record->size, RECORD_SIZE_MAX);
        }
        if (record->received_at <= 0) {
            return reco__fail_at(err, RECO_INVALID, (int32_t)i, "received_at", "a time after 1970 is needed");
        }
    }
    return RECO_OK;
}

static void count_appended(reco__stream *stream, const reco_stream_record *records, size_t count) {
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++) {
        bytes += records[i].size;
    }
    add(&stream->count.appends, 1);
    add(&stream->count.records, count);
    add(&stream->count.bytes, bytes);
}

static reco_status check_note(const char *key, const void *note, size_t note_size, reco_error *err) {
    size_t size = strlen(key);
    if (size == 0 || size > NOTE_KEY_MAX) {
        return reco__fail(err, RECO_INVALID, "note_key", "the key of a note has 1 to %u bytes, not %zu", NOTE_KEY_MAX, size);
    }
    if (note_size > NOTE_SIZE_MAX || (!note && note_size)) {
        return reco__fail(err, RECO_TOO_LARGE, "note", "a note has at most %u bytes, not %zu", NOTE_SIZE_MAX, note_size);
    }
    return RECO_OK;
}

static reco_status submit(reco_stream_ticket *ticket, reco__stream *stream, const reco_stream_record *records, size_t count, uint32_t flags,
                          const char *note_key, const void *note, size_t note_size, const reco_call *call, reco_error *err) {
    reco_status status = check_records(stream, records, count, flags, err);
    if (status == RECO_OK && note_key) {
        status = check_note(note_key, note, note_size, err);
    }
    if (status == RECO_OK && (flags & RECO_APPEND_NOTE_GROWS) && (!note_key || note_size < 8)) {
        status = reco__fail(err, RECO_INVALID, "note", "a note that grows begins with 8 bytes of a number");
    }
    if (status == RECO_OK) {
        status = enter("stream.append", call, err);
    }
    if (status != RECO_OK) {
        return status;
    }
    memset(ticket, 0, sizeof *ticket);
    if (note_key) {
        status = stream->backend->append_with_note(ticket, stream->store, records, count, flags, note_key, note, note_size, call, err);
    } else {
        status = stream->backend->append(ticket, stream->store, records, count, flags, call, err);
    }
    if (status == RECO_OK) {
        count_appended(stream, records, count);
    }
    return leave(stream, status, err);
}

reco_status reco__stream_submit(reco_stream_ticket *ticket, reco__stream *stream, const reco_stream_record *records, size_t count, uint32_t flags,
                                const reco_call *call, reco_error *err) {
    return submit(ticket, stream, records, count, flags, NULL, NULL, 0, call, err);
}

/* The planted fault comes after the backend's answer: the ticket must not be given up while the backend has it. It is an answer that got lost. */
reco_status reco__stream_wait(int64_t *offsets, size_t count, reco_stream_ticket *ticket, reco__stream *stream, const reco_call *call,
                              reco_error *err) {
    (void)count; /* room of offsets, as submitted */
    reco_status status = stream->backend->wait(offsets, ticket, stream->store, call, err);
    if (status == RECO_OK) {
        status = reco__fault("stream.wait", err);
    }
    return leave(stream, status, err);
}

/* Ticket and records are on the caller's stack: once submitted, the outcome is waited for, past any deadline. */
reco_status reco__stream_append(int64_t *offsets, reco__stream *stream, const reco_stream_record *records, size_t count, uint32_t flags,
                                const char *note_key, const void *note, size_t note_size, const reco_call *call, reco_error *err) {
    reco_stream_ticket ticket;
    reco_status status = submit(&ticket, stream, records, count, flags, note_key, note, note_size, call, err);
    if (status != RECO_OK) {
        return status;
    }
    status = stream->backend->wait(offsets, &ticket, stream->store, call, err);
    while (status == RECO_TIMEOUT || status == RECO_CANCELLED) {
        status = stream->backend->wait(offsets, &ticket, stream->store, NULL, err);
    }
    if (status == RECO_OK) {
        status = reco__fault("stream.wait", err);
    }
    return leave(stream, status, err);
}

/* --- reading --------------------------------------------------------------------------------------------------------------------------------------
 */

static reco_status check_partition(const reco__stream *stream, uint32_t partition, reco_error *err) {
    if (partition < stream->info.partitions) {
        return RECO_OK;
    }
    return reco__fail(err, RECO_INVALID, "partition", "partition %u of %u", partition, stream->info.partitions);
}

struct counted {
    reco_stream_sink sink;
    void *context;
    uint64_t records, bytes;
};

static int count_and_pass(void *context, int64_t offset, const void *data, size_t size) {
    struct counted *counted = context;
    counted->records++;
    counted->bytes += size;
    return counted->sink(counted->context, offset, data, size);
}

reco_status reco__stream_read(reco__stream *stream, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes, reco_stream_sink sink,
                              void *context, const reco_call *call, reco_error *err) {
    reco_status status = check_partition(stream, partition, err);
    if (status == RECO_OK && from < 0) {
        status = reco__fail(err, RECO_INVALID, "from", "an offset is not negative");
    }
    if (status != RECO_OK || (status = enter("stream.read", call, err)) != RECO_OK) {
        return status;
    }
    struct counted counted = {sink, context, 0, 0};
    status = stream->backend->read(stream->store, partition, from, max_records ? max_records : 1, max_bytes, count_and_pass, &counted, call, err);
    add(&stream->count.reads, 1);
    add(&stream->count.records_read, counted.records);
    add(&stream->count.bytes_read, counted.bytes);
    return leave(stream, status, err);
}

reco_status reco__stream_spans(reco_stream_span *spans, reco__stream *stream, const reco_call *call, reco_error *err) {
    reco_status status = enter("stream.spans", call, err);
    return status == RECO_OK ? leave(stream, stream->backend->spans(spans, stream->store, call, err), err) : status;
}

reco_status reco__stream_bounds(reco_stream_span *spans, reco__stream *stream, const reco_call *call, reco_error *err) {
    if (!HAS(stream->backend, bounds)) {
        return reco__stream_spans(spans, stream, call, err);
    }
    reco_status status = enter("stream.bounds", call, err);
    return status == RECO_OK ? leave(stream, stream->backend->bounds(spans, stream->store, call, err), err) : status;
}

bool reco__stream_ready(int64_t *ends, reco__stream *stream) {
    bool tells = HAS(stream->backend, ready);
    if (tells) {
        stream->backend->ready(ends, stream->store);
    }
    return tells;
}

reco_status reco__stream_wait_for(reco__stream *stream, const int64_t *ends, int64_t timeout_ns, const reco_call *call, reco_error *err) {
    reco_status status = enter("stream.wait_for", call, err);
    return status == RECO_OK ? leave(stream, stream->backend->wait_for(stream->store, ends, timeout_ns, call, err), err) : status;
}

reco_status reco__stream_trim(reco__stream *stream, uint32_t partition, int64_t before, const reco_call *call, reco_error *err) {
    reco_status status = check_partition(stream, partition, err);
    if (status == RECO_OK && before < 0) {
        status = reco__fail(err, RECO_INVALID, "before", "an offset is not negative");
    }
    if (status != RECO_OK || (status = enter("stream.trim", call, err)) != RECO_OK) {
        return status;
    }
    return leave(stream, stream->backend->trim(stream->store, partition, before, call, err), err);
}

bool reco__stream_takes_letters(const reco__stream *stream) {
    return HAS(stream->backend, dead_letters);
}

reco_status reco__stream_dead_letters(reco__stream *stream, uint32_t partition, const reco_stream_letter *letters, size_t count,
                                      const reco_call *call, reco_error *err) {
    reco_status status = check_partition(stream, partition, err);
    if (status == RECO_OK && !reco__stream_takes_letters(stream)) {
        status = reco__fail(err, RECO_UNSUPPORTED, NULL, "stream '%s' has no place for dead letters", stream->backend->scheme);
    }
    if (status != RECO_OK || count == 0 || (status = enter("stream.dead_letters", call, err)) != RECO_OK) {
        return status;
    }
    return leave(stream, stream->backend->dead_letters(stream->store, partition, letters, count, call, err), err);
}

static int into_buf(void *context, int64_t offset, const void *data, size_t size) {
    (void)offset;
    reco__buf_add(context, data, size);
    return 0;
}

reco_status reco__stream_note(reco__stream *stream, const char *key, reco__buf *out, const reco_call *call, reco_error *err) {
    reco_status status = check_note(key, "", 0, err);
    if (status != RECO_OK || (status = enter("stream.note", call, err)) != RECO_OK) {
        return status;
    }
    status = stream->backend->note_get(stream->store, key, into_buf, out, call, err);
    if (status == RECO_NOT_FOUND) {
        return status;
    }
    return leave(stream, status == RECO_OK ? reco__buf_status(out, err) : status, err);
}

/* --- members
 * ---------------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__stream_member_open(reco__stream_member **out, reco__stream *stream, const reco_call *call, reco_error *err) {
    *out = NULL;
    reco_status status = enter("stream.member_open", call, err);
    if (status != RECO_OK) {
        return status;
    }
    reco__stream_member *member = reco__zalloc(sizeof *member);
    if (!member) {
        return reco__no_memory(err);
    }
    member->stream = stream;
    status = leave(stream, stream->backend->member_open(&member->member, stream->store, call, err), err);
    if (status != RECO_OK) {
        reco__release(member);
        return status;
    }
    *out = member;
    return RECO_OK;
}

void reco__stream_member_close(reco__stream_member *member) {
    if (member) {
        member->stream->backend->member_close(member->member);
        reco__release(member);
    }
}

reco_status reco__stream_member_assign(uint32_t *partitions, uint32_t *count, reco__stream_member *member, const reco_call *call, reco_error *err) {
    reco_status status = enter("stream.member_assign", call, err);
    if (status != RECO_OK) {
        return status;
    }
    return leave(member->stream, member->stream->backend->member_assign(partitions, count, member->member, call, err), err);
}

reco_status reco__stream_member_owned(uint8_t *owned, reco__stream_member *member, const reco_call *call, reco_error *err) {
    reco_status status = enter("stream.member_owned", call, err);
    if (status != RECO_OK) {
        return status;
    }
    return leave(member->stream, member->stream->backend->member_owned(owned, member->member, call, err), err);
}

/* --- accounting
 * --------------------------------------------------------------------------------------------------------------------------------------- */

reco_status reco__stream_stats(reco__stream *stream, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                               const reco_call *call, reco_error *err) {
    reco_status status = enter("stream.stats", call, err);
    if (status != RECO_OK) {
        return status;
    }
    const struct {
        const char *name;
        const uint64_t *value;
    } counters[] = {{"appends", &stream->count.appends},  {"appended_records", &stream->count.records},  {"appended_bytes", &stream->count.bytes},
                    {"reads", &stream->count.reads},      {"read_records", &stream->count.records_read}, {"read_bytes", &stream->count.bytes_read},
                    {"failures", &stream->count.failures}};
    for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
        sink(context, counters[i].name, __atomic_load_n(counters[i].value, __ATOMIC_RELAXED));
    }
    return leave(stream, stream->backend->stats(stream->store, sink, context, call, err), err);
}
