/* stream_suite_random.c - random operations against the model, and threads whose appends may share commits. */
#include "contract/stream_suite_inner.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

/* --- threads ---------------------------------------------------------------------------------------------------------------------------------------
 *
 * Which appends share a commit is the backend's affair, and so is where ticks fall. What must hold whatever it does: the records of an append lie at
 * the offsets it was told, in its order, none of another's between those of one partition; everything else is ticks, of times that were appended; no
 * record is lost or there twice; and after the last commit no partition's last record is older than tick_ms before the newest of that commit. */

enum { THREADS = 4, BATCHES = 12, BATCH = 20, FLIGHT = 3 };

typedef struct batch {
    want wants[BATCH];
    uint64_t serials[BATCH];
    int64_t offsets[BATCH];
    reco_stream_record records[BATCH];
    char bytes[BATCH][WANT_SIZE];
    reco_stream_ticket ticket;
    size_t count;
    reco_status status;
} batch;

typedef struct thread {
    suite *s;
    reco_stream_store *store;
    batch *batches;
    size_t count;
} thread;

/* Several tickets in flight at once, waited for in order. */
static void *append_batches(void *context) {
    thread *t = context;
    for (size_t i = 0; i < t->count + FLIGHT; i++) {
        if (i < t->count) {
            batch *b = &t->batches[i];
            b->status = t->s->b->append(&b->ticket, t->store, b->records, b->count, 0, NULL, NULL);
        }
        if (i >= FLIGHT && t->batches[i - FLIGHT].status == RECO_OK) {
            batch *b = &t->batches[i - FLIGHT];
            b->status = t->s->b->wait(b->offsets, &b->ticket, t->store, NULL, NULL);
        }
    }
    return NULL;
}

/* Reads what is new in a partition into the model: ours are found by the serial number in their bytes. */
typedef struct intake {
    suite *s;
    uint32_t partition;
    const char *wrong;
} intake;

static int take_in(void *context, int64_t offset, const void *data, size_t size) {
    intake *in = context;
    model_record record = {0, 0, 0};
    if (offset != in->s->model.parts[in->partition].end) {
        in->wrong = "an offset is missing";
        return 1;
    }
    if (!reco_stream_tick_read(&record.received_at, data, size)) {
        if (size < 8 || size > WANT_SIZE) {
            in->wrong = "a record of another size than was appended";
            return 1;
        }
        memcpy(&record.serial, data, 8);
        record.size = (uint32_t)size;
    }
    stream_model_add(&in->s->model, in->partition, record);
    return 0;
}

/* The records of a batch where it says they are; their times are filled in. */
static bool claim_batch(suite *s, const batch *b, const int64_t *ends) {
    int64_t next[RECO_PARTITIONS_MAX];
    for (uint32_t p = 0; p < s->model.partitions; p++) {
        next[p] = -1;
    }
    for (size_t i = 0; i < b->count; i++) {
        uint32_t p = b->wants[i].partition;
        model_part *part = &s->model.parts[p];
        NEED(s, b->offsets[i] >= ends[p] && b->offsets[i] < part->end);
        NEED(s, next[p] == -1 || b->offsets[i] == next[p]);
        next[p] = b->offsets[i] + 1;
        model_record *record = &part->records[b->offsets[i]];
        NEED(s, record->serial == b->serials[i] && record->size == b->records[i].size && record->received_at == 0);
        record->received_at = b->wants[i].received_at;
    }
    return true;
}

static bool settle_new(suite *s, const int64_t *ends, int64_t oldest, int64_t newest) {
    for (uint32_t p = 0; p < s->model.partitions; p++) {
        model_part *part = &s->model.parts[p];
        for (int64_t i = ends[p]; i < part->end; i++) {
            int64_t t = part->records[i].received_at;
            if (t < oldest || t > newest) {
                return suite_fail(s, __LINE__, "partition %u has a record nobody appended, or a tick of a time nobody sent: %lld", p, (long long)t);
            }
            part->max = t > part->max ? t : part->max;
            part->last = t;
        }
        NEED(s, part->last >= oldest - s->model.tick_ms);
    }
    return true;
}

