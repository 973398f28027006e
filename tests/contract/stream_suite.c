/* stream_suite.c - the rules of the stream's contract, one check each. */
#include "contract/stream_suite_inner.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* --- tools ------------------------------------------------------------------------------------------------------------------------------------- */

bool suite_fail(suite *s, int line, const char *format, ...) {
    va_list list;
    int at = snprintf(s->room, s->size, "line %d: ", line);
    va_start(list, format);
    vsnprintf(s->room + at, s->size - (size_t)at, format, list);
    va_end(list);
    return false;
}

int64_t suite_now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* splitmix64 (Steele, Lea, Flood 2014) */
uint64_t suite_random(uint64_t *state, uint64_t bound) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return (z ^ (z >> 31)) % bound;
}

reco_status suite_open(reco_stream_store **out, suite *s, const char *space, uint32_t partitions) {
    reco_stream_options options = {.struct_size = sizeof options,
                                   .partitions = partitions,
                                   .url = s->subject->url,
                                   .space = space,
                                   .map_size = s->subject->map_size,
                                   .tick_ms = TICK_MS};
    reco_status status = s->b->open(out, &options, NULL, &s->err);
    for (int i = 0; status == RECO_OK && i < STORES; i++) {
        if (!s->stores[i]) {
            s->stores[i] = *out;
            break;
        }
    }
    return status;
}

void suite_close(suite *s, reco_stream_store *store) {
    for (int i = 0; i < STORES; i++) {
        if (s->stores[i] == store) {
            s->stores[i] = NULL;
            break;
        }
    }
    s->b->close(store);
}

bool suite_begin(reco_stream_store **out, suite *s, uint32_t partitions) {
    NEED_OK(s, suite_open(out, s, s->space, partitions));
    stream_model_init(&s->model, partitions, TICK_MS);
    return true;
}

reco_status suite_join(reco_stream_member **out, suite *s, reco_stream_store *store) {
    reco_status status = s->b->member_open(out, store, NULL, &s->err);
    for (int i = 0; status == RECO_OK && i < MEMBERS; i++) {
        if (!s->members[i]) {
            s->members[i] = *out;
            break;
        }
    }
    return status;
}

void suite_leave(suite *s, reco_stream_member *member) {
    for (int i = 0; i < MEMBERS; i++) {
        if (s->members[i] == member) {
            s->members[i] = NULL;
        }
    }
    s->b->member_close(member);
}

static void suite_end(suite *s) {
    for (int i = 0; i < MEMBERS; i++) {
        if (s->members[i]) {
            s->b->member_close(s->members[i]);
        }
    }
    for (int i = 0; i < STORES; i++) {
        if (s->stores[i]) {
            s->b->close(s->stores[i]);
        }
    }
    stream_model_dispose(&s->model);
}

void suite_make(suite *s, reco_stream_record *records, uint64_t *serials, char bytes[][WANT_SIZE], const want *wants, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t size = wants[i].size ? wants[i].size : 20;
        serials[i] = ++s->serial;
        record_fill(bytes[i], serials[i], size);
        records[i] = (reco_stream_record){wants[i].partition, size, bytes[i], wants[i].received_at};
    }
}

