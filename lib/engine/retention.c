/* engine/retention.c - the stream by age and by bytes: records that are older than `retention.age`, or too much by `retention.bytes`, the oldest
 * first, are dropped.
 *
 * But never one that something still needs: the stream is trimmed to the oldest verified snapshot that is kept, from which all can be learned again,
 * and not beyond what is learned or what the archive has read. What holds back more is told (reco trim, statistics): it goes when that moves on.
 *
 * By age: a partition is read from its beginning to the first record that is young enough. A clock that went back may keep older ones behind it; none
 * that is younger goes. By bytes: the partition whose oldest record is the oldest of all gives up some, again and again, each record taken for the
 * mean of its partition, until what is left is little enough. Both read only what they then drop. */
#include "engine/retention.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "engine/snapshots.h"
#include "model/envelope.h"

#define STEP_RECORDS 1000u
#define STEP_BYTES (4u << 20)

typedef struct planning {
    reco_engine *engine;
    const reco_call *call;
    reco__retention *out;
    int64_t allowed[RECO_PARTITIONS_MAX];
    const char *why[RECO_PARTITIONS_MAX]; /* nothing below `allowed` may go */
    uint64_t bytes[RECO_PARTITIONS_MAX], records[RECO_PARTITIONS_MAX];
    bool bytes_known;
    uint64_t most;
    /* one reading */
    int64_t young; /* stop at what was received then or later */
    int64_t at, last;
    bool stopped;
} planning;

bool reco__retention_wanted(const reco_engine *engine) { return engine->settings.retention_age > 0 || engine->settings.retention_bytes > 0; }

/* --- what may go --------------------------------------------------------------------------------------------------------------------------- */

static reco_status find_allowed(planning *plan, reco_error *err) {
    reco_engine *engine = plan->engine;
    reco_position base[RECO_PARTITIONS_MAX], learned[RECO_PARTITIONS_MAX];
    uint64_t epoch;
    reco_status status = reco__features_positions(learned, &epoch, engine->features, plan->call, err);
    bool none = false;
    if (status == RECO_OK) {
        status = reco__snapshots_oldest(base, engine, err);
        none = status == RECO_NOT_FOUND;
    }
    if (status != RECO_OK && !none)
        return status;
    for (uint32_t p = 0; p < engine->partitions; p++) {
        int64_t to = none ? plan->out->begin[p] : base[p].offset;
        plan->why[p] = none ? "no verified snapshot" : "snapshot";
        int64_t archived = reco__snapshots_archived(engine, p, to);
        if (archived < to) {
            to = archived;
            plan->why[p] = "archive";
        }
        if (learned[p].offset < to) {
            to = learned[p].offset;
            plan->why[p] = "learning";
        }
        plan->allowed[p] = to < plan->out->begin[p] ? plan->out->begin[p] : to;
    }
    return RECO_OK;
}

static void take_bytes(void *context, const char *name, uint64_t value) {
    planning *plan = context;
    char *rest;
    if (strncmp(name, "partition_", 10) != 0)
        return;
    unsigned long p = strtoul(name + 10, &rest, 10);
    if (p >= plan->engine->partitions)
        return;
    if (strcmp(rest, "_bytes") == 0) {
        plan->bytes[p] = value;
        plan->bytes_known = true;
        plan->out->stream_bytes += value;
    } else if (strcmp(rest, "_records") == 0) {
        plan->records[p] = value;
    }
}

/* --- what is to go ------------------------------------------------------------------------------------------------------------------------- */

static int look_at(void *context, int64_t offset, const void *data, size_t size) {
    planning *plan = context;
    reco__record record;
    if (size > 0 && reco__envelope_decode(&record, data, size, NULL) == RECO_OK) {
        if (record.received_at >= plan->young) {
            plan->stopped = true;
            return 1;
        }
        plan->last = record.received_at;
    }
    plan->at = offset + 1; /* what cannot be read is as old as what is before it */
    return 0;
}

/* From `at` on, at most so many records; *stopped at one that is young. */
static reco_status read_on(planning *plan, uint32_t partition, uint64_t most, reco_error *err) {
    plan->stopped = false;
    uint32_t count = most < STEP_RECORDS ? (uint32_t)most : STEP_RECORDS;
    int64_t before = plan->at;
    reco_status status = reco__stream_read(plan->engine->stream, partition, plan->at, count, STEP_BYTES, look_at, plan, plan->call, err);
    if (status == RECO_OK && plan->at == before && !plan->stopped)
        plan->stopped = true; /* its end */
    return status;
}

static void held(planning *plan, uint32_t partition) {
    if (!plan->out->held_by[0])
        plan->out->held_by = plan->why[partition];
}

