/* engine/verify.c - learned = replayed, shown: the stream is replayed up to the learned positions into a scratch store, and the two state hashes are
 * compared; every stored head is compared with its recomputation from the replayed rows.
 *
 * Due closings of the running store are finished first, so that each head stands at the newest closed generation of the moment it is compared at; a
 * closing that falls due in between is met by starting over. What the hash does not cover but a cell implies, its partition and its expiry, is
 * checked on the way. */
#include "engine/engine.h"

#include <stdio.h>

#include "engine/hashing.h"
#include "features/heads.h"

#define SETTLE_TRIES 8
#define REPLAY_RECORDS 20000u

static int64_t oldest_clock(const reco_position *positions, uint32_t partitions) {
    int64_t oldest = INT64_MAX;
    for (uint32_t p = 0; p < partitions; p++)
        oldest = positions[p].clock < oldest ? positions[p].clock : oldest;
    return oldest;
}

static bool heads_current(const reco__hashing *live, int64_t newest) {
    for (uint32_t item = 0; item < live->digest_room; item++)
        if (live->digests[item].present && live->digests[item].closed_at != newest)
            return false;
    return true;
}

/* The running store, settled, hashed, its heads digested. A head that is not current although nothing closed since the settling before is wrong, not
 * late: it is left for the comparison to name. */
static reco_status hash_live(reco__hashing *live, reco_engine *engine, const reco_call *call, reco_error *err) {
    int64_t before = INT64_MIN;
    for (int tries = 0; tries < SETTLE_TRIES; tries++) {
        reco_status status = reco__features_settle(engine->features, call, err);
        if (status == RECO_OK)
            status = reco__hashing_run(live, engine->features, engine->stream, &engine->rules, engine->partitions, true, call, err);
        if (status != RECO_OK)
            return status;
        int64_t newest = reco_board_newest_closed(&engine->rules.boards, RECO_BOARD_COVIEW, oldest_clock(live->positions, live->partitions));
        if (newest == before || heads_current(live, newest))
            return RECO_OK;
        before = newest;
    }
    return reco__fail(err, RECO_BUSY, "closing", "closings kept falling due while verifying; try again");
}

/* --- replay ------------------------------------------------------------------------------------------------------------------------------- */

/* The partition with the oldest clock that is behind its target, or UINT32_MAX. */
static uint32_t replay_next(const reco_position *positions, const reco_position *targets, uint32_t partitions) {
    uint32_t best = UINT32_MAX;
    for (uint32_t p = 0; p < partitions; p++)
        if (positions[p].offset < targets[p].offset && (best == UINT32_MAX || positions[p].clock < positions[best].clock))
            best = p;
    return best;
}

static reco_status replay_close(reco__features *scratch, const reco_call *call, reco_error *err) {
    int more = 1;
    reco_status status = RECO_OK;
    while (more && status == RECO_OK)
        status = reco__features_close_step(&more, scratch, 100000000, call, err);
    return status;
}

static uint64_t records_between(const reco_position *from, const reco_position *to, uint32_t partitions) {
    uint64_t records = 0;
    for (uint32_t p = 0; p < partitions; p++)
        records += (uint64_t)(to[p].offset - from[p].offset);
    return records;
}