/* One round: all threads at once, then the model takes over what came of it. Times lie in [oldest, newest]. */
static bool threaded_round(suite *s, reco_stream_store *store, uint64_t *random, size_t batches, int64_t oldest, int64_t newest) {
    static batch all[THREADS][BATCHES];
    thread threads[THREADS];
    pthread_t ids[THREADS];
    int64_t ends[RECO_PARTITIONS_MAX];
    int64_t total = 0, appended = 0;
    for (uint32_t p = 0; p < s->model.partitions; p++) {
        ends[p] = s->model.parts[p].end;
    }
    for (int t = 0; t < THREADS; t++) {
        for (size_t i = 0; i < batches; i++) {
            batch *b = &all[t][i];
            memset(&b->ticket, 0, sizeof b->ticket);
            b->count = 1 + suite_random(random, BATCH);
            for (size_t k = 0; k < b->count; k++) {
                b->wants[k] =
                    (want){(uint32_t)suite_random(random, s->model.partitions),
                           oldest + (int64_t)suite_random(random, (uint64_t)(newest - oldest + 1)), 8 + (uint32_t)suite_random(random, 300)};
            }
            suite_make(s, b->records, b->serials, b->bytes, b->wants, b->count);
            appended += (int64_t)b->count;
        }
        threads[t] = (thread){s, store, all[t], batches};
    }
    int started = 0;
    while (started < THREADS && pthread_create(&ids[started], NULL, append_batches, &threads[started]) == 0) {
        started++;
    }
    for (int t = 0; t < started; t++) {
        pthread_join(ids[t], NULL);
    }
    NEED(s, started == THREADS);
    for (uint32_t p = 0; p < s->model.partitions; p++) {
        intake in = {s, p, NULL};
        NEED_OK(s, s->b->read(store, p, ends[p], UINT32_MAX, UINT64_MAX, take_in, &in, NULL, &s->err));
        if (in.wrong) {
            return suite_fail(s, __LINE__, "partition %u: %s", p, in.wrong);
        }
    }
    for (int t = 0; t < THREADS; t++) {
        for (size_t i = 0; i < batches; i++) {
            NEED_OK(s, all[t][i].status);
            TRY(claim_batch(s, &all[t][i], ends));
        }
    }
    for (uint32_t p = 0; p < s->model.partitions; p++) {
        for (int64_t i = ends[p]; i < s->model.parts[p].end; i++) {
            total += s->model.parts[p].records[i].serial != 0;
        }
    }
    NEED(s, total == appended);
    TRY(settle_new(s, ends, oldest, newest));
    return suite_compare_spans(s, store);
}

bool check_threads(suite *s) {
    reco_stream_store *store;
    uint64_t random = s->subject->seed + 1;
    TRY(suite_begin(&store, s, 4));
    for (int round = 0; round < 3; round++) {
        int64_t oldest = 1000000 + round * 20000;
        TRY(threaded_round(s, store, &random, BATCHES, oldest, oldest + 9000));
    }
    return suite_compare(s, store);
}

/* --- random operations
 * --------------------------------------------------------------------------------------------------------------------------------- */

typedef struct state {
    suite *s;
    reco_stream_store *store;
    uint64_t random;
    int64_t now;
    char note[24];
    reco_stream_member *members[3];
} state;

static uint64_t draw(state *st, uint64_t bound) { return suite_random(&st->random, bound); }

static bool op_append(state *st) {
    suite *s = st->s;
    want wants[WANTS];
    size_t count = 1 + draw(st, draw(st, 10) ? 4 : WANTS);
    for (size_t i = 0; i < count; i++) {
        int64_t back = draw(st, 20) ? 0 : (int64_t)draw(st, 5000);
        st->now += (int64_t)draw(st, 3) * (int64_t)draw(st, 400);
        wants[i] = (want){(uint32_t)draw(st, s->model.partitions), st->now - back, 8 + (uint32_t)draw(st, draw(st, 8) ? 100 : WANT_SIZE - 8)};
    }
    uint32_t flags = (draw(st, 4) ? 0 : RECO_APPEND_NO_TICKS) | (draw(st, 4) ? 0 : RECO_APPEND_FORWARD);
    bool conflict = (flags & RECO_APPEND_FORWARD) && wants[0].received_at < stream_model_newest(&s->model);
    if (draw(st, 8)) {
        return suite_append(s, st->store, wants, count, flags, NULL, NULL, conflict ? RECO_CONFLICT : RECO_OK);
    }
    char text[sizeof st->note];
    snprintf(text, sizeof text, "%llu", (unsigned long long)draw(st, 1000000));
    TRY(suite_append(s, st->store, wants, count, flags, "note", text, conflict ? RECO_CONFLICT : RECO_OK));
    if (!conflict) {
        memcpy(st->note, text, sizeof text);
    }
    return true;
}

