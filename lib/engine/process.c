/* engine/process.c - processors: who learns which partition next.
 *
 * A processor owns a share of the partitions (the stream's members) and takes, of those with something to learn, the one with the oldest clock, so
 * that backlogs of uneven length do not run apart: no partition is taken while it is more than a co-view generation ahead of an owned one that still
 * has records. That rule is advisory; correctness never depends on it. After a batch some closing is done, at most a quarter of the time while events
 * wait.
 *
 * Where everything stands is asked for once, and then all that was found waiting is learned, batch after batch: a processor knows how far it has
 * come. What the stream brings meanwhile is learned, too, for a while. Should somebody else have learned meanwhile, the batch is STALE and it looks
 * again. That nothing is left (idle) is told after a look in the same step only. */
#include "engine/engine.h"
#include "engine/heal.h"

#include "engine/snapshots.h"

#include <time.h>

#define CLOSE_BUSY_NS 1000000
#define LIVE_PACE_NS 1000000 /* live batches begin no closer than this: events of a millisecond share one commit */
#define CLOSE_IDLE_NS 5000000
#define CLOSE_PACE_NS 10000000 /* between two rounds of closing while events wait, unless the first left something */
#define LOOK_NS 250000000      /* how long a look is good for */

struct reco_processor {
    reco_engine *engine;
    reco__stream_member *member;
    reco__learner *learner;
    reco__heal *heal;  /* NULL until parts of features were found to stand apart */
    reco_spread heals; /* where they stand, of the partition to be healed next */
    bool healing;
    uint32_t batch_events;
    uint32_t owned[RECO_PARTITIONS_MAX], owned_count;
    int64_t looked_ns;                 /* when it was looked at where everything stands; 0: it is to be looked again */
    bool looked;                       /* in this step */
    int64_t ready[RECO_PARTITIONS_MAX]; /* what can be learned without waiting for the stream; 0: that is not known, or there is no difference */
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_position positions[RECO_PARTITIONS_MAX];
    int64_t ends[RECO_PARTITIONS_MAX]; /* as last seen, for waiting */
    int64_t available;                 /* records of the chosen partition, as last seen */
    bool held;                         /* something waits, but for other partitions to catch up */
    bool closing;                      /* closing is left to do */
    int64_t closed_ns;                 /* when it was last done */
    int64_t learned_ns;                /* when the last batch began */
    reco_progress total;
};

reco_status reco_processor_open(reco_processor **out, reco_engine *engine, const reco_processor_options *options, const reco_call *call,
                                reco_error *err) {
    reco_processor_options given;
    if (!out)
        return reco__fail(err, RECO_INVALID, "out", "a place for the processor is needed");
    *out = NULL;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, options, options ? options->struct_size : 0, "options", err);
    if (status == RECO_OK && given.batch_events > 1000000)
        status = reco__fail(err, RECO_INVALID, "batch_events", "at most 1000000");
    if (status != RECO_OK)
        return status;
    reco_processor *processor = reco__zalloc(sizeof *processor);
    if (!processor)
        return reco__no_memory(err);
    processor->engine = engine;
    processor->batch_events = given.batch_events ? given.batch_events : reco__features_batch_events(engine->features);
    atomic_fetch_add(&engine->processors, 1);
    status = reco__learner_create(&processor->learner, engine->stream, engine->features, &engine->rules, err);
    if (status == RECO_OK) {
        reco__learner_write_letters(processor->learner);
        status = reco__stream_member_open(&processor->member, engine->stream, call, err);
    }
    if (status != RECO_OK) {
        reco_processor_close(processor);
        return status;
    }
    *out = processor;
    return RECO_OK;
}

void reco_processor_close(reco_processor *processor) {
    if (!processor)
        return;
    atomic_fetch_sub(&processor->engine->processors, 1);
    reco__stream_member_close(processor->member);
    reco__learner_free(processor->learner);
    reco__heal_free(processor->heal);
    reco__release(processor);
}