static reco_status by_age(planning *plan, uint32_t partition, int64_t young, reco_error *err) {
    reco__retention *out = plan->out;
    uint64_t looked = 0;
    reco_status status = RECO_OK;
    plan->at = out->cut[partition];
    plan->young = young;
    plan->stopped = plan->at >= out->end[partition];
    /* One record beyond what may go tells whether more should. */
    while (status == RECO_OK && !plan->stopped && plan->at <= plan->allowed[partition] && looked < plan->most) {
        uint64_t room = (uint64_t)(plan->allowed[partition] + 1 - plan->at);
        int64_t before = plan->at;
        status = read_on(plan, partition, room < plan->most - looked ? room : plan->most - looked, err);
        looked += (uint64_t)(plan->at - before);
        reco__call_progress(plan->call, "looking", "records", looked, 0);
    }
    if (plan->at > plan->allowed[partition])
        held(plan, partition);
    out->cut[partition] = plan->at < plan->allowed[partition] ? plan->at : plan->allowed[partition];
    return status;
}

static double mean_bytes(const planning *plan, uint32_t partition) {
    return plan->records[partition] ? (double)plan->bytes[partition] / (double)plan->records[partition] : 0;
}

static double cut_bytes(const planning *plan) {
    double bytes = 0;
    for (uint32_t p = 0; p < plan->engine->partitions; p++)
        bytes += (double)(plan->out->cut[p] - plan->out->begin[p]) * mean_bytes(plan, p);
    return bytes;
}

/* received_at of the record at the cut of a partition; INT64_MAX when there is none. */
static reco_status head_time(int64_t *time, planning *plan, uint32_t partition, reco_error *err) {
    *time = INT64_MAX;
    if (plan->out->cut[partition] >= plan->out->end[partition])
        return RECO_OK;
    plan->at = plan->out->cut[partition];
    plan->young = INT64_MAX;
    plan->last = 0;
    reco_status status = read_on(plan, partition, 1, err);
    if (status == RECO_OK && plan->at > plan->out->cut[partition])
        *time = plan->last;
    return status;
}

static reco_status by_bytes(planning *plan, uint64_t most_bytes, reco_error *err) {
    int64_t heads[RECO_PARTITIONS_MAX];
    reco__retention *out = plan->out;
    uint32_t partitions = plan->engine->partitions;
    double excess = (double)out->stream_bytes - (double)most_bytes - cut_bytes(plan);
    reco_status status = RECO_OK;
    for (uint32_t p = 0; status == RECO_OK && p < partitions && excess > 0; p++)
        status = head_time(&heads[p], plan, p, err);
    for (uint64_t looked = 0; status == RECO_OK && excess > 0 && looked < plan->most;) {
        uint32_t oldest = UINT32_MAX, kept = UINT32_MAX;
        for (uint32_t p = 0; p < partitions; p++) {
            if (heads[p] == INT64_MAX)
                continue;
            if (out->cut[p] >= plan->allowed[p])
                kept = kept == UINT32_MAX || heads[p] < heads[kept] ? p : kept;
            else
                oldest = oldest == UINT32_MAX || heads[p] < heads[oldest] ? p : oldest;
        }
        if (oldest == UINT32_MAX) {
            if (kept != UINT32_MAX)
                held(plan, kept);
            return RECO_OK;
        }
        double mean = mean_bytes(plan, oldest), wanted = mean > 0 ? excess / mean / (4 * partitions) + 1 : STEP_RECORDS;
        uint64_t room = (uint64_t)(plan->allowed[oldest] - out->cut[oldest]), count = wanted < STEP_RECORDS ? (uint64_t)wanted : STEP_RECORDS;
        int64_t before = out->cut[oldest];
        plan->at = before;
        plan->young = INT64_MAX;
        status = read_on(plan, oldest, room < count ? room : count, err);
        out->cut[oldest] = plan->at;
        looked += (uint64_t)(plan->at - before);
        excess -= (double)(plan->at - before) * mean;
        heads[oldest] = plan->at == before || plan->at >= out->end[oldest] ? INT64_MAX : plan->last;
        reco__call_progress(plan->call, "looking", "records", looked, 0);
    }
    return status;
}

static reco_status add_up(planning *plan, reco_error *err) {
    reco__retention *out = plan->out;
    reco_status status = RECO_OK;
    int64_t oldest = INT64_MAX;
    for (uint32_t p = 0; status == RECO_OK && p < plan->engine->partitions; p++) {
        int64_t time;
        out->records += (uint64_t)(out->cut[p] - out->begin[p]);
        status = head_time(&time, plan, p, err);
        oldest = time < oldest ? time : oldest;
    }
    out->oldest = oldest == INT64_MAX ? 0 : oldest;
    out->bytes = (uint64_t)cut_bytes(plan);
    return status;
}