reco_status reco__verify_replay(reco_verification *out, reco_engine *engine, reco__features *scratch, const reco_position *targets,
                                const reco_call *call, reco_error *err) {
    reco__learner *learner = NULL;
    reco_position positions[RECO_PARTITIONS_MAX];
    uint64_t epoch;
    reco_status status = reco__learner_create(&learner, engine->stream, scratch, &engine->rules, err);
    if (status == RECO_OK)
        status = reco__features_positions(positions, &epoch, scratch, call, err);
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++)
        if (positions[p].offset > targets[p].offset)
            status = reco__fail(err, RECO_INVALID, "snapshot", "it is ahead of what is learned in partition %u", p);
    uint64_t total = status == RECO_OK ? records_between(positions, targets, engine->partitions) : 0, replayed = 0;
    uint32_t p;
    while (status == RECO_OK && (p = replay_next(positions, targets, engine->partitions)) != UINT32_MAX) {
        reco__learned done;
        status = reco__learner_batch(&done, learner, p, NULL, REPLAY_RECORDS, targets[p].offset, call, err);
        if (status == RECO_OK && done.records == 0)
            status = reco__fail(err, RECO_CORRUPT, "stream", "partition %u ends at %lld but %lld is learned", p, (long long)done.to,
                                (long long)targets[p].offset);
        if (status == RECO_OK)
            status = replay_close(scratch, call, err);
        if (status != RECO_OK)
            break;
        positions[p] = (reco_position){done.to, done.clock};
        out->records += done.records;
        out->events += done.events;
        replayed += done.records;
        reco__call_progress(call, "replaying", "records", replayed, total);
    }
    reco__learner_free(learner);
    return status;
}

/* --- heads -------------------------------------------------------------------------------------------------------------------------------- */

typedef struct row_take {
    reco_entry *entries;
    size_t count, room;
    reco_status status;
} row_take;

static void take_row(void *context, size_t index, const void *data, size_t size) {
    row_take *row = context;
    (void)index;
    size_t most = row->count + size / 5 + 1, count = 0;
    if (row->status == RECO_OK && most > row->room) {
        reco_entry *entries = reco__realloc_array(row->entries, most * 2, sizeof *entries);
        if (entries) {
            row->entries = entries;
            row->room = most * 2;
        } else {
            row->status = RECO_NO_MEMORY;
        }
    }
    if (row->status == RECO_OK)
        row->status = reco_board_unpack(&count, row->entries + row->count, row->room - row->count, data, size);
    row->count += count;
}

typedef struct head_check {
    reco_engine *engine;
    reco__features *scratch;
    const reco__hashing *live;
    int64_t closed_at, first, last; /* generations that can have rows */
    row_take rows;
    reco__features_piece *pieces;
    reco__buf bytes;
    const reco_call *call;
} head_check;

/* The head of an item from the rows of the scratch store, digested by names. Absent (present 0) without rows. */
static reco_status head_replayed(reco__head_digest *out, head_check *check, uint32_t item, reco_error *err) {
    size_t count = 0;
    check->rows.count = 0;
    for (int64_t g = check->first; g <= check->last; g++) {
        size_t before = check->rows.count;
        reco_status status = reco__features_row(check->scratch, RECO_BOARD_COVIEW, g, item, take_row, &check->rows, check->call, err);
        if (status == RECO_OK && check->rows.status != RECO_OK)
            status = reco__fail(err, check->rows.status, "row", "a replayed row cannot be read");
        if (status != RECO_OK)
            return status;
        if (check->rows.count > before)
            check->pieces[count++] = (reco__features_piece){g, NULL, check->rows.count - before};
    }
    size_t at = 0;
    for (size_t i = 0; i < count; i++) { /* addresses, once the array no longer moves */
        check->pieces[i].entries = check->rows.entries + at;
        at += check->pieces[i].count;
    }
    *out = (reco__head_digest){.present = 0};
    if (count == 0)
        return RECO_OK;
    reco_board_names names = reco__features_names(check->scratch);
    const reco_board_rules *rules = &check->engine->rules.boards;
    reco__buf_reset(&check->bytes);
    reco_status status = reco__features_recompute_head(&check->bytes, check->pieces, count, check->closed_at, rules, &names, err);
    if (status == RECO_OK)
        status = reco__buf_status(&check->bytes, err);
    if (status != RECO_OK || check->bytes.size == 0)
        return status;
    return reco__head_digest_make(out, check->scratch, rules, item, check->bytes.data, check->bytes.size, err);
}