/* The clock a partition is held back by: that of the slowest owned one which still has records, plus a co-view generation. */
static int64_t clock_bound(const reco_engine *engine, const reco_stream_span *spans, const reco_position *positions, const uint8_t *owned) {
    int64_t bound = INT64_MAX;
    for (uint32_t p = 0; p < engine->partitions; p++)
        if (owned[p] && positions[p].offset < spans[p].end && positions[p].clock > 0 && positions[p].clock < bound)
            bound = positions[p].clock;
    int64_t length = engine->rules.boards.length[RECO_BOARD_COVIEW];
    return bound > INT64_MAX - length ? INT64_MAX : bound + length;
}

/* The partition to learn next, or UINT32_MAX. Those whose records are here come before those whose records are on their way. */
static uint32_t choose(reco_processor *processor, const uint8_t *owned) {
    const reco_stream_span *spans = processor->spans;
    const reco_position *positions = processor->positions;
    int64_t bound = clock_bound(processor->engine, spans, positions, owned);
    uint32_t best = UINT32_MAX, here = UINT32_MAX;
    processor->held = false;
    processor->total.lag = 0;
    for (uint32_t i = 0; i < processor->owned_count; i++) {
        uint32_t p = processor->owned[i];
        processor->ends[p] = spans[p].end;
        if (positions[p].offset >= spans[p].end)
            continue;
        processor->total.lag += spans[p].end - positions[p].offset;
        if (positions[p].clock > bound)
            processor->held = true;
        else {
            if (best == UINT32_MAX || positions[p].clock < positions[best].clock)
                best = p;
            if (processor->ready[p] > positions[p].offset && (here == UINT32_MAX || positions[p].clock < positions[here].clock))
                here = p;
        }
    }
    return here == UINT32_MAX ? best : here;
}

static reco_status out_of_step(uint32_t partition, const reco_position *position, const reco_stream_span *span, reco_error *err) {
    return reco__fail(err, RECO_CORRUPT, "position", "partition %u is learned up to %lld but the stream holds %lld to %lld", partition,
                      (long long)position->offset, (long long)span->begin, (long long)span->end);
}

/* Where the partitions are learned to, and where the parts of features stand. */
static reco_status stand(reco_position *positions, reco_spread *spread, reco_engine *engine, const reco_call *call, reco_error *err) {
    uint64_t epoch;
    bool spreads = reco__features_spreads(engine->features);
    reco_status status = spreads ? reco__features_spread(spread, &epoch, engine->features, call, err)
                                 : reco__features_positions(positions, &epoch, engine->features, call, err);
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++) {
        if (spreads)
            positions[p] = spread[p].cells;
        else
            spread[p] = (reco_spread){positions[p], positions[p].offset, INT64_MAX, INT64_MAX};
    }
    return status;
}

/* Where everything stands. Others append, learn and trim meanwhile: ends are held against positions read before them, beginnings against positions
 * read after them, so that neither can be overtaken. */
static reco_status look(reco_position *positions, reco_spread *spread, reco_stream_span *spans, reco_engine *engine, const reco_call *call,
                        reco_error *err) {
    bool trimmed = false;
    reco_status status = stand(positions, spread, engine, call, err);
    if (status == RECO_OK)
        status = reco__stream_bounds(spans, engine->stream, call, err);
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++) {
        if (positions[p].offset > spans[p].end)
            return out_of_step(p, &positions[p], &spans[p], err);
        trimmed = trimmed || spread[p].low < spans[p].begin;
    }
    if (status == RECO_OK && trimmed)
        status = stand(positions, spread, engine, call, err);
    for (uint32_t p = 0; status == RECO_OK && trimmed && p < engine->partitions; p++)
        if (spread[p].low < spans[p].begin)
            return out_of_step(p, &(reco_position){spread[p].low, 0}, &spans[p], err);
    return status;
}