bool suite_append(suite *s, reco_stream_store *store, const want *wants, size_t count, uint32_t flags, const char *note_key, const char *note,
                  reco_status expected) {
    static char bytes[WANTS][WANT_SIZE];
    reco_stream_record records[WANTS];
    uint64_t serials[WANTS];
    int64_t offsets[WANTS], newest = 0;
    reco_stream_ticket ticket = {{0}};
    suite_make(s, records, serials, bytes, wants, count);
    if (note_key) {
        NEED_OK(s, s->b->append_with_note(&ticket, store, records, count, flags, note_key, note, strlen(note), NULL, &s->err));
    } else {
        NEED_OK(s, s->b->append(&ticket, store, records, count, flags, NULL, &s->err));
    }
    reco_status status = s->b->wait(offsets, &ticket, store, NULL, &s->err);
    if (status != expected) {
        return suite_fail(s, __LINE__, "append: %s wanted, %s answered", reco_status_name((int32_t)expected), reco_status_name((int32_t)status));
    }
    for (size_t i = 0; status == RECO_OK && i < count; i++) {
        if (offsets[i] != s->model.parts[wants[i].partition].end) {
            return suite_fail(s, __LINE__, "record %zu: offset %lld, not %lld", i, (long long)offsets[i],
                              (long long)s->model.parts[wants[i].partition].end);
        }
        stream_model_add(&s->model, wants[i].partition, (model_record){serials[i], wants[i].received_at, records[i].size});
        newest = wants[i].received_at > newest ? wants[i].received_at : newest;
    }
    if (status == RECO_OK && !(flags & RECO_APPEND_NO_TICKS)) {
        stream_model_ticks(&s->model, newest);
    }
    return true;
}

/* --- comparing ------------------------------------------------------------------------------------------------------------------------------------
 */

typedef struct reading {
    const model_part *part;
    int64_t next;
    uint64_t bytes;
    uint32_t count;
    uint32_t stop_after; /* 0: never */
    char wrong[120];
} reading;

static int compare_record(void *context, int64_t offset, const void *data, size_t size) {
    reading *r = context;
    char expected[WANT_SIZE];
    int64_t received_at;
    if (r->wrong[0]) {
        return 1;
    }
    const model_record *record = r->next < r->part->end ? &r->part->records[r->next] : NULL;
    if (offset != r->next || !record) {
        snprintf(r->wrong, sizeof r->wrong, "offset %lld came where %lld was due, end is %lld", (long long)offset, (long long)r->next,
                 (long long)r->part->end);
    } else if (record->serial == 0) {
        if (!reco_stream_tick_read(&received_at, data, size) || received_at != record->received_at) {
            snprintf(r->wrong, sizeof r->wrong, "offset %lld is not a tick of %lld", (long long)offset, (long long)record->received_at);
        }
    } else {
        record_fill(expected, record->serial, record->size);
        if (size != record->size || memcmp(data, expected, size) != 0) {
            snprintf(r->wrong, sizeof r->wrong, "offset %lld has other bytes than were appended", (long long)offset);
        }
    }
    r->next++;
    r->count++;
    r->bytes += size;
    return r->wrong[0] || (r->stop_after && r->count == r->stop_after);
}

bool suite_compare_part(suite *s, reco_stream_store *store, uint32_t partition, int64_t from, uint32_t max_records, uint64_t max_bytes) {
    const model_part *part = &s->model.parts[partition];
    reading r = {.part = part, .next = from};
    reco_status status = s->b->read(store, partition, from, max_records, max_bytes, compare_record, &r, NULL, &s->err);
    if (from < part->begin) {
        NEED(s, status == RECO_NOT_FOUND && r.count == 0);
        return true;
    }
    NEED_OK(s, status);
    if (r.wrong[0]) {
        return suite_fail(s, __LINE__, "partition %u: %s", partition, r.wrong);
    }
    NEED(s, r.count <= max_records);
    NEED(s, from >= part->end ? r.count == 0 : r.count >= 1);
    NEED(s, r.count <= 1 || r.bytes <= max_bytes);
    /* It ends for a reason: a limit, or the end. */
    if (r.next < part->end && r.count < max_records) {
        uint64_t next_size = part->records[r.next].serial ? part->records[r.next].size : RECO_STREAM_TICK_MAX;
        NEED(s, r.bytes + next_size > max_bytes);
    }
    return true;
}

bool suite_compare_spans(suite *s, reco_stream_store *store) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    NEED_OK(s, s->b->spans(spans, store, NULL, &s->err));
    for (uint32_t p = 0; p < s->model.partitions; p++) {
        const model_part *part = &s->model.parts[p];
        if (spans[p].begin != part->begin || spans[p].end != part->end || spans[p].last_received_at != part->last ||
            spans[p].max_received_at != part->max) {
            return suite_fail(s, __LINE__, "span of %u: %lld..%lld last %lld max %lld, not %lld..%lld last %lld max %lld", p,
                              (long long)spans[p].begin, (long long)spans[p].end, (long long)spans[p].last_received_at,
                              (long long)spans[p].max_received_at, (long long)part->begin, (long long)part->end, (long long)part->last,
                              (long long)part->max);
        }
    }
    return true;
}

