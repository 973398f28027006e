/* stream_mutants.c - backends with one mistake each, on top of a sound one: the suite must catch every one, by the check named. */
#include "contract/stream_suite.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum mistake {
    HALF_APPEND,
    ORDER_SWAPPED,
    WRONG_PARTITION,
    OFFSETS_REUSED,
    TICK_MISSING,
    TICK_BY_WALL_CLOCK,
    TICK_OF_LAST_RECORD,
    TICK_TOO_EARLY,
    TICK_BY_NEWEST,
    TICK_THOUGH_TOLD_NOT,
    FORWARD_SKIPPED,
    FORWARD_BY_PARTITION,
    TRIM_ONE_TOO_MANY,
    TRIMMED_IS_SILENT,
    READ_STARVES,
    READ_OVER_LIMIT,
    SPAN_BEHIND,
    NOTE_FORGOTTEN,
    NOTE_SHRINKS,
    NOTE_STANDS,
    SPACES_MIXED,
    NOT_KEPT,
    WAIT_SLEEPS,
    TWO_OWNERS,
    GREEDY_MEMBER,
    TWICE_APPENDED,
};

const stream_mutant stream_mutants[] = {
    [HALF_APPEND] = {"half an append is applied", "what is appended is read back in order"},
    [ORDER_SWAPPED] = {"two records of an append change places", "what is appended is read back in order"},
    [WRONG_PARTITION] = {"partition by record, not as told", "what is appended is read back in order"},
    [OFFSETS_REUSED] = {"offsets begin again after trimming", "offsets are never given twice"},
    [TICK_MISSING] = {"no ticks", "quiet partitions get ticks"},
    [TICK_BY_WALL_CLOCK] = {"ticks by the wall clock", "quiet partitions get ticks"},
    [TICK_OF_LAST_RECORD] = {"ticks carry the time of the last record", "a tick carries the largest time of its commit"},
    [TICK_TOO_EARLY] = {"ticks one millisecond early", "a tick comes when it is due, not before"},
    [TICK_BY_NEWEST] = {"ticks by the newest record of a partition", "a tick is due by the last record"},
    [TICK_THOUGH_TOLD_NOT] = {"ticks though told not to", "no ticks when told so"},
    [FORWARD_SKIPPED] = {"forward is not checked", "forward is checked against all partitions"},
    [FORWARD_BY_PARTITION] = {"forward is checked by partition", "forward is checked against all partitions"},
    [TRIM_ONE_TOO_MANY] = {"trimming drops one too many", "trimming drops what it is told"},
    [TRIMMED_IS_SILENT] = {"reading what is trimmed begins later", "trimming drops what it is told"},
    [READ_STARVES] = {"a record larger than the limit is never read", "a read keeps its limits"},
    [READ_OVER_LIMIT] = {"one record more than the limit", "a read keeps its limits"},
    [SPAN_BEHIND] = {"spans end one early", "what is appended is read back in order"},
    [NOTE_FORGOTTEN] = {"the note is forgotten", "a note is set with its append"},
    [NOTE_SHRINKS] = {"a note need not grow", "a note that must grow does"},
    [NOTE_STANDS] = {"a note may stay as it is", "a note that must grow does"},
    [SPACES_MIXED] = {"one namespace for all", "namespaces are separate"},
    [NOT_KEPT] = {"nothing is kept", "what is appended is there after opening again"},
    [WAIT_SLEEPS] = {"waiting sleeps its time out", "waiting ends with an append"},
    [TWO_OWNERS] = {"every member owns all", "members share the partitions"},
    [GREEDY_MEMBER] = {"a member never gives up", "members share the partitions"},
    [TWICE_APPENDED] = {"an append is applied twice", "threads append whole batches"},
};
const size_t stream_mutant_count = sizeof stream_mutants / sizeof stream_mutants[0];

enum { TICK_AGE = 1000, RECORDS = 64, GREEDY = 8 };

/* The mistake made now. One at a time, so one of each. */
static struct {
    reco_stream_backend backend;
    const reco_stream_backend *sound;
    size_t mistake;
    uint32_t partitions;
    int64_t shift[RECO_PARTITIONS_MAX]; /* OFFSETS_REUSED: what is taken off */
    struct {
        const reco_stream_member *member;
        uint32_t owned[RECO_PARTITIONS_MAX], count;
    } greedy[GREEDY];
} now;

static bool is(enum mistake mistake) { return now.mistake == (size_t)mistake; }

/* --- opening ------------------------------------------------------------------------------------------------------------------------------------ */