/* Features that have learned nothing of a stream that is going on, or whose place in it the stream no longer has, are learned again from the newest
 * snapshot that lies within it. NOT_FOUND: there is none. */
static bool is_lost(const reco_engine *engine, reco_status status, const reco_error *error, const reco_position *positions,
                    const reco_stream_span *spans) {
    int64_t learned = 0, there = 0;
    if (!reco__snapshots_wanted(engine))
        return false;
    if (status != RECO_OK)
        return status == RECO_CORRUPT && strcmp(error->field, "position") == 0;
    for (uint32_t p = 0; p < engine->partitions; p++) {
        learned += positions[p].offset;
        there += spans[p].end;
    }
    return learned == 0 && there > 0;
}

static reco_status look_or_relearn(reco_position *positions, reco_spread *spread, reco_stream_span *spans, reco_engine *engine, const reco_call *call,
                                   reco_error *err) {
    reco_error error = RECO_ERROR_INIT;
    reco_status status = look(positions, spread, spans, engine, call, &error);
    if (is_lost(engine, status, &error, positions, spans)) {
        reco_error relearning = RECO_ERROR_INIT;
        reco_status found = reco__snapshots_relearn(engine, call, &relearning);
        if (found == RECO_OK || found == RECO_NOT_FOUND) /* without one: from the beginning, if it is there */
            status = look(positions, spread, spans, engine, call, &error);
        else {
            status = found;
            error = relearning;
        }
    }
    if (status != RECO_OK && err)
        *err = error;
    return status;
}

/* An owned partition of which a part of features has lost something comes before all learning. */
static bool choose_healing(uint32_t *partition, reco_processor *processor, const reco_spread *spread) {
    for (uint32_t i = 0; i < processor->owned_count; i++) {
        uint32_t p = processor->owned[i];
        if (spread[p].low < spread[p].cells.offset) {
            processor->heals = spread[p];
            *partition = p;
            return true;
        }
    }
    if (processor->heal)
        reco__heal_rest(processor->heal);
    return false;
}

/* Who owns the other partitions may be asked of a server: it is asked only when one of them would hold something back, were it owned. */
static reco_status choose_next(uint32_t *partition, reco_processor *processor, const reco_call *call, reco_error *err) {
    uint8_t owned[RECO_PARTITIONS_MAX];
    memset(owned, 1, sizeof owned);
    *partition = choose(processor, owned);
    if (!processor->held)
        return RECO_OK;
    memset(owned, 0, sizeof owned);
    reco_status status = reco__stream_member_owned(owned, processor->member, call, err);
    if (status == RECO_OK)
        *partition = choose(processor, owned);
    return status;
}

/* What the stream has brought since the last look. True when there is something to learn, of all that is known. */
static bool glance(reco_processor *processor) {
    bool tells = reco__stream_ready(processor->ready, processor->engine->stream), any = false;
    for (uint32_t i = 0; i < processor->owned_count; i++) {
        uint32_t p = processor->owned[i];
        int64_t offset = processor->positions[p].offset;
        if (tells && processor->ready[p] > processor->spans[p].end)
            processor->spans[p].end = processor->ready[p];
        any = any || processor->spans[p].end > offset;
    }
    return any;
}

/* A look is not good when nothing is left of what it found, nor for parts of features that stand apart. */
static bool look_is_good(reco_processor *processor) {
    return processor->looked_ns && reco__monotonic_ns() - processor->looked_ns < LOOK_NS && !reco__features_spreads(processor->engine->features) &&
           glance(processor);
}