static reco_status head_compare(reco_verification *out, head_check *check, uint32_t item, reco_error *err) {
    reco_str name;
    uint64_t unused;
    uint32_t number;
    reco__head_digest replayed;
    reco_status status = reco__features_item_name(&name, &unused, check->scratch, item);
    if (status == RECO_OK)
        status = reco__features_find_items(&number, check->engine->features, &name, 1, check->call, err);
    if (status == RECO_OK)
        status = head_replayed(&replayed, check, item, err);
    if (status != RECO_OK)
        return status;
    const reco__head_digest *stored = number < check->live->digest_room ? &check->live->digests[number] : NULL;
    bool present = stored && stored->present;
    if (present != (replayed.present != 0) || (present && (stored->sum.low != replayed.sum.low || stored->sum.high != replayed.sum.high))) {
        if (out->equal)
            snprintf(out->difference, sizeof out->difference, "head of item \"%.*s\": %s", (int)(name.size < 128 ? name.size : 128), name.data,
                     !present           ? "missing"
                     : replayed.present ? "differs from its recomputation"
                                        : "stored, but the item has no rows");
        out->equal = 0;
    }
    out->heads += replayed.present;
    return RECO_OK;
}

static reco_status heads_compare(reco_verification *out, reco_engine *engine, reco__features *scratch, const reco__hashing *live,
                                 const reco__hashing *replayed, const reco_call *call, reco_error *err) {
    head_check check = {.engine = engine, .scratch = scratch, .live = live, .call = call};
    const reco_board_rules *rules = &engine->rules.boards;
    int64_t newest = 0;
    for (uint32_t p = 0; p < engine->partitions; p++)
        newest = replayed->positions[p].clock > newest ? replayed->positions[p].clock : newest;
    check.closed_at = reco_board_newest_closed(rules, RECO_BOARD_COVIEW, oldest_clock(replayed->positions, engine->partitions));
    check.first = check.closed_at - (int64_t)rules->kept[RECO_BOARD_COVIEW] + 1;
    if (check.first < 0)
        check.first = 0;
    check.last = reco_board_generation(rules, RECO_BOARD_COVIEW, newest + rules->skew);
    check.pieces = reco__alloc_array((size_t)(check.last - check.first + 1), sizeof *check.pieces);
    if (!check.pieces)
        return reco__no_memory(err);
    reco_status status = RECO_OK;
    for (uint32_t item = 0; status == RECO_OK && item < replayed->info.item_count; item++) {
        status = head_compare(out, &check, item, err);
        if (item % 1024 == 0 || item + 1 == replayed->info.item_count)
            reco__call_progress(call, "comparing", "items", item + 1, replayed->info.item_count);
    }
    if (status == RECO_OK && out->equal && live->heads != out->heads) {
        out->equal = 0;
        snprintf(out->difference, sizeof out->difference, "heads: %llu stored, %llu items have rows", (unsigned long long)live->heads,
                 (unsigned long long)out->heads);
    }
    reco__release(check.pieces);
    reco__release(check.rows.entries);
    reco__buf_dispose(&check.bytes);
    return status;
}

/* --- verify ------------------------------------------------------------------------------------------------------------------------------- */

static bool sums_differ(reco__u128 a, reco__u128 b) { return a.low != b.low || a.high != b.high; }

static void name_difference(reco_verification *out, const reco__state_hash *live, const reco__state_hash *replayed) {
    static const char *const boards[RECO_BOARD_COUNT] = {"popularity by hours", "popularity by days", "co-view rows"};
    reco__u128 a = reco__state_hash_total(live), b = reco__state_hash_total(replayed);
    out->equal = !sums_differ(a, b);
    if (out->equal)
        return;
    const char *table = sums_differ(live->clocks, replayed->clocks)       ? "partition clocks"
                        : sums_differ(live->cell_sum, replayed->cell_sum) ? "cells"
                                                                          : "";
    for (uint32_t board = 0; !table[0] && board < RECO_BOARD_COUNT; board++)
        if (sums_differ(live->boards[board], replayed->boards[board]))
            table = boards[board];
    snprintf(out->difference, sizeof out->difference, "%s differ: %llu rows, %llu entries, %llu cells stored; %llu, %llu, %llu replayed", table,
             (unsigned long long)live->rows, (unsigned long long)live->entries, (unsigned long long)live->cells, (unsigned long long)replayed->rows,
             (unsigned long long)replayed->entries, (unsigned long long)replayed->cells);
}