static reco_status m_open(reco_stream_store **out, const reco_stream_options *options, const reco_call *call, reco_error *err) {
    reco_stream_options changed = *options;
    reco_stream_info info = {.struct_size = sizeof info};
    if (is(SPACES_MIXED)) {
        changed.space = "everybody";
        changed.partitions = options->partitions ? 2 : 0;
    }
    static char space[64];
    if (is(NOT_KEPT)) {
        static unsigned opens;
        memcpy(space, "lost-", 5);
        space[5] = (char)('a' + opens / 26 % 26);
        space[6] = (char)('a' + opens++ % 26);
        changed.space = space;
        changed.partitions = options->partitions ? options->partitions : 2;
    }
    reco_status status = now.sound->open(out, &changed, call, err);
    if (status == RECO_OK && (status = now.sound->info(&info, *out, call, err)) == RECO_OK) {
        now.partitions = info.partitions;
    }
    return status;
}

static void m_close(reco_stream_store *store) { now.sound->close(store); }

static reco_status m_info(reco_stream_info *out, reco_stream_store *store, const reco_call *call, reco_error *err) {
    return now.sound->info(out, store, call, err);
}

/* --- appending ------------------------------------------------------------------------------------------------------------------------------------
 */

static bool own_ticks(void) { return is(TICK_BY_WALL_CLOCK) || is(TICK_OF_LAST_RECORD) || is(TICK_TOO_EARLY) || is(TICK_BY_NEWEST); }

/* What the mutants with ticks of their own put behind an append: the right rule but for the mistake. */
static void add_ticks(reco_stream_store *store, const reco_stream_record *records, size_t count) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_stream_record ticks[RECO_PARTITIONS_MAX];
    unsigned char bytes[RECO_STREAM_TICK_MAX];
    reco_stream_ticket ticket = {{0}};
    int64_t newest = 0;
    size_t ticking = 0;
    for (size_t i = 0; i < count; i++) {
        newest = records[i].received_at > newest ? records[i].received_at : newest;
    }
    int64_t carried = is(TICK_OF_LAST_RECORD) ? records[count - 1].received_at : is(TICK_BY_WALL_CLOCK) ? (int64_t)time(NULL) * 1000 : newest;
    size_t size = reco_stream_tick_write(bytes, carried);
    now.sound->spans(spans, store, NULL, NULL);
    for (uint32_t p = 0; p < now.partitions; p++) {
        int64_t last = is(TICK_BY_NEWEST) ? spans[p].max_received_at : spans[p].last_received_at;
        if (newest - last > TICK_AGE - (is(TICK_TOO_EARLY) ? 1 : 0)) {
            ticks[ticking++] = (reco_stream_record){p, (uint32_t)size, bytes, carried};
        }
    }
    if (ticking && now.sound->append(&ticket, store, ticks, ticking, RECO_APPEND_NO_TICKS, NULL, NULL) == RECO_OK) {
        now.sound->wait(NULL, &ticket, store, NULL, NULL);
    }
}

static bool behind_partition(reco_stream_store *store, const reco_stream_record *record) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    return now.sound->spans(spans, store, NULL, NULL) == RECO_OK && record->received_at < spans[record->partition].max_received_at;
}

/* Mistakes in what is appended; answers how many records there are now. */
static size_t change_records(reco_stream_record *out, const reco_stream_record *records, size_t count) {
    memcpy(out, records, count * sizeof *out);
    if (is(HALF_APPEND) && count > 1) {
        return count / 2;
    }
    if (is(TWICE_APPENDED) && count * 2 <= RECORDS) {
        memcpy(out + count, records, count * sizeof *out);
        return count * 2;
    }
    for (size_t i = 0; i + 1 < count && is(ORDER_SWAPPED); i++) {
        for (size_t k = i + 1; k < count; k++) {
            if (out[k].partition == out[i].partition) {
                reco_stream_record first = out[i];
                out[i] = out[k];
                out[k] = first;
                return count;
            }
        }
    }
    for (size_t i = 0; i < count && is(WRONG_PARTITION); i++) {
        out[i].partition = (uint32_t)(out[i].size % now.partitions);
    }
    return count;
}

static int first_bytes(void *context, int64_t offset, const void *data, size_t size) {
    (void)offset;
    memcpy(context, data, size < 8 ? size : 8);
    return 0;
}

static bool same_number(reco_stream_store *store, const char *key, const void *value) {
    char stored[8];
    return now.sound->note_get(store, key, first_bytes, stored, NULL, NULL) == RECO_OK && memcmp(stored, value, 8) == 0;
}