static reco_status survey(uint32_t *partition, reco_processor *processor, const reco_call *call, reco_error *err) {
    reco_spread spread[RECO_PARTITIONS_MAX];
    uint32_t before[RECO_PARTITIONS_MAX], count = processor->owned_count;
    memcpy(before, processor->owned, count * sizeof *before);
    reco_status status = reco__stream_member_assign(processor->owned, &processor->owned_count, processor->member, call, err);
    bool same = count == processor->owned_count && memcmp(before, processor->owned, count * sizeof *before) == 0;
    processor->looked = status == RECO_OK && !(same && look_is_good(processor));
    if (processor->looked) {
        status = look_or_relearn(processor->positions, spread, processor->spans, processor->engine, call, err);
        processor->looked_ns = status == RECO_OK ? reco__monotonic_ns() : 0;
        if (status == RECO_OK)
            glance(processor);
    }
    if (status == RECO_OK)
        status = choose_next(partition, processor, call, err);
    if (status != RECO_OK)
        return status;
    processor->total.partitions = processor->owned_count;
    if (*partition != UINT32_MAX) {
        int64_t ready = processor->ready[*partition], offset = processor->positions[*partition].offset;
        processor->available = (ready > offset ? ready : processor->spans[*partition].end) - offset;
    }
    processor->healing = processor->looked && choose_healing(partition, processor, spread);
    return RECO_OK;
}

static void count_batch(reco_processor *processor, const reco__learned *done) {
    reco__counters *counters = &processor->engine->counters;
    processor->total.records += done->records;
    processor->total.events += done->events;
    processor->total.duplicates += done->duplicates;
    processor->total.clamped += done->clamped;
    processor->total.batches++;
    atomic_fetch_add(&counters->records, done->records);
    atomic_fetch_add(&counters->events, done->events);
    atomic_fetch_add(&counters->duplicates, done->duplicates);
    atomic_fetch_add(&counters->clamped, done->clamped);
    atomic_fetch_add(&counters->dead_letters, done->letters);
    for (size_t i = 0; i < RECO__EFFECT_BUCKETS; i++)
        if (done->effects[i])
            atomic_fetch_add(&counters->effects[i], done->effects[i]);
    atomic_fetch_add(&counters->effect_ms, done->effect_ms);
    atomic_fetch_add(&counters->batches, 1);
}

/* Closing that is due: one step while nothing else waits for it, several short ones within a quarter of the batch's time in a backlog. */
static reco_status close_some(reco_processor *processor, int64_t batch_ns, bool waiting, const reco_call *call, reco_error *err) {
    int64_t began = reco__monotonic_ns();
    int more = 1;
    do {
        reco_status status = reco__features_close_step(&more, processor->engine->features, waiting ? CLOSE_BUSY_NS : CLOSE_IDLE_NS, call, err);
        if (status != RECO_OK)
            return status;
        processor->total.closing_steps++;
        atomic_fetch_add(&processor->engine->counters.closing_steps, 1);
    } while (more && waiting && reco__monotonic_ns() - began < batch_ns / 4);
    processor->closing = more != 0;
    processor->closed_ns = reco__monotonic_ns();
    return RECO_OK;
}

/* A batch of a partition. When a table is full, expiry that is due may make room: all of it is done before the batch is given up. */
static reco_status learn_some(reco__learned *done, reco_processor *processor, uint32_t partition, const reco_call *call, reco_error *err) {
    uint32_t most = processor->available < processor->batch_events ? (uint32_t)processor->available : processor->batch_events;
    reco_status status = reco__learner_batch(done, processor->learner, partition, &processor->positions[partition], most, INT64_MAX, call, err);
    if (status != RECO_FULL)
        return status;
    reco_error closing = RECO_ERROR_INIT;
    do {
        if (close_some(processor, 0, false, call, &closing) != RECO_OK)
            return status;
    } while (processor->closing);
    return reco__learner_batch(done, processor->learner, partition, &processor->positions[partition], most, INT64_MAX, call, err);
}

static reco_status heal_some(reco_processor *processor, uint32_t partition, const reco_call *call, reco_error *err) {
    reco_status status = processor->heal ? RECO_OK : reco__heal_create(&processor->heal, processor->engine, err);
    return status == RECO_OK ? reco__heal_step(processor->heal, partition, &processor->heals, processor->batch_events, call, err) : status;
}