static reco_status verify_against(reco_verification *out, reco_engine *engine, const char *snapshot, const reco__hashing *live, const reco_call *call,
                                  reco_error *err) {
    reco__features *scratch = NULL;
    reco__hashing replayed = {0};
    reco_status status = reco__engine_open_features(&scratch, engine, "memory:", RECO_FEATURES_SCRATCH, call, err);
    if (status == RECO_OK && snapshot)
        status = reco__snapshot_load(scratch, engine, snapshot, call, err);
    if (status == RECO_OK)
        status = reco__verify_replay(out, engine, scratch, live->positions, call, err);
    if (status == RECO_OK)
        status = reco__features_settle(scratch, call, err);
    if (status == RECO_OK)
        status = reco__hashing_run(&replayed, scratch, engine->stream, &engine->rules, engine->partitions, false, call, err);
    if (status == RECO_OK) {
        reco__state_hash_text(out->hash, &live->hash);
        reco__state_hash_text(out->replayed, &replayed.hash);
        name_difference(out, &live->hash, &replayed.hash);
        status = heads_compare(out, engine, scratch, live, &replayed, call, err);
    }
    reco__hashing_dispose(&replayed);
    reco__features_close(scratch);
    return status;
}

/* What the stream holds beyond the positions compared. */
static reco_status count_unlearned(reco_verification *out, reco_engine *engine, const reco__hashing *live, const reco_call *call, reco_error *err) {
    reco_stream_span spans[RECO_PARTITIONS_MAX];
    reco_status status = reco__stream_bounds(spans, engine->stream, call, err);
    for (uint32_t p = 0; status == RECO_OK && p < engine->partitions; p++)
        out->unlearned += (uint64_t)(spans[p].end - live->positions[p].offset);
    return status;
}

reco_status reco_verify(reco_verification *out, reco_engine *engine, const reco_verify_options *options, const reco_call *call, reco_error *err) {
    reco_verify_options given;
    if (!out || out->struct_size < sizeof *out)
        return reco__fail(err, RECO_INVALID, "out", "struct_size is not set");
    uint32_t struct_size = out->struct_size;
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK)
        status = reco__struct_copy(&given, sizeof given, options, options ? options->struct_size : 0, "options", err);
    if (status == RECO_OK && given.flags)
        status = reco__fail(err, RECO_INVALID, "flags", "unknown flags 0x%x", given.flags);
    if (status != RECO_OK)
        return status;
    reco_verification result = {.struct_size = struct_size};
    reco__hashing live = {0};
    status = hash_live(&live, engine, call, err);
    if (status == RECO_OK)
        status = verify_against(&result, engine, given.snapshot, &live, call, err);
    if (status == RECO_OK)
        status = count_unlearned(&result, engine, &live, call, err);
    reco__hashing_dispose(&live);
    if (status == RECO_OK)
        *out = result;
    return status;
}

reco_status reco_state_hash(char out[40], reco_engine *engine, const reco_call *call, reco_error *err) {
    reco_status status = reco__engine_enter(engine, call, err);
    if (status == RECO_OK && !out)
        status = reco__fail(err, RECO_INVALID, "out", "it is needed");
    if (status != RECO_OK)
        return status;
    reco__hashing live = {0};
    status = reco__hashing_run(&live, engine->features, engine->stream, &engine->rules, engine->partitions, false, call, err);
    if (status == RECO_OK)
        reco__state_hash_text(out, &live.hash);
    reco__hashing_dispose(&live);
    return status;
}