bool suite_compare(suite *s, reco_stream_store *store) {
    for (uint32_t p = 0; p < s->model.partitions; p++) {
        TRY(suite_compare_part(s, store, p, s->model.parts[p].begin, UINT32_MAX, UINT64_MAX));
    }
    return suite_compare_spans(s, store);
}

static int ignore(void *context, int64_t offset, const void *data, size_t size) {
    (void)context;
    (void)offset;
    (void)data;
    (void)size;
    return 0;
}

/* --- opening --------------------------------------------------------------------------------------------------------------------------------------
 */

static bool check_opening(suite *s) {
    reco_stream_store *store, *again;
    reco_stream_info info = {.struct_size = sizeof info}, second = {.struct_size = sizeof second};
    static const uint8_t none[16];
    NEED(s, suite_open(&store, s, s->space, 0) != RECO_OK); /* a new one has no P to go by */
    TRY(suite_begin(&store, s, 5));
    NEED_OK(s, s->b->info(&info, store, NULL, &s->err));
    NEED(s, info.partitions == 5 && memcmp(info.id, none, 16) != 0);
    TRY(suite_compare(s, store));
    if (!s->subject->keeps) {
        return true;
    }
    suite_close(s, store);
    NEED(s, suite_open(&again, s, s->space, 4) == RECO_REFUSED);
    NEED_OK(s, suite_open(&again, s, s->space, 0));
    NEED_OK(s, s->b->info(&second, again, NULL, &s->err));
    NEED(s, second.partitions == 5 && memcmp(info.id, second.id, 16) == 0);
    return true;
}

static bool check_spaces(suite *s) {
    reco_stream_store *store, *other;
    reco_stream_info info = {.struct_size = sizeof info}, theirs = {.struct_size = sizeof theirs};
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    char name[50];
    snprintf(name, sizeof name, "%s.b", s->space);
    TRY(suite_begin(&store, s, 2));
    NEED_OK(s, suite_open(&other, s, name, 3));
    TRY(suite_append(s, store, (want[]){{1, 5000, 0}}, 1, 0, "key", "value", RECO_OK));
    NEED_OK(s, s->b->info(&info, store, NULL, &s->err));
    NEED_OK(s, s->b->info(&theirs, other, NULL, &s->err));
    NEED(s, info.partitions == 2 && theirs.partitions == 3 && memcmp(info.id, theirs.id, 16) != 0);
    NEED_OK(s, s->b->spans(spans, other, NULL, &s->err));
    NEED(s, spans[0].end == 0 && spans[1].end == 0 && spans[2].end == 0);
    NEED(s, s->b->note_get(other, "key", ignore, NULL, NULL, &s->err) == RECO_NOT_FOUND);
    reco_stream_member *one, *two;
    uint32_t owned[RECO_PARTITIONS_MAX], count;
    NEED_OK(s, suite_join(&one, s, store));
    NEED_OK(s, suite_join(&two, s, other));
    NEED_OK(s, s->b->member_assign(owned, &count, one, NULL, &s->err));
    NEED(s, count == 2);
    NEED_OK(s, s->b->member_assign(owned, &count, two, NULL, &s->err));
    NEED(s, count == 3);
    return suite_compare(s, store);
}

/* --- appending and reading ------------------------------------------------------------------------------------------------------------------------
 */