reco_status reco_processor_step(reco_progress *out, reco_processor *processor, const reco_call *call, reco_error *err) {
    if (!processor)
        return reco__fail(err, RECO_INVALID, "processor", "no processor is given");
    if (out && out->struct_size < sizeof *out)
        return reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    uint32_t partition = UINT32_MAX;
    reco__learned done = {0};
    int64_t began = reco__monotonic_ns();
    reco_status status = reco__call_check(call, err);
    if (status == RECO_OK)
        status = survey(&partition, processor, call, err);
    if (status == RECO_OK && partition != UINT32_MAX) {
        status = processor->healing ? heal_some(processor, partition, call, err) : learn_some(&done, processor, partition, call, err);
        if (status == RECO_STALE) {
            atomic_fetch_add(&processor->engine->counters.stale, 1);
            status = RECO_OK;
        }
    }
    bool learned = status == RECO_OK && done.records > 0;
    if (status != RECO_OK || (partition != UINT32_MAX && !learned))
        processor->looked_ns = 0;
    if (status != RECO_OK)
        return status;
    if (learned) {
        processor->learned_ns = began;
        processor->positions[partition] = (reco_position){done.to, done.clock};
        count_batch(processor, &done);
        reco__engine_learned(processor->engine);
    }
    bool waiting = processor->total.lag > (int64_t)done.records;
    if (!waiting || processor->closing || began - processor->closed_ns >= CLOSE_PACE_NS)
        status = close_some(processor, reco__monotonic_ns() - began, waiting, call, err);
    processor->total.idle = !processor->closing && (partition == UINT32_MAX || (learned && !waiting && processor->looked));
    if (out) {
        uint32_t struct_size = out->struct_size;
        *out = processor->total;
        out->struct_size = struct_size;
        out->lag -= (int64_t)done.records;
    }
    return status;
}

reco_status reco_processor_wait(reco_processor *processor, int64_t timeout_ms, const reco_call *call, reco_error *err) {
    if (!processor)
        return reco__fail(err, RECO_INVALID, "processor", "no processor is given");
    if (timeout_ms < 0)
        return reco__fail(err, RECO_INVALID, "timeout_ms", "negative");
    int64_t ends[RECO_PARTITIONS_MAX], timeout_ns = timeout_ms > 86400000 ? INT64_C(86400000) * 1000000 : timeout_ms * 1000000;
    for (uint32_t p = 0; p < processor->engine->partitions; p++)
        ends[p] = INT64_MAX;
    for (uint32_t i = 0; i < processor->owned_count; i++)
        ends[processor->owned[i]] = processor->ends[processor->owned[i]];
    /* The share of partitions changes without a record, and held ones are released by others: look again soon. */
    int64_t look_ns = processor->held ? 2000000 : processor->owned_count == 0 ? 20000000 : 100000000;
    reco_status status = reco__stream_wait_for(processor->engine->stream, ends, timeout_ns < look_ns ? timeout_ns : look_ns, call, err);
    int64_t early_ns = processor->learned_ns + LIVE_PACE_NS - reco__monotonic_ns();
    if (status == RECO_OK && early_ns > 0 && early_ns <= timeout_ns) {
        struct timespec pause = {0, (long)early_ns};
        nanosleep(&pause, NULL);
    }
    return status;
}

/* --- reco_process ------------------------------------------------------------------------------------------------------------------------- */

static void progress_difference(reco_progress *out, const reco_progress *before, const reco_progress *after) {
    uint32_t struct_size = out->struct_size;
    *out = *after;
    out->struct_size = struct_size;
    out->records -= before->records;
    out->events -= before->events;
    out->batches -= before->batches;
    out->duplicates -= before->duplicates;
    out->clamped -= before->clamped;
    out->closing_steps -= before->closing_steps;
}