/* A mutant appends and waits at once, and keeps the answer in the ticket. */
typedef struct kept {
    int64_t *offsets;
    size_t count;
} kept;

static reco_status m_append_with_note(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count,
                                      uint32_t flags, const char *key, const void *value, size_t value_size, const reco_call *call, reco_error *err) {
    reco_stream_record changed[RECORDS];
    reco_stream_ticket inner = {{0}};
    kept k = {calloc(RECORDS, sizeof(int64_t)), count};
    if (!k.offsets || count > RECORDS) {
        free(k.offsets);
        return RECO_NO_MEMORY;
    }
    if (is(TICK_MISSING) || own_ticks()) {
        flags |= RECO_APPEND_NO_TICKS;
    } else if (is(TICK_THOUGH_TOLD_NOT)) {
        flags &= ~RECO_APPEND_NO_TICKS;
    }
    reco_status status = RECO_OK;
    if ((is(FORWARD_SKIPPED) || is(FORWARD_BY_PARTITION)) && (flags & RECO_APPEND_FORWARD)) {
        status = is(FORWARD_BY_PARTITION) && behind_partition(store, &records[0]) ? RECO_CONFLICT : RECO_OK;
        flags &= ~RECO_APPEND_FORWARD;
    }
    if (is(NOTE_SHRINKS)) {
        flags &= ~RECO_APPEND_NOTE_GROWS;
    } else if (is(NOTE_STANDS) && (flags & RECO_APPEND_NOTE_GROWS) && same_number(store, key, value)) {
        flags &= ~RECO_APPEND_NOTE_GROWS;
    }
    size_t changed_count = change_records(changed, records, count);
    if (status == RECO_OK && key && !is(NOTE_FORGOTTEN)) {
        status = now.sound->append_with_note(&inner, store, changed, changed_count, flags, key, value, value_size, call, err);
    } else if (status == RECO_OK) {
        status = now.sound->append(&inner, store, changed, changed_count, flags, call, err);
    }
    if (status == RECO_OK) {
        status = now.sound->wait(k.offsets, &inner, store, NULL, err);
    }
    if (status == RECO_OK && own_ticks()) {
        add_ticks(store, changed, changed_count);
    }
    for (size_t i = 0; i < count && is(OFFSETS_REUSED); i++) {
        k.offsets[i] -= now.shift[records[i].partition];
    }
    ticket->room[0] = (uint64_t)status;
    memcpy(&ticket->room[1], &k, sizeof k);
    return RECO_OK;
}

static reco_status m_append(reco_stream_ticket *ticket, reco_stream_store *store, const reco_stream_record *records, size_t count, uint32_t flags,
                            const reco_call *call, reco_error *err) {
    return m_append_with_note(ticket, store, records, count, flags, NULL, NULL, 0, call, err);
}

static reco_status m_wait(int64_t *offsets, reco_stream_ticket *ticket, reco_stream_store *store, const reco_call *call, reco_error *err) {
    kept k;
    (void)store;
    (void)call;
    (void)err;
    memcpy(&k, &ticket->room[1], sizeof k);
    if (offsets) {
        memcpy(offsets, k.offsets, k.count * sizeof *offsets);
    }
    free(k.offsets);
    return (reco_status)ticket->room[0];
}