static bool check_appends(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 3));
    want wants[WANTS];
    for (uint32_t round = 0; round < 10; round++) {
        for (uint32_t i = 0; i < WANTS; i++) {
            wants[i] = (want){(i * i + round) % 3, 100000 + round * 10 + i % 3, 8 + (i * 37 + round * 11) % 500};
        }
        TRY(suite_append(s, store, wants, 1 + round * 7, 0, NULL, NULL, RECO_OK));
        TRY(suite_compare(s, store));
    }
    /* offsets may be left out */
    reco_stream_ticket ticket = {{0}};
    reco_stream_record record = {0, 8, "12345678", 100000};
    NEED_OK(s, s->b->append(&ticket, store, &record, 1, RECO_APPEND_NO_TICKS, NULL, &s->err));
    NEED_OK(s, s->b->wait(NULL, &ticket, store, NULL, &s->err));
    return true;
}

static bool check_reopening(suite *s) {
    reco_stream_store *store, *second;
    if (!s->subject->keeps) {
        return true;
    }
    TRY(suite_begin(&store, s, 2));
    TRY(suite_append(s, store, (want[]){{0, 1000000, 0}, {1, 1000001, 0}, {0, 1000002, 300}}, 3, 0, "n", "1", RECO_OK));
    NEED_OK(s, suite_open(&second, s, s->space, 2));
    TRY(suite_compare(s, second));
    TRY(suite_append(s, second, (want[]){{1, 1000003, 0}}, 1, 0, NULL, NULL, RECO_OK));
    TRY(suite_compare(s, store));
    suite_close(s, store);
    suite_close(s, second);
    NEED_OK(s, suite_open(&store, s, s->space, 0));
    TRY(suite_compare(s, store));
    TRY(suite_append(s, store, (want[]){{0, 1000004, 0}}, 1, 0, NULL, NULL, RECO_OK));
    return suite_compare(s, store);
}

static bool check_reading(suite *s) {
    reco_stream_store *store;
    want wants[40];
    TRY(suite_begin(&store, s, 2));
    for (uint32_t i = 0; i < 40; i++) {
        wants[i] = (want){1, 5000 + i, 100};
    }
    TRY(suite_append(s, store, wants, 40, RECO_APPEND_NO_TICKS, NULL, NULL, RECO_OK));
    TRY(suite_compare_part(s, store, 1, 0, 7, UINT64_MAX));
    TRY(suite_compare_part(s, store, 1, 39, 7, UINT64_MAX));
    TRY(suite_compare_part(s, store, 1, 3, 100, 1000));
    TRY(suite_compare_part(s, store, 1, 3, 100, 1)); /* one record at least */
    TRY(suite_compare_part(s, store, 1, 40, 100, 1000));
    TRY(suite_compare_part(s, store, 1, 1000, 100, 1000));
    TRY(suite_compare_part(s, store, 0, 0, 100, 1000));
    reading r = {.part = &s->model.parts[1], .next = 5, .stop_after = 3};
    NEED_OK(s, s->b->read(store, 1, 5, 100, UINT64_MAX, compare_record, &r, NULL, &s->err));
    NEED(s, r.count == 3 && !r.wrong[0]);
    return true;
}

static bool check_trimming(suite *s) {
    reco_stream_store *store;
    want wants[WANTS];
    TRY(suite_begin(&store, s, 2));
    for (uint32_t i = 0; i < WANTS; i++) {
        wants[i] = (want){i % 2, 5000, 50};
    }
    TRY(suite_append(s, store, wants, WANTS, 0, NULL, NULL, RECO_OK));
    static const int64_t befores[] = {0, 5, 3, 6};
    for (size_t i = 0; i < sizeof befores / sizeof befores[0]; i++) {
        NEED_OK(s, s->b->trim(store, 0, befores[i], NULL, &s->err));
        stream_model_trim(&s->model, 0, befores[i]);
        TRY(suite_compare(s, store));
        TRY(suite_compare_part(s, store, 0, 0, 10, 1000)); /* what is gone is NOT_FOUND */
        TRY(suite_compare_part(s, store, 0, s->model.parts[0].begin, 1, 1000));
    }
    return true;
}