/* Steps the engine's own processor until `next` is reached everywhere; partitions of others are waited for. */
static reco_status process_until(reco_processor *processor, const int64_t *next, const reco_call *call, reco_error *err) {
    reco_engine *engine = processor->engine;
    uint64_t before = processor->total.records;
    for (;;) {
        reco_progress progress = {.struct_size = sizeof progress};
        reco_status status = reco_processor_step(&progress, processor, call, err);
        if (status == RECO_OK && progress.records > before)
            reco__call_progress(call, "learning", "records", progress.records - before,
                                progress.records - before + (progress.lag > 0 ? (uint64_t)progress.lag : 0));
        if (status != RECO_OK || !progress.idle) {
            if (status != RECO_OK)
                return status;
            continue;
        }
        status = reco__position_wait(engine, next, UINT32_MAX, 0, call, NULL);
        if (status == RECO_OK)
            return RECO_OK;
        if (status != RECO_TIMEOUT)
            return reco__fail(err, status, "position", "%s", reco_status_text(status));
        status = reco__call_check(call, err);
        if (status == RECO_OK)
            status = reco_processor_wait(processor, 2, call, err);
        if (status != RECO_OK)
            return status;
    }
}

/* Waits for the thread, as long as it gets on. */
static reco_status thread_wait(reco_engine *engine, const int64_t *next, const reco_call *call, reco_error *err) {
    for (;;) {
        reco_status status = reco__position_wait(engine, next, UINT32_MAX, 100, call, err);
        if (status != RECO_TIMEOUT || (status = reco__call_check(call, err)) != RECO_OK)
            return status;
        pthread_mutex_lock(&engine->thread_lock);
        reco_error failed = engine->thread_error;
        pthread_mutex_unlock(&engine->thread_lock);
        if (failed.status != RECO_OK) {
            if (err)
                *err = failed;
            return (reco_status)failed.status;
        }
    }
}

/* The engine keeps one processor between calls for its memory; concurrent calls open their own. Kept, it owns nothing: nobody would learn its share.
 */
static reco_status processor_take(reco_processor **out, reco_engine *engine, const reco_call *call, reco_error *err) {
    pthread_mutex_lock(&engine->process_lock);
    *out = engine->processor;
    engine->processor = NULL;
    pthread_mutex_unlock(&engine->process_lock);
    if (!*out)
        return reco_processor_open(out, engine, NULL, call, err);
    reco_status status = reco__stream_member_open(&(*out)->member, engine->stream, call, err);
    if (status != RECO_OK)
        reco_processor_close(*out);
    return status;
}

static void processor_give(reco_engine *engine, reco_processor *processor) {
    reco__stream_member_close(processor->member);
    processor->member = NULL;
    processor->owned_count = 0;
    processor->looked_ns = 0;
    pthread_mutex_lock(&engine->process_lock);
    if (!engine->processor) {
        engine->processor = processor;
        processor = NULL;
    }
    pthread_mutex_unlock(&engine->process_lock);
    reco_processor_close(processor);
}

reco_status reco_process(reco_progress *out, reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    int64_t next[RECO_PARTITIONS_MAX];
    reco_progress before = {0}, after = {0};
    if (out && out->struct_size < sizeof *out)
        return reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__stream_bounds(spans, engine->stream, call, err);
    if (status != RECO_OK)
        return status;
    for (uint32_t p = 0; p < engine->partitions; p++)
        next[p] = spans[p].end;
    if (engine->process_running) { /* the thread learns; only wait for it */
        status = thread_wait(engine, next, call, err);
    } else {
        reco_processor *processor = NULL;
        status = processor_take(&processor, engine, call, err);
        if (status == RECO_OK) {
            before = processor->total;
            status = process_until(processor, next, call, err);
            after = processor->total;
            processor_give(engine, processor);
        }
    }
    if (status == RECO_OK && out)
        progress_difference(out, &before, &after);
    return status;
}