/* --- reading
 * ---------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct changed_sink {
    reco_stream_sink sink;
    void *context;
    uint64_t max_bytes;
    int64_t shift;
} changed_sink;

static int change_sink(void *context, int64_t offset, const void *data, size_t size) {
    changed_sink *c = context;
    if (is(READ_STARVES) && size > c->max_bytes) {
        return 1;
    }
    return c->sink(c->context, offset - c->shift, data, size);
}

static reco_status m_read(reco_stream_store *store, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes, reco_stream_sink sink,
                          void *context, const reco_call *call, reco_error *err) {
    changed_sink c = {sink, context, max_bytes, 0};
    if (is(TRIMMED_IS_SILENT)) {
        reco_stream_span spans[RECO_PARTITIONS_MAX];
        if (now.sound->spans(spans, store, call, err) == RECO_OK && from < spans[partition].begin) {
            from = spans[partition].begin;
        }
    }
    if (is(READ_OVER_LIMIT) && max_records < UINT32_MAX) {
        max_records++;
    }
    if (is(OFFSETS_REUSED)) {
        c.shift = now.shift[partition];
        from += c.shift;
    }
    return now.sound->read(store, partition, from, max_records, max_bytes, change_sink, &c, call, err);
}

static reco_status m_spans(reco_stream_span *spans, reco_stream_store *store, const reco_call *call, reco_error *err) {
    reco_status status = now.sound->spans(spans, store, call, err);
    for (uint32_t p = 0; p < now.partitions; p++) {
        spans[p].end -= is(SPAN_BEHIND) && spans[p].end > 0;
        spans[p].begin -= is(OFFSETS_REUSED) ? now.shift[p] : 0;
        spans[p].end -= is(OFFSETS_REUSED) ? now.shift[p] : 0;
    }
    return status;
}

static reco_status m_wait_for(reco_stream_store *store, const int64_t *ends, int64_t timeout_ns, const reco_call *call, reco_error *err) {
    if (is(WAIT_SLEEPS) && timeout_ns > 1000000000 && !call) {
        struct timespec six = {6, 0};
        nanosleep(&six, NULL);
        return RECO_OK;
    }
    return now.sound->wait_for(store, ends, timeout_ns, call, err);
}

static reco_status m_trim(reco_stream_store *store, uint32_t partition, int64_t before, const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    if (is(OFFSETS_REUSED)) {
        before += now.shift[partition];
    }
    reco_status status = now.sound->trim(store, partition, before + (is(TRIM_ONE_TOO_MANY) && before > 0), call, err);
    if (is(OFFSETS_REUSED) && now.sound->spans(spans, store, call, err) == RECO_OK && spans[partition].begin == spans[partition].end) {
        now.shift[partition] = spans[partition].end;
    }
    return status;
}

static reco_status m_note_get(reco_stream_store *store, const char *key, reco_stream_sink sink, void *context, const reco_call *call,
                              reco_error *err) {
    return now.sound->note_get(store, key, sink, context, call, err);
}

static reco_status m_stats(reco_stream_store *store, void (*sink)(void *context, const char *name, uint64_t value), void *context,
                           const reco_call *call, reco_error *err) {
    return now.sound->stats(store, sink, context, call, err);
}

/* --- members
 * ------------------------------------------------------------------------------------------------------------------------------------------ */

static reco_status m_member_open(reco_stream_member **out, reco_stream_store *store, const reco_call *call, reco_error *err) {
    return now.sound->member_open(out, store, call, err);
}

static void m_member_close(reco_stream_member *member) {
    for (int i = 0; i < GREEDY; i++) {
        if (now.greedy[i].member == member) {
            now.greedy[i].member = NULL;
        }
    }
    now.sound->member_close(member);
}

static reco_status m_member_assign(uint32_t *partitions, uint32_t *count, reco_stream_member *member, const reco_call *call, reco_error *err) {
    for (int i = 0; i < GREEDY && is(GREEDY_MEMBER); i++) {
        if (now.greedy[i].member == member && now.greedy[i].count > 0) {
            *count = now.greedy[i].count;
            memcpy(partitions, now.greedy[i].owned, *count * sizeof *partitions);
            return RECO_OK;
        }
    }
    reco_status status = now.sound->member_assign(partitions, count, member, call, err);
    for (uint32_t p = 0; p < now.partitions && is(TWO_OWNERS); p++) {
        partitions[p] = p;
        *count = now.partitions;
    }
    for (int i = 0; i < GREEDY && is(GREEDY_MEMBER); i++) {
        if (!now.greedy[i].member) {
            now.greedy[i].member = member;
            now.greedy[i].count = *count;
            memcpy(now.greedy[i].owned, partitions, *count * sizeof *partitions);
            break;
        }
    }
    return status;
}

static reco_status m_member_owned(uint8_t *owned, reco_stream_member *member, const reco_call *call, reco_error *err) {
    return now.sound->member_owned(owned, member, call, err);
}

const reco_stream_backend *stream_mutant_of(const reco_stream_backend *sound, size_t mutant) {
    memset(&now, 0, sizeof now);
    now.sound = sound;
    now.mistake = mutant;
    now.backend = (reco_stream_backend){.struct_size = sizeof now.backend,
                                        .contract = RECO_STREAM_CONTRACT,
                                        .scheme = "mutant",
                                        .open = m_open,
                                        .close = m_close,
                                        .info = m_info,
                                        .append = m_append,
                                        .wait = m_wait,
                                        .read = m_read,
                                        .spans = m_spans,
                                        .wait_for = m_wait_for,
                                        .trim = m_trim,
                                        .member_open = m_member_open,
                                        .member_close = m_member_close,
                                        .member_assign = m_member_assign,
                                        .member_owned = m_member_owned,
                                        .stats = m_stats,
                                        .note_get = m_note_get,
                                        .append_with_note = m_append_with_note};
    return &now.backend;
}