static bool check_offsets(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 2));
    for (int round = 0; round < 3; round++) {
        TRY(suite_append(s, store, (want[]){{0, 5000, 0}, {1, 5000, 0}, {0, 5000, 0}}, 3, 0, NULL, NULL, RECO_OK));
        for (uint32_t p = 0; p < 2; p++) {
            NEED_OK(s, s->b->trim(store, p, 1000, NULL, &s->err)); /* past the end: all */
            stream_model_trim(&s->model, p, 1000);
        }
        if (s->subject->keeps && round == 1) {
            suite_close(s, store);
            NEED_OK(s, suite_open(&store, s, s->space, 2));
        }
        TRY(suite_compare(s, store));
    }
    return true;
}

/* --- ticks
 * ------------------------------------------------------------------------------------------------------------------------------------------ */

static bool check_ticks(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 4));
    TRY(suite_append(s, store, (want[]){{2, 1700000000000, 0}}, 1, 0, NULL, NULL, RECO_OK)); /* the empty ones get one each */
    NEED(s, s->model.parts[0].end == 1 && s->model.parts[3].end == 1 && s->model.parts[2].end == 1);
    return suite_compare(s, store);
}

static bool check_tick_times(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 3));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}, {0, 70000, 0}, {0, 60000, 0}}, 3, 0, NULL, NULL, RECO_OK)); /* the largest, not the last */
    TRY(suite_compare(s, store));
    TRY(suite_append(s, store, (want[]){{1, 50000, 0}}, 1, 0, NULL, NULL, RECO_OK)); /* time may go back */
    return suite_compare(s, store);
}

static bool check_tick_rule(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 3));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}, {1, 50000, 0}, {2, 50000, 0}}, 3, 0, NULL, NULL, RECO_OK));
    TRY(suite_append(s, store, (want[]){{0, 50000 + TICK_MS, 0}}, 1, 0, NULL, NULL, RECO_OK)); /* not yet */
    TRY(suite_compare(s, store));
    TRY(suite_append(s, store, (want[]){{1, 50001 + TICK_MS, 0}}, 1, 0, NULL, NULL, RECO_OK)); /* 2 is older by more, 0 is not */
    NEED(s, s->model.parts[2].end == 2 && s->model.parts[0].end == 2);
    return suite_compare(s, store);
}

/* A partition's age is that of its last record, not of its newest: time may have gone back. */
static bool check_tick_by_last(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 2));
    TRY(suite_append(s, store, (want[]){{0, 90000, 0}, {0, 10000, 0}, {1, 90000, 0}}, 3, RECO_APPEND_NO_TICKS, NULL, NULL, RECO_OK));
    TRY(suite_append(s, store, (want[]){{1, 90100, 0}}, 1, 0, NULL, NULL, RECO_OK));
    NEED(s, s->model.parts[0].end == 3);
    return suite_compare(s, store);
}

static bool check_no_ticks(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 3));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}, {1, 90000, 0}}, 2, RECO_APPEND_NO_TICKS, NULL, NULL, RECO_OK));
    NEED(s, s->model.parts[2].end == 0);
    return suite_compare(s, store);
}

/* --- forward and notes
 * -------------------------------------------------------------------------------------------------------------------------------- */

static bool check_forward(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 2));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}}, 1, RECO_APPEND_FORWARD, NULL, NULL, RECO_OK));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}, {1, 50001, 0}}, 2, RECO_APPEND_FORWARD, NULL, NULL, RECO_OK));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}, {0, 50002, 0}}, 2, RECO_APPEND_FORWARD, NULL, NULL, RECO_CONFLICT));
    TRY(suite_compare(s, store));
    TRY(suite_append(s, store, (want[]){{0, 50001, 0}, {0, 40000, 0}}, 2, RECO_APPEND_FORWARD, NULL, NULL, RECO_OK)); /* only the first counts */
    TRY(suite_append(s, store, (want[]){{0, 40000, 0}}, 1, RECO_APPEND_FORWARD, "n", "no", RECO_CONFLICT));
    NEED(s, s->b->note_get(store, "n", ignore, NULL, NULL, &s->err) == RECO_NOT_FOUND);
    NEED_OK(s, s->b->trim(store, 1, 100, NULL, &s->err)); /* what was appended counts, though it is gone */
    stream_model_trim(&s->model, 1, 100);
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}}, 1, RECO_APPEND_FORWARD, NULL, NULL, RECO_CONFLICT));
    return suite_compare(s, store);
}