static bool op_read(state *st) {
    suite *s = st->s;
    uint32_t p = (uint32_t)draw(st, s->model.partitions);
    const model_part *part = &s->model.parts[p];
    int64_t kept = part->end - part->begin;
    int64_t from = draw(st, 10) ? part->begin + (int64_t)draw(st, (uint64_t)kept + 1) : (int64_t)draw(st, (uint64_t)part->end + 3);
    return suite_compare_part(s, st->store, p, from, 1 + (uint32_t)draw(st, 50), 1 + draw(st, 5000));
}

static bool op_trim(state *st) {
    suite *s = st->s;
    uint32_t p = (uint32_t)draw(st, s->model.partitions);
    const model_part *part = &s->model.parts[p];
    int64_t before =
        draw(st, 20) ? part->begin + (int64_t)draw(st, (uint64_t)(part->end - part->begin) / 2 + 1) : (int64_t)draw(st, (uint64_t)part->end + 3);
    NEED_OK(s, s->b->trim(st->store, p, before, NULL, &s->err));
    stream_model_trim(&s->model, p, before);
    return suite_compare_spans(s, st->store);
}

static int same_note(void *context, int64_t offset, const void *data, size_t size) {
    state *st = context;
    (void)offset;
    if (size != strlen(st->note) || memcmp(data, st->note, size) != 0) {
        st->s->serial = UINT64_MAX; /* seen below */
    }
    return 0;
}

static bool op_note(state *st) {
    suite *s = st->s;
    uint64_t serial = s->serial;
    reco_status status = s->b->note_get(st->store, "note", same_note, st, NULL, &s->err);
    NEED(s, st->note[0] ? status == RECO_OK : status == RECO_NOT_FOUND);
    NEED(s, s->serial == serial);
    return true;
}

/* Members come and go; no partition is ever two members'. */
static bool op_members(state *st) {
    suite *s = st->s;
    int owners[RECO_PARTITIONS_MAX] = {0};
    uint64_t i = draw(st, 3);
    if (!st->members[i]) {
        NEED_OK(s, suite_join(&st->members[i], s, st->store));
    } else if (draw(st, 3) == 0) {
        suite_leave(s, st->members[i]);
        st->members[i] = NULL;
    }
    for (int round = 0; round < 2; round++) {
        memset(owners, 0, sizeof owners);
        for (int m = 0; m < 3; m++) {
            uint32_t owned[RECO_PARTITIONS_MAX], count;
            if (!st->members[m]) {
                continue;
            }
            NEED_OK(s, s->b->member_assign(owned, &count, st->members[m], NULL, &s->err));
            for (uint32_t k = 0; round == 1 && k < count; k++) {
                owners[owned[k]]++;
            }
        }
    }
    for (uint32_t p = 0; p < s->model.partitions; p++) {
        NEED(s, owners[p] <= 1);
    }
    return true;
}

static bool op_reopen(state *st) {
    suite *s = st->s;
    if (!s->subject->keeps) {
        return true;
    }
    for (int m = 0; m < 3; m++) {
        if (st->members[m]) {
            suite_leave(s, st->members[m]);
            st->members[m] = NULL;
        }
    }
    suite_close(s, st->store);
    NEED_OK(s, suite_open(&st->store, s, s->space, 0));
    return suite_compare(s, st->store);
}

static bool operation(state *st) {
    uint64_t what = draw(st, 10000);
    if (what < 3000) {
        return op_append(st);
    }
    if (what < 7500) {
        return op_read(st);
    }
    if (what < 8700) {
        return suite_compare_spans(st->s, st->store);
    }
    if (what < 9100) {
        return op_trim(st);
    }
    if (what < 9600) {
        return op_note(st);
    }
    if (what < 9985) {
        return op_members(st);
    }
    if (what < 9993) {
        st->now += 20000;
        bool ok = threaded_round(st->s, st->store, &st->random, 3, st->now - 9000, st->now);
        return ok;
    }
    return op_reopen(st);
}

bool check_random(suite *s) {
    state st = {.s = s, .random = s->subject->seed, .now = 1700000000000};
    TRY(suite_begin(&st.store, s, 4));
    for (uint64_t i = 0; i < s->subject->operations; i++) {
        if (!operation(&st)) {
            char reason[200];
            snprintf(reason, sizeof reason, "%s", s->room);
            snprintf(s->room, s->size, "operation %llu of seed %llu: %s", (unsigned long long)i, (unsigned long long)s->subject->seed, reason);
            return false;
        }
    }
    return suite_compare(s, st.store);
}