reco_status reco__retention_plan(reco__retention *out, reco_engine *engine, int64_t age, uint64_t bytes, int64_t now, uint64_t most,
                                 const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    planning *plan = reco__zalloc(sizeof *plan);
    if (!plan)
        return reco__no_memory(err);
    *out = (reco__retention){.held_by = ""};
    *plan = (planning){.engine = engine, .call = call, .out = out, .most = most};
    reco_status status = reco__stream_bounds(spans, engine->stream, call, err);
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++) {
        out->begin[p] = out->cut[p] = spans[p].begin;
        out->end[p] = spans[p].end;
    }
    if (status == RECO_OK)
        status = find_allowed(plan, err);
    if (status == RECO_OK)
        status = reco__stream_stats(engine->stream, take_bytes, plan, call, err);
    for (uint32_t p = 0; status == RECO_OK && age > 0 && p < engine->partitions; p++)
        status = by_age(plan, p, now - age, err);
    if (status == RECO_OK && bytes > 0 && !plan->bytes_known)
        out->held_by = "the stream does not tell its bytes";
    else if (status == RECO_OK && bytes > 0)
        status = by_bytes(plan, bytes, err);
    if (status == RECO_OK)
        status = add_up(plan, err);
    reco__release(plan);
    return status;
}

/* --- doing it ------------------------------------------------------------------------------------------------------------------------------ */

static reco_status apply(const reco__retention *plan, reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_status status = RECO_OK;
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++)
        if (plan->cut[p] > plan->begin[p])
            status = reco__stream_trim(engine->stream, p, plan->cut[p], call, err);
    if (status == RECO_OK)
        atomic_fetch_add(&engine->counters.trimmed, plan->records);
    return status;
}

static reco_status plan_and_apply(reco__retention *plan, reco_engine *engine, int64_t age, uint64_t bytes, const reco_call *call, reco_error *err) {
    reco_status status = reco__retention_plan(plan, engine, age, bytes, reco__now_ms(), UINT64_MAX, call, err);
    return status == RECO_OK ? apply(plan, engine, call, err) : status;
}

reco_status reco__retention_step(reco_engine *engine, const reco_call *call, reco_error *err) {
    reco__retention plan;
    int lock = -1;
    if (!reco__retention_wanted(engine))
        return RECO_OK;
    reco_status status = reco__snapshots_lock(&lock, engine, err);
    if (status != RECO_OK || lock < 0)
        return status;
    status = plan_and_apply(&plan, engine, engine->settings.retention_age, engine->settings.retention_bytes, call, err);
    close(lock);
    if (status == RECO_OK && plan.records)
        reco__log(RECO_LOG_INFO, "engine", "%llu records of the stream were dropped, about %llu bytes", (unsigned long long)plan.records,
                  (unsigned long long)plan.bytes);
    return status;
}

reco_status reco_trim(reco_trim_result *out, reco_engine *engine, const reco_trim_options *options, const reco_call *call, reco_error *err) {
    reco_trim_options given;
    reco__retention plan = {.held_by = ""};
    int lock = -1;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && out && out->struct_size < sizeof *out)
        status = reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, options, options ? options->struct_size : 0, "options", err);
    if (status == RECO_OK && (given.flags & ~RECO_TRIM_DRY_RUN))
        status = reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", given.flags);
    if (status == RECO_OK && given.age < 0)
        status = reco__fail(err, RECO_INVALID, "age", "it is negative");
    if (status != RECO_OK)
        return status;
    bool by_hand = given.age || given.bytes;
    int64_t age = by_hand ? given.age : engine->settings.retention_age;
    uint64_t bytes = by_hand ? given.bytes : engine->settings.retention_bytes;
    if (!age && !bytes)
        return reco__fail(err, RECO_INVALID, "age", "say how much is to be kept: an age or a number of bytes, or retention.age or retention.bytes");
    if (!reco__snapshots_wanted(engine))
        return reco__fail(err, RECO_INVALID, "snapshots.folder",
                          "the stream is trimmed to verified snapshots only: name the folder they are kept in");
    if (given.flags & RECO_TRIM_DRY_RUN) {
        status = reco__retention_plan(&plan, engine, age, bytes, reco__now_ms(), UINT64_MAX, call, err);
    } else {
        status = reco__snapshots_lock(&lock, engine, err);
        if (status == RECO_OK && lock < 0)
            status = reco__fail(err, RECO_BUSY, "snapshots.folder", "another process takes a snapshot or trims at the moment");
        if (status == RECO_OK)
            status = plan_and_apply(&plan, engine, age, bytes, call, err);
        if (lock >= 0)
            close(lock);
    }
    if (status == RECO_OK && out) {
        *out = (reco_trim_result){.struct_size = out->struct_size, .records = plan.records, .bytes = plan.bytes, .oldest = plan.oldest};
        for (uint32_t p = 0; p < engine->partitions; p++)
            out->left += (uint64_t)(plan.end[p] - plan.cut[p]);
        snprintf(out->held_by, sizeof out->held_by, "%s", plan.held_by);
    }
    return status;
}