typedef struct note {
    char text[64];
    size_t size;
    int calls;
} note;

static int take_note(void *context, int64_t offset, const void *data, size_t size) {
    note *n = context;
    n->calls += offset == 0;
    n->size = size < sizeof n->text ? size : sizeof n->text - 1;
    memcpy(n->text, data, n->size);
    n->text[n->size] = '\0';
    return 0;
}

static bool check_notes(suite *s) {
    reco_stream_store *store;
    TRY(suite_begin(&store, s, 2));
    for (int round = 0; round < 3; round++) {
        char text[20];
        note n = {.calls = 0};
        snprintf(text, sizeof text, "line %d", round);
        TRY(suite_append(s, store, (want[]){{0, 50000, 0}}, 1, 0, "import/abc", text, RECO_OK));
        TRY(suite_append(s, store, (want[]){{0, 50000, 0}}, 1, 0, NULL, NULL, RECO_OK));
        if (s->subject->keeps && round == 1) {
            suite_close(s, store);
            NEED_OK(s, suite_open(&store, s, s->space, 2));
        }
        NEED_OK(s, s->b->note_get(store, "import/abc", take_note, &n, NULL, &s->err));
        NEED(s, n.calls == 1 && strcmp(n.text, text) == 0);
        NEED(s, s->b->note_get(store, "import/ab", take_note, &n, NULL, &s->err) == RECO_NOT_FOUND);
    }
    return suite_compare(s, store);
}

/* A journal has one writer: of appends that bring it to the same number one is done, whoever they come from. */

typedef struct grower {
    suite *s;
    reco_stream_store *store;
    uint64_t serial;
    reco_status status;
} grower;

static void *grow(void *context) {
    grower *g = context;
    static const char five[8] = {5};
    char bytes[20];
    reco_stream_ticket ticket = {{0}};
    record_fill(bytes, g->serial, sizeof bytes);
    reco_stream_record record = {0, sizeof bytes, bytes, 50000};
    g->status = g->s->b->append_with_note(&ticket, g->store, &record, 1, RECO_APPEND_NO_TICKS | RECO_APPEND_NOTE_GROWS, "import/x", five, 8,
                                          NULL, NULL);
    if (g->status == RECO_OK) {
        g->status = g->s->b->wait(NULL, &ticket, g->store, NULL, NULL);
    }
    return NULL;
}

static bool grow_at_once(suite *s, reco_stream_store *store) {
    enum { GROWERS = 4 };
    grower growers[GROWERS];
    pthread_t threads[GROWERS];
    int started = 0, done = 0, refused = 0;
    for (int i = 0; i < GROWERS; i++) {
        growers[i] = (grower){s, store, ++s->serial, RECO_INTERNAL};
    }
    while (started < GROWERS && pthread_create(&threads[started], NULL, grow, &growers[started]) == 0) {
        started++;
    }
    for (int i = 0; i < started; i++) {
        pthread_join(threads[i], NULL);
        refused += growers[i].status == RECO_CONFLICT;
        if (growers[i].status == RECO_OK && done++ == 0) {
            stream_model_add(&s->model, 0, (model_record){growers[i].serial, 50000, 20});
        }
    }
    NEED(s, started == GROWERS && done == 1 && refused == GROWERS - 1);
    return true;
}

static bool check_growing(suite *s) {
    static const char four[] = "\4\1\1\1\1\1\1\1 and more", less[] = "\3\1\1\1\1\1\1\1", more[] = "\1\1\1\1\1\1\1\2"; /* little-endian */
    const uint32_t grows = RECO_APPEND_NOTE_GROWS | RECO_APPEND_NO_TICKS;
    reco_stream_store *store;
    note n = {.calls = 0};
    TRY(suite_begin(&store, s, 2));
    TRY(grow_at_once(s, store));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}}, 1, grows, "import/abc", four, RECO_OK));
    TRY(suite_append(s, store, (want[]){{1, 50000, 0}}, 1, grows, "import/abc", four, RECO_CONFLICT)); /* the same is not more */
    TRY(suite_compare(s, store));
    TRY(suite_append(s, store, (want[]){{1, 50000, 0}}, 1, grows, "import/other", less, RECO_OK)); /* another key has a journal of its own */
    if (s->subject->keeps) {
        suite_close(s, store);
        NEED_OK(s, suite_open(&store, s, s->space, 2));
    }
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}}, 1, grows, "import/abc", less, RECO_CONFLICT));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}, {1, 50000, 0}}, 2, grows, "import/abc", more, RECO_OK));
    TRY(suite_append(s, store, (want[]){{0, 50000, 0}}, 1, RECO_APPEND_NO_TICKS, "import/abc", four, RECO_OK)); /* not told to look */
    NEED_OK(s, s->b->note_get(store, "import/abc", take_note, &n, NULL, &s->err));
    NEED(s, n.calls == 1 && strcmp(n.text, four) == 0);
    return suite_compare(s, store);
}

/* --- waiting
 * -------------------------------------------------------------------------------------------------------------------------------------------- */

typedef struct appender {
    suite *s;
    reco_stream_store *store;
    bool ok;
} appender;

static void *append_soon(void *context) {
    appender *a = context;
    struct timespec delay = {0, 50000000};
    nanosleep(&delay, NULL);
    a->ok = suite_append(a->s, a->store, (want[]){{1, 50000, 0}}, 1, 0, NULL, NULL, RECO_OK);
    return NULL;
}

static bool check_waiting(suite *s) {
    reco_stream_store *store;
    pthread_t thread;
    int64_t ends[2] = {0, 0}, start = suite_now_ns();
    TRY(suite_begin(&store, s, 2));
    NEED_OK(s, s->b->wait_for(store, ends, 20000000, NULL, &s->err));
    NEED(s, suite_now_ns() - start >= 15000000);
    reco_call call = {.struct_size = sizeof call, .deadline_ns = suite_now_ns() + 20000000};
    start = suite_now_ns();
    NEED_OK(s, s->b->wait_for(store, ends, 10000000000, &call, &s->err));
    NEED(s, suite_now_ns() - start < 5000000000);
    appender a = {s, store, false};
    NEED(s, pthread_create(&thread, NULL, append_soon, &a) == 0);
    start = suite_now_ns();
    reco_status status = s->b->wait_for(store, ends, 10000000000, NULL, &s->err);
    int64_t took = suite_now_ns() - start;
    pthread_join(thread, NULL);
    NEED_OK(s, status);
    NEED(s, a.ok && took >= 40000000 && took < 5000000000);
    start = suite_now_ns();
    NEED_OK(s, s->b->wait_for(store, ends, 10000000000, NULL, &s->err)); /* beyond already */
    NEED(s, suite_now_ns() - start < 5000000000);
    return true;
}

/* --- members
 * ----------------------------------------------------------------------------------------------------------------------------------------------- */

/* Rounds of assign until they come to rest: all partitions owned, once, by shares that differ by one at most. At no moment has a partition two
 * owners. */
static bool members_settle(suite *s, reco_stream_member **members, uint32_t count, uint32_t partitions) {
    uint32_t owned[RECO_PARTITIONS_MAX], n;
    int owner[RECO_PARTITIONS_MAX];
    memset(owner, -1, sizeof owner);
    for (int round = 0; round < 200; round++) {
        uint32_t total = 0, least = UINT32_MAX, most = 0;
        for (uint32_t m = 0; m < count; m++) {
            NEED_OK(s, s->b->member_assign(owned, &n, members[m], NULL, &s->err));
            for (uint32_t p = 0; p < partitions; p++) {
                owner[p] = owner[p] == (int)m ? -1 : owner[p];
            }
            for (uint32_t i = 0; i < n; i++) {
                NEED(s, owned[i] < partitions && (i == 0 || owned[i] > owned[i - 1]));
                if (owner[owned[i]] != -1) {
                    return suite_fail(s, __LINE__, "partition %u has two owners", owned[i]);
                }
                owner[owned[i]] = (int)m;
            }
            total += n;
            least = n < least ? n : least;
            most = n > most ? n : most;
        }
        if (total == partitions && most - least <= 1) {
            uint8_t all[RECO_PARTITIONS_MAX] = {0};
            NEED_OK(s, s->b->member_owned(all, members[0], NULL, &s->err));
            for (uint32_t p = 0; p < partitions; p++) {
                NEED(s, all[p] == 1);
            }
            return true;
        }
        struct timespec pause = {0, 1000000};
        nanosleep(&pause, NULL);
    }
    return suite_fail(s, __LINE__, "%u members do not come to rest", count);
}

static bool check_members(suite *s) {
    reco_stream_store *store;
    reco_stream_member *members[6];
    uint8_t owned[RECO_PARTITIONS_MAX];
    TRY(suite_begin(&store, s, 5));
    NEED_OK(s, suite_join(&members[0], s, store));
    NEED_OK(s, s->b->member_owned(owned, members[0], NULL, &s->err));
    NEED(s, owned[0] == 0 && owned[4] == 0);
    for (uint32_t count = 1; count <= 6; count++) {
        if (count > 1) {
            NEED_OK(s, suite_join(&members[count - 1], s, store));
        }
        TRY(members_settle(s, members, count, 5));
    }
    suite_leave(s, members[0]);
    TRY(members_settle(s, members + 1, 5, 5));
    suite_leave(s, members[3]);
    members[3] = members[5];
    TRY(members_settle(s, members + 1, 4, 5));
    NEED_OK(s, suite_join(&members[0], s, store));
    return members_settle(s, members, 5, 5);
}

/* --- by name
 * ---------------------------------------------------------------------------------------------------------------------------------------------------
 */

static const struct {
    const char *name;
    bool (*run)(suite *s);
} checks[] = {
    {"a stream is opened", check_opening},
    {"namespaces are separate", check_spaces},
    {"what is appended is read back in order", check_appends},
    {"what is appended is there after opening again", check_reopening},
    {"a read keeps its limits", check_reading},
    {"trimming drops what it is told", check_trimming},
    {"offsets are never given twice", check_offsets},
    {"quiet partitions get ticks", check_ticks},
    {"a tick carries the largest time of its commit", check_tick_times},
    {"a tick comes when it is due, not before", check_tick_rule},
    {"a tick is due by the last record", check_tick_by_last},
    {"no ticks when told so", check_no_ticks},
    {"forward is checked against all partitions", check_forward},
    {"a note is set with its append", check_notes},
    {"a note that must grow does", check_growing},
    {"waiting ends with an append", check_waiting},
    {"members share the partitions", check_members},
    {"threads append whole batches", check_threads},
    {"random operations agree with the model", check_random},
};

const size_t stream_check_count = sizeof checks / sizeof checks[0];

const char *stream_check_name(size_t i) { return checks[i].name; }

const char *stream_run(const stream_subject *subject, const char *name, char *room, size_t size) {
    static unsigned runs; /* a namespace of its own for each */
    for (size_t i = 0; i < stream_check_count; i++) {
        if (strcmp(checks[i].name, name) == 0) {
            suite *s = calloc(1, sizeof *s);
            if (!s) {
                return "out of memory";
            }
            s->subject = subject;
            s->b = subject->backend;
            s->room = room;
            s->size = size;
            snprintf(s->space, sizeof s->space, "check-%u", runs++);
            bool passed = checks[i].run(s);
            suite_end(s);
            free(s);
            return passed ? NULL : room;
        }
    }
    return "no such check";
}
